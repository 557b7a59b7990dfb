/*
 * Somebody on the way between client and server, at the router of src/adapters/lab/topology.ts: what the client sends
 * passes by his hands alone, and he sends whatever he likes in anybody's name, from his own address as well.
 */
import { SERVER_ADDRESS, type Topology } from '../../src/adapters/lab/topology.ts';
import type { Endpoint, Path } from '../../src/core/addr.ts';
import { concatBytes } from '../../src/core/bytes.ts';
import { port } from '../../src/core/units.ts';
import { encodeIpv4Header, IPPROTO_UDP } from '../../src/core/wire/ipv4.ts';
import { ip } from './addresses.ts';
import { inNamespace } from './in-namespace.ts';
import { NamespaceSocket } from './namespace-sockets.ts';
import { openRawBytes, type RawBytes } from './raw-bytes.ts';
import { tunnelled } from './tunnelled.ts';

/** Where he can be seen to be himself. */
export const ELSEWHERE: Endpoint = { ip: ip('203.0.113.66'), port: port(6666) };
const LOOK_EVERY = 1;

/** What he makes of a packet of the client's: what is sent on, from where, and how much later (ms). */
export type Trick = (payload: Uint8Array) => readonly {
  readonly payload: Uint8Array;
  readonly from: 'client' | 'elsewhere';
  readonly after?: number;
}[];

export const PASS: Trick = (payload) => [{ payload, from: 'client' }];

export class OnTheWay implements AsyncDisposable {
  trick: Trick = PASS;
  /** All that the client has sent since he came. */
  readonly seen: Uint8Array[] = [];
  readonly #lab: Topology;
  readonly #path: Path;
  readonly #tap: NamespaceSocket;
  readonly #raw: RawBytes;
  readonly #timer: NodeJS.Timeout;
  readonly #later = new Set<NodeJS.Timeout>();

  private constructor(lab: Topology, path: Path) {
    this.#lab = lab;
    this.#path = path;
    this.#tap = NamespaceSocket.tap(lab.router);
    this.#raw = inNamespace(lab.router, openRawBytes);
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY);
  }

  /** `path`: the client's as its server sees it. */
  static async begin(lab: Topology, path: Path): Promise<OnTheWay> {
    const client = lab.clientAddress();
    const rules = [
      'add table ip attacker',
      'add chain ip attacker way { type filter hook forward priority -10; }',
      `add rule ip attacker way ip saddr ${client} udp dport ${path.local.port} drop`,
      // What he sends keeps the ports that he gives it.
      'add chain ip attacker out { type filter hook output priority -300; }',
      `add rule ip attacker out udp dport ${path.local.port} notrack`,
      `add rule ip attacker out udp sport ${path.local.port} notrack`,
    ];
    await run(lab, ['nft', rules.join('; ')]);
    await run(lab, ['ip', 'addr', 'replace', `${ELSEWHERE.ip}/24`, 'dev', 'wan']);
    return new OnTheWay(lab, path);
  }

  /** Sends the server something, as if it came by a path to it. */
  send(payload: Uint8Array, from: Endpoint = this.#path.remote): void {
    this.#raw.send(datagram(from, this.#path.local, payload), SERVER_ADDRESS);
  }

  #look(): void {
    const packets = this.#tap.received();
    for (const { payload } of tunnelled(packets, this.#lab.clientAddress())) {
      this.seen.push(payload.slice());
      for (const { payload: made, from, after = 0 } of this.trick(payload.slice())) {
        const send = (): void => this.send(made, from === 'client' ? undefined : ELSEWHERE);
        if (after === 0) send();
        else this.#later.add(setTimeout(send, after));
      }
    }
    for (const { outer, payload } of tunnelled(packets, SERVER_ADDRESS)) {
      if (outer.destination !== ELSEWHERE.ip) continue;
      const client = { ip: this.#lab.clientAddress(), port: this.#path.local.port };
      this.#raw.send(datagram(this.#path.local, client, payload), client.ip);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    for (const timer of this.#later) clearTimeout(timer);
    this.#tap[Symbol.dispose]();
    this.#raw.close();
    await run(this.#lab, ['nft', 'delete table ip attacker']);
    await run(this.#lab, ['ip', 'addr', 'del', `${ELSEWHERE.ip}/24`, 'dev', 'wan']);
  }
}

async function run(lab: Topology, argv: readonly string[]): Promise<void> {
  const { code, stderr } = await lab.exec(lab.router, argv);
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}

/** A whole packet of IPv4. */
export function datagram(from: Endpoint, to: Endpoint, payload: Uint8Array): Uint8Array {
  const length = 8 + payload.length;
  const udp = new Uint8Array(8);
  const view = new DataView(udp.buffer);
  view.setUint16(0, from.port);
  view.setUint16(2, to.port);
  view.setUint16(4, length);
  const header = encodeIpv4Header({
    payloadLength: length,
    identification: 0,
    dontFragment: true,
    ttl: 64,
    protocol: IPPROTO_UDP,
    source: from.ip,
    destination: to.ip,
  });
  return concatBytes([header, udp, payload]);
}
