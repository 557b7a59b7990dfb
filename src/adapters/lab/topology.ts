import { parseOuterIp, addToIp, type OuterIp } from '../../core/addr.ts';
import { IpipouError } from '../../core/errors.ts';
import type { Seconds } from '../../core/units.ts';
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
 * Names are `ipipou-PID-SERIAL-ROLE`: a run takes away what a run that no longer lives left behind.
 */

export const SERVER_ADDRESS = address('203.0.113.1');
export const NAT_ADDRESSES = [address('203.0.113.2'), address('203.0.113.3')] as const;
export const ROUTER_LAN_ADDRESS = address('192.168.0.1');
const CLIENT_BASE = address('192.168.0.2');
/** Where `changeClientAddress` moves to: out of the way of every client's first address. */
const CLIENT_MOVED_BASE = address('192.168.0.100');
const MAX_CLIENTS = 64;
/** Ports that `remapNat` deals out, so many at a time. */
const REMAP_FIRST_PORT = 40_000;
const REMAP_PORTS = 100;

export type LabOptions = {
  /** 1..64; default 1. */
  readonly clients?: number;
  /** 2: the router has a second public address, and every other client is behind that one. Default 1. */
  readonly natAddresses?: 1 | 2;
  /** `keep`: the router keeps the source port where it is free (default); `random`: it never does. */
  readonly natPorts?: 'keep' | 'random';
  /** How long the router remembers a UDP mapping: unanswered, answered. Default: the kernel's (30, 120). */
  readonly udpTimeouts?: { readonly unreplied: Seconds; readonly replied: Seconds };
  /** MTU of every link; default 1500. */
  readonly mtu?: number;
  /**
   * `off`: server and clients send finished frames of the MTU's size, as over a wire (default).
   * `on`: segmentation and checksums are left to the receiver; tunnels that put a checksum on what
   * they carry then fail through the NAT.
   */
  readonly offloads?: 'off' | 'on';
  /**
   * `bridge`: clients share a network (default). `routed`: each has the router to itself; a bridge
   * cuts encapsulated super-packets (it lacks the kernel's hw_enc_features), which routers need not.
   */
  readonly lan?: 'bridge' | 'routed';
  /** Takes the lab down, and every program in it, when aborted. */
  readonly signal?: AbortSignal;
};

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
  readonly #clientAddresses: OuterIp[];
  /** Index into NAT_ADDRESSES for each client. */
  readonly #natOf: number[];
  #remaps = 0;
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
    this.#clientAddresses = indices.map((index) => addToIp(CLIENT_BASE, index));
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

  clientAddress(index = 0): OuterIp {
    const found = this.#clientAddresses[index];
    if (found === undefined) throw new RangeError(`no client ${index}`);
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
    const wan = NAT_ADDRESSES.slice(0, this.#options.natAddresses ?? 1);
    await Promise.all([
      ipBatch(this.server, [
        'link set lo up',
        `addr add ${SERVER_ADDRESS}/24 dev eth0`,
        'link set eth0 up',
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
          `addr add ${this.clientAddress(index)}/24 dev eth0`,
          'link set eth0 up',
          `route add default via ${ROUTER_LAN_ADDRESS}`,
        ]),
      ),
    ]);
    await this.#nft([
      'add table ip lab',
      'add chain ip lab nat { type nat hook postrouting priority 100 ; }',
      'add chain ip lab input { type filter hook input priority 0 ; }',
      'add rule ip lab input iifname "wan" meta l4proto udp drop',
      ...this.#natRules(),
    ]);
    if (this.#options.offloads !== 'on') {
      const ends = [this.server, ...this.clients];
      const finish = ['ethtool', '-K', 'eth0', 'tx', 'off'];
      await Promise.all(ends.map(async (name) => this.#checked(name, finish)));
    }
    // After nft: the timeouts exist once connection tracking is there.
    const timeouts = this.#options.udpTimeouts;
    await this.#checked(this.router, [
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
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
    const program = new Program(inside(namespace, argv), options);
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

  /** Gives a client another address on its network, as a new DHCP lease would. */
  async changeClientAddress(index = 0): Promise<OuterIp> {
    const old = this.clientAddress(index);
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

  /** Cuts or mends the link between the router and the server. */
  async setUplink(state: 'up' | 'down'): Promise<void> {
    await this.#checked(this.router, ['ip', 'link', 'set', 'wan', state]);
  }

  /** The UDP mappings that the router remembers now. */
  async natMappings(): Promise<readonly NatMapping[]> {
    const list = ['conntrack', '-L', '-p', 'udp', '-o', 'xml'];
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
  }

  #lanLines(mtu: number): readonly string[] {
    if (this.#options.lan === 'routed') {
      return this.clients.flatMap((_, index) => [
        `addr add ${ROUTER_LAN_ADDRESS}/32 dev lan${index}`,
        `link set lan${index} up`,
        `route add ${this.clientAddress(index)}/32 dev lan${index}`,
      ]);
    }
    return [
      `link add name br0 mtu ${mtu} type bridge`,
      `addr add ${ROUTER_LAN_ADDRESS}/24 dev br0`,
      ...this.clients.map((_, index) => `link set lan${index} master br0 up`),
      'link set br0 up',
    ];
  }

  #natRules(): readonly string[] {
    const first = REMAP_FIRST_PORT + (this.#remaps - 1) * REMAP_PORTS;
    const ports = this.#remaps === 0 ? '' : `:${first}-${first + REMAP_PORTS - 1}`;
    // A router that restarts forgets connections of every kind.
    const remapped = this.#remaps === 0 ? 'meta l4proto udp' : 'meta l4proto { tcp, udp }';
    const flags = this.#options.natPorts === 'random' ? ' random' : '';
    return this.clients.flatMap((_, index) => {
      const match = `oifname "wan" ip saddr ${this.clientAddress(index)}`;
      const to = this.natAddress(index);
      return [
        `add rule ip lab nat ${match} ${remapped} counter snat to ${to}${ports}${flags}`,
        `add rule ip lab nat ${match} counter snat to ${to}`,
      ];
    });
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
