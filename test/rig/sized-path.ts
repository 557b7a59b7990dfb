import { setTimeout as delay } from 'node:timers/promises';
import { ROUTER_LAN_ADDRESS6, SERVER_ADDRESS6 } from '../../src/adapters/lab/ipv6.ts';
import {
  ROUTER_LAN_ADDRESS,
  SERVER_ADDRESS,
  up,
  type Topology,
} from '../../src/adapters/lab/topology.ts';
import type { Program } from '../../src/adapters/lab/process.ts';
import { familyOf, type Family, type Ip } from '../../src/core/addr.ts';
import { patience } from './patience.ts';

/**
 * The lab (src/adapters/lab/topology.ts) with a router that lets packets of a size through, either
 * way, while every link takes 1500 bytes: as if a smaller link were behind it.
 */
export class SizedPath implements AsyncDisposable {
  readonly lab: Topology;
  readonly #family: Family;

  private constructor(lab: Topology, family: Family) {
    this.lab = lab;
    this.#family = family;
  }

  /** `icmp` = whether the router says what is too big; without, it is a black hole. */
  static async make(icmp: boolean, family: Family = 'ipv4'): Promise<SizedPath> {
    const families = family === 'ipv4' ? 'ipv4' : 'both';
    const path = new SizedPath(await up({ lan: 'routed', families }), family);
    const { router } = path.lab;
    const limits = ['net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0'];
    await path.#sure(router, `sysctl -qw ${limits.join(' ')}`);
    const match =
      family === 'ipv4'
        ? 'icmp type destination-unreachable icmp code frag-needed'
        : 'icmpv6 type packet-too-big';
    await path.#sure(
      router,
      `nft 'add table inet hole; add chain inet hole out { type filter hook output priority 0; }
       add rule inet hole out ${match} counter ${icmp ? 'accept' : 'drop'}'`,
    );
    return path;
  }

  /** The largest outer packet that passes from now on; `forget` what the ends knew of it. */
  async takes(mtu: number, forget = false): Promise<void> {
    const client = this.lab.clientAddress(0, this.#family);
    const ways =
      this.#family === 'ipv4'
        ? [`${SERVER_ADDRESS}/32 dev wan`, `${client}/32 dev lan0 src ${ROUTER_LAN_ADDRESS}`]
        : [`${SERVER_ADDRESS6}/128 dev wan`, `${client}/128 dev lan0 src ${ROUTER_LAN_ADDRESS6}`];
    const lines = ways.map((way) => `ip route replace ${way} mtu ${mtu}`);
    await this.#sure(this.lab.router, lines.join('; '));
    // What ICMP has taught the ends is forgotten: kernels keep it for ten minutes.
    for (const end of [this.lab.server, this.lab.client()]) {
      if (forget) await this.#sure(end, 'ip -4 route flush cache; ip -6 route flush cache');
    }
  }

  /** How many of its ICMP errors the router has sent or swallowed. */
  async icmpErrors(): Promise<number> {
    const shown = await this.#sure(this.lab.router, 'nft list chain inet hole out');
    return Number(/counter packets (\d+)/.exec(shown)?.[1]);
  }

  async #sure(namespace: string, script: string): Promise<string> {
    const done = await this.lab.exec(namespace, ['bash', '-ec', script]);
    if (done.code !== 0) throw new Error(`${script}: ${done.stderr}`);
    return done.stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.down();
  }
}

const POLL = 100;

/** One end of a TCP connection, as ss tells. */
export type Stream = {
  /** Bytes of a full segment, and of those the other side has acknowledged. */
  readonly mss: number;
  readonly acknowledged: number;
};

/** A transfer through the tunnel that goes on until it is disposed of. */
export class Transfer implements AsyncDisposable {
  readonly #lab: Topology;
  readonly #sender: string;
  readonly #programs: readonly Program[];

  private constructor(lab: Topology, sender: string, programs: readonly Program[]) {
    this.#lab = lab;
    this.#sender = sender;
    this.#programs = programs;
  }

  /** `down`: from the server at `address` to the client; `up`: the other way. */
  static async begin(lab: Topology, address: Ip, direction: 'up' | 'down'): Promise<Transfer> {
    const listener = lab.spawn(lab.server, ['iperf3', '-s', '-1', '-B', address, '--forceflush']);
    await listener.waitFor(/listening/);
    const reverse = direction === 'down' ? ['-R'] : [];
    // Slower than the slowest plane: what counts is that it goes on, at full segments.
    const sending = ['iperf3', '-t', '300', '-b', '10M', '-c', address, ...reverse];
    const client = lab.spawn(lab.client(), sending);
    return new Transfer(lab, direction === 'up' ? lab.client() : lab.server, [client, listener]);
  }

  /** The sending end; undefined before it is connected. */
  async stream(): Promise<Stream | undefined> {
    const shown = await this.#lab.exec(this.#sender, ['ss', '-tiHOn', 'state', 'established']);
    const streams = shown.stdout.split('\n').map((line) => ({
      mss: Number(/ mss:(\d+)/.exec(line)?.[1]),
      acknowledged: Number(/ bytes_acked:(\d+)/.exec(line)?.[1]),
    }));
    const counted = streams.filter(({ acknowledged }) => acknowledged > 10_000);
    return counted.toSorted((a, b) => b.acknowledged - a.acknowledged)[0];
  }

  /**
   * Resolves with the time it took (ms) when so many more bytes have arrived in segments of `mss`; rejects after
   * `within` ms (of a quiet machine).
   */
  async carries(bytes: number, mss: number, within: number): Promise<number> {
    const begin = performance.now();
    const before = (await this.stream())?.acknowledged ?? 0;
    for (;;) {
      const now = await this.stream();
      const carried = (now?.acknowledged ?? 0) - before;
      if (now?.mss === mss && carried > bytes) break;
      if (performance.now() - begin > patience(within)) {
        throw new Error(`${carried} bytes in segments of ${now?.mss}, not ${bytes} of ${mss}`);
      }
      await delay(POLL);
    }
    return performance.now() - begin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) await program[Symbol.asyncDispose]();
  }
}

/** Bytes of an IP header, of the address's family. */
export function headerOf(address: Ip): number {
  return familyOf(address) === 'ipv4' ? 20 : 40;
}

/** What ping with "do not fragment" makes of an inner packet of so many bytes: does it arrive? */
export async function passes(
  lab: Topology,
  namespace: string,
  target: Ip,
  size: number,
): Promise<boolean> {
  const argv = [
    'ping',
    '-c1',
    '-W2',
    '-M',
    'do',
    '-s',
    String(size - headerOf(target) - 8),
    target,
  ];
  return (await lab.exec(namespace, argv, { timeout: patience(10_000) })).code === 0;
}
