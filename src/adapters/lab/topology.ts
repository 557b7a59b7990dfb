import { parseOuterIp, addToIp, type Family, type OuterIp } from '../../core/addr.ts';
import { IpipouError } from '../../core/errors.ts';
import {
  clientAddress6,
  clientLines6,
  FIREWALL6,
  routerLines6,
  serverLines6,
  SERVER_ADDRESS6,
} from './ipv6.ts';
import { NamesFile, type Names } from './names.ts';
import type { Families, LabOptions } from './options.ts';
import { natRules } from './nat-rules.ts';
import { parseNatMappings, type NatMapping } from './nat-mappings.ts';
import { inside, ipBatch, removeNamespaces, removeStale } from './namespaces.ts';
import {
  Program,
  runChecked,
  type Finished,
  type RunOptions,
  type SpawnOptions,
} from './process.ts';

/*
 * A server, a NAT router and clients, each a network namespace of this machine:
 *
 *   SERVER                      ROUTER                                   CLIENT 0, 1, …
 *   ┌───────────────┐           ┌──────────────────────────┐            ┌──────────────────┐
 *   │          eth0 ├───────────┤ wan      br0 ─┬─ lan0    ├────────────┤ eth0             │
 *   │ 203.0.113.1   │           │ 203.0.113.2   ├─ lan1 ── ┼── …        │ 192.168.0.2, .3… │
 *   └───────────────┘           │ (203.0.113.3) │          │            │ default via .1   │
 *     no route to               │      192.168.0.1         │            └──────────────────┘
 *     192.168.0.0/24            │ source NAT out of wan    │
 *                               └──────────────────────────┘
 *
 * The router drops UDP that arrives on `wan` for itself, as home routers do: packets for a mapping
 * that is gone are lost silently and take no port.
 *
 * Server and clients fill checksums in themselves. With offloading a packet crosses a veth without,
 * and then source NAT spoils the outer checksum of a tunnelled one: it takes the field for that of
 * the unfinished inner checksum. Frames from a network card never meet a router in that state.
 *
 * Where a client has IPv6, server and router have it too; its drawing is at the head of ipv6.ts.
 *
 * Names are `ipipou-PID-SERIAL-ROLE`: a run takes away what a run that no longer lives left behind.
 */

export const SERVER_ADDRESS = address('203.0.113.1');
export const NAT_ADDRESSES = [address('203.0.113.2'), address('203.0.113.3')] as const;
export const ROUTER_LAN_ADDRESS = address('192.168.0.1');
const CLIENT_BASE = address('192.168.0.2');
/** Where `changeClientAddress` moves to: out of the way of every client's first address. */
const CLIENT_MOVED_BASE = address('192.168.0.100');
const MAX_CLIENTS = 64;

export type { LabOptions };

/** Builds the topology; removes everything again when a part of it fails. */
export async function up(options: LabOptions = {}): Promise<Topology> {
  await removeStale();
  const lab = new Topology(options);
  try {
    await lab.build();
    options.signal?.throwIfAborted();
  } catch (error) {
    await lab.down();
    throw error;
  }
  lab.endWith(options.signal);
  return lab;
}

let serial = 0;

/** A built topology. Disposing takes it down. */
export class Topology implements AsyncDisposable {
  readonly server: string;
  readonly router: string;
  readonly clients: readonly string[];
  readonly #options: LabOptions;
  readonly #programs = new Set<Program>();
  readonly #families: readonly Families[];
  readonly #clientAddresses: OuterIp[];
  readonly #clientAddresses6: OuterIp[];
  /** Index into NAT_ADDRESSES for each client. */
  readonly #natOf: number[];
  #remaps = 0;
  #names: NamesFile | undefined;
  #forgetSignal: () => void = () => undefined;
  #down: Promise<void> | undefined;

  constructor(options: LabOptions) {
    const count = options.clients ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > MAX_CLIENTS) {
      throw new RangeError(`a lab has 1 to ${MAX_CLIENTS} clients, not ${count}`);
    }
    const prefix = `ipipou-${process.pid}-${++serial}`;
    const indices = Array.from({ length: count }, (_, index) => index);
    this.#options = options;
    this.server = `${prefix}-srv`;
    this.router = `${prefix}-nat`;
    this.clients = indices.map((index) => `${prefix}-c${index}`);
    const families = options.families ?? 'ipv4';
    this.#families = indices.map((index) =>
      typeof families === 'string' ? families : (families[index] ?? 'ipv4'),
    );
    this.#clientAddresses = indices.map((index) => addToIp(CLIENT_BASE, index));
    this.#clientAddresses6 = indices.map((index) => clientAddress6(index));
    this.#natOf = indices.map((index) => index % (options.natAddresses ?? 1));
  }

  /** Every namespace of this lab. */
  get namespaces(): readonly string[] {
    return [this.server, this.router, ...this.clients];
  }

  client(index = 0): string {
    const name = this.clients[index];
    if (name === undefined) throw new RangeError(`no client ${index}`);
    return name;
  }

  clientAddress(index = 0, family: Family = 'ipv4'): OuterIp {
    const all = family === 'ipv4' ? this.#clientAddresses : this.#clientAddresses6;
    const found = this.#has(index, family) ? all[index] : undefined;
    if (found === undefined) throw new RangeError(`no client ${index} with ${family}`);
    return found;
  }

  /** The public address that a client appears with. */
  natAddress(client = 0): OuterIp {
    const found = NAT_ADDRESSES[this.#natOf[client] ?? -1];
    if (found === undefined) throw new RangeError(`no client ${client}`);
    return found;
  }

  async build(): Promise<void> {
    const mtu = this.#options.mtu ?? 1500;
    const links = [{ namespace: this.server, far: 'wan' }].concat(
      this.clients.map((namespace, index) => ({ namespace, far: `lan${index}` })),
    );
    await ipBatch(undefined, [
      ...this.namespaces.map((name) => `netns add ${name}`),
      ...links.map(
        ({ namespace, far }) =>
          `link add name eth0 mtu ${mtu} netns ${namespace} type veth ` +
          `peer name ${far} mtu ${mtu} netns ${this.router}`,
      ),
    ]);
    if (this.#options.names) this.#names = await NamesFile.make(this.#options.names);
    const wan = NAT_ADDRESSES.slice(0, this.#options.natAddresses ?? 1);
    await Promise.all(this.namespaces.map(async (name) => this.#prepare(name)));
    await Promise.all([
      ipBatch(this.server, [
        'link set lo up',
        `addr add ${SERVER_ADDRESS}/24 dev eth0`,
        'link set eth0 up',
        ...(this.#dual ? serverLines6() : []),
      ]),
      ipBatch(this.router, [
        'link set lo up',
        ...wan.map((ip) => `addr add ${ip}/24 dev wan`),
        'link set wan up',
        ...this.#lanLines(mtu),
      ]),
      ...this.clients.map(async (name, index) =>
        ipBatch(name, [
          'link set lo up',
          'link set eth0 up',
          ...(this.#has(index, 'ipv4') ? this.#clientLines4(index) : []),
          ...(this.#has(index, 'ipv6') ? clientLines6(this.clientAddress(index, 'ipv6')) : []),
        ]),
      ),
    ]);
    await this.#nft([
      'add table ip lab',
      'add chain ip lab nat { type nat hook postrouting priority 100 ; }',
      'add chain ip lab input { type filter hook input priority 0 ; }',
      'add rule ip lab input iifname "wan" meta l4proto udp drop',
      ...this.#natRules(),
      ...(this.#dual ? FIREWALL6 : []),
    ]);
    // After nft: the timeouts exist once connection tracking is there.
    const timeouts = this.#options.udpTimeouts;
    await this.#checked(this.router, [
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      ...(this.#dual
        ? ['net.ipv6.conf.all.forwarding=1', 'net.ipv6.conf.all.keep_addr_on_down=1']
        : []),
      ...(timeouts === undefined
        ? []
        : [
            `net.netfilter.nf_conntrack_udp_timeout=${timeouts.unreplied}`,
            `net.netfilter.nf_conntrack_udp_timeout_stream=${timeouts.replied}`,
          ]),
    ]);
  }

  /**
   * Runs a program in a namespace to its end; its exit code is the caller's to judge. Rejects once
   * the lab is taken down: who repeats it until something happens ends then.
   */
  async exec(
    namespace: string,
    argv: readonly string[],
    options: RunOptions = {},
  ): Promise<Finished> {
    const { timeout, ...rest } = options;
    const program = this.spawn(namespace, argv, rest);
    try {
      return await program.end(timeout);
    } finally {
      this.#programs.delete(program);
    }
  }

  /** Starts a program in a namespace; `down` kills it if it still runs then. Throws after `down`. */
  spawn(namespace: string, argv: readonly string[], options?: SpawnOptions): Program {
    if (this.#down !== undefined) {
      throw new IpipouError('generic', `${argv.join(' ')}: the lab is taken down`);
    }
    const command = this.#names?.around(argv) ?? argv;
    const program = new Program(inside(namespace, command), options);
    this.#programs.add(program);
    return program;
  }

  /** Makes the router forget every mapping and deal other source ports from now on. */
  async remapNat(): Promise<void> {
    this.#remaps += 1;
    await this.#applyNat();
  }

  /** Moves a client behind the router's other public address (which it is given if it has but one). */
  async changeNatAddress(client = 0): Promise<OuterIp> {
    const now = this.#natOf[client];
    if (now === undefined) throw new RangeError(`no client ${client}`);
    const next = 1 - now;
    this.#natOf[client] = next;
    const ip = this.natAddress(client);
    await this.#checked(this.router, ['ip', 'addr', 'replace', `${ip}/24`, 'dev', 'wan']);
    await this.#applyNat();
    return ip;
  }

  /** Gives a client another address on its network, as a new DHCP lease or prefix would. */
  async changeClientAddress(index = 0, family: Family = 'ipv4'): Promise<OuterIp> {
    const old = this.clientAddress(index, family);
    return family === 'ipv4' ? this.#moveClient4(index, old) : this.#moveClient6(index, old);
  }

  /** From now on hosts resolve these names (of a lab that was built with some). */
  async setNames(names: Names): Promise<void> {
    await this.#names?.write(names);
  }

  /** The server's address. */
  serverAddress(family: Family = 'ipv4'): OuterIp {
    return family === 'ipv4' ? SERVER_ADDRESS : SERVER_ADDRESS6;
  }

  /** Cuts or mends the link between the router and the server. */
  async setUplink(state: 'up' | 'down'): Promise<void> {
    await this.#checked(this.router, ['ip', 'link', 'set', 'wan', state]);
  }

  /** The UDP mappings that the router remembers now; of IPv6 those that its firewall lets answers in for. */
  async natMappings(family: Family = 'ipv4'): Promise<readonly NatMapping[]> {
    const list = ['conntrack', '-L', '-f', family, '-p', 'udp', '-o', 'xml'];
    return parseNatMappings((await runChecked(inside(this.router, list))).stdout);
  }

  /** Takes the lab down when the signal is aborted; a failure is reported to whoever awaits `down` next. */
  endWith(signal: AbortSignal | undefined): void {
    const end = (): void => void this.down().catch(() => undefined);
    signal?.addEventListener('abort', end);
    this.#forgetSignal = () => signal?.removeEventListener('abort', end);
  }

  /** Ends every program in the namespaces and removes them. Idempotent; never leaves half. */
  async down(): Promise<void> {
    this.#forgetSignal();
    this.#down ??= this.#takeDown();
    await this.#down;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  async #takeDown(): Promise<void> {
    for (const program of this.#programs) program.signal('SIGKILL');
    await removeNamespaces(this.namespaces);
    await Promise.allSettled([...this.#programs].map(async (program) => program.finished));
    this.#programs.clear();
    await this.#names?.[Symbol.asyncDispose]();
  }

  get #dual(): boolean {
    return this.#families.some((families) => families !== 'ipv4');
  }

  #has(index: number, family: Family): boolean {
    const families = this.#families[index];
    return families === 'both' || families === family;
  }

  /** Addresses of IPv6 are good at once, and packets leave their ends finished. */
  async #prepare(namespace: string): Promise<void> {
    const lines = [
      'for file in /proc/sys/net/ipv6/conf/*/accept_dad; do [ ! -e $file ] || echo 0 > $file; done',
    ];
    const finish = namespace !== this.router && this.#options.offloads !== 'on';
    if (finish) lines.push('ethtool -K eth0 tx off');
    await this.#checked(namespace, ['sh', '-ec', lines.join('\n')]);
  }

  #clientLines4(index: number): readonly string[] {
    return [
      `addr add ${this.clientAddress(index)}/24 dev eth0`,
      `route add default via ${ROUTER_LAN_ADDRESS}`,
    ];
  }

  async #moveClient4(index: number, old: OuterIp): Promise<OuterIp> {
    const moved = addToIp(CLIENT_MOVED_BASE, index);
    const next = old === moved ? addToIp(CLIENT_BASE, index) : moved;
    this.#clientAddresses[index] = next;
    await this.#applyNat();
    if (this.#options.lan === 'routed') {
      await ipBatch(this.router, [`route replace ${next}/32 dev lan${index}`]);
    }
    await ipBatch(this.client(index), [
      `addr del ${old}/24 dev eth0`,
      `addr add ${next}/24 dev eth0`,
      `route replace default via ${ROUTER_LAN_ADDRESS}`,
    ]);
    return next;
  }

  async #moveClient6(index: number, old: OuterIp): Promise<OuterIp> {
    const next = clientAddress6(index, old === clientAddress6(index));
    this.#clientAddresses6[index] = next;
    if (this.#options.lan === 'routed') {
      await ipBatch(this.router, [`route replace ${next}/128 dev lan${index}`]);
    }
    await ipBatch(this.client(index), [
      `addr del ${old}/64 dev eth0`,
      `addr add ${next}/64 dev eth0 nodad`,
    ]);
    return next;
  }

  #lanLines(mtu: number): readonly string[] {
    const having = (family: Family): readonly { device: string; address: OuterIp }[] =>
      this.clients.flatMap((_, index) =>
        this.#has(index, family)
          ? [{ device: `lan${index}`, address: this.clientAddress(index, family) }]
          : [],
      );
    if (this.#options.lan === 'routed') {
      return [
        ...this.clients.map((_, index) => `link set lan${index} up`),
        ...having('ipv4').flatMap(({ device, address: ip }) => [
          `addr add ${ROUTER_LAN_ADDRESS}/32 dev ${device}`,
          `route add ${ip}/32 dev ${device}`,
        ]),
        ...(this.#dual ? routerLines6(undefined, having('ipv6')) : []),
      ];
    }
    return [
      `link add name br0 mtu ${mtu} type bridge`,
      `addr add ${ROUTER_LAN_ADDRESS}/24 dev br0`,
      ...this.clients.map((_, index) => `link set lan${index} master br0 up`),
      'link set br0 up',
      ...(this.#dual ? routerLines6('br0', []) : []),
    ];
  }

  #natRules(): readonly string[] {
    const clients = this.clients.flatMap((_, index) =>
      this.#has(index, 'ipv4')
        ? [{ address: this.clientAddress(index), to: this.natAddress(index) }]
        : [],
    );
    return natRules(clients, this.#remaps, this.#options.natPorts === 'random');
  }

  async #applyNat(): Promise<void> {
    await this.#nft(['flush chain ip lab nat', ...this.#natRules()]);
    await this.#checked(this.router, ['conntrack', '-F']);
  }

  async #nft(commands: readonly string[]): Promise<void> {
    await runChecked(inside(this.router, ['nft', '-f', '-']), {
      input: `${commands.join('\n')}\n`,
    });
  }

  async #checked(namespace: string, argv: readonly string[]): Promise<void> {
    await runChecked(inside(namespace, argv));
  }
}

function address(text: string): OuterIp {
  const parsed = parseOuterIp(text);
  if (parsed === undefined) throw new RangeError(text);
  return parsed;
}
