import { PROGRAM_RATES, type Rate } from '../../src/core/budgets.ts';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { Program, run, runChecked, type Finished } from '../../src/adapters/lab/process.ts';
import { openRouteNetlink } from '../../src/adapters/netlink/route.ts';
import type { ProgramConfig, ProgramPeer } from '../../src/adapters/planes/bpf/abi.ts';
import {
  decapProgram,
  hardwareAddress,
  preparePair,
} from '../../src/adapters/planes/bpf/devices.ts';
import type { Hook } from '../../src/adapters/planes/bpf/bpf-calls.ts';
import { loadPrograms, type Programs } from '../../src/adapters/planes/bpf/programs.ts';
import { familyOf, type Family, type OuterIp } from '../../src/core/addr.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import { type IfIndex } from '../../src/core/units.ts';
import { inner, ip } from './addresses.ts';
import { inNamespace } from './in-namespace.ts';
import { patience } from './patience.ts';

let made = 0;

export const BPF_PORT = 10_000;
/** No limit that a test would meet. */
const PLENTY = { perSecond: 100_000, burst: 100_000 };

/** What both ends of a pair start with. */
export const QUIET_CONFIG: Omit<ProgramConfig, 'near' | 'far' | 'nearMac'> = {
  localPort: BPF_PORT,
  ttl: 64,
  hopLimit: 64,
  udpChecksum: false,
  udpChecksum6: false,
  outside: ['ipv4'],
  inside: ['ipv4'],
  strangers: true,
  defaultPeer: 0,
  hasHosts: false,
  hasPrefixes: false,
  hasHosts6: false,
  hasPrefixes6: false,
  authLengths: [73],
  tags: false,
  rates: allRates(PLENTY),
};

/** One rate for everything that has one. */
export function allRates(rate: Rate): ProgramConfig['rates'] {
  const names = Object.keys(PROGRAM_RATES) as (keyof typeof PROGRAM_RATES)[];
  return Object.fromEntries(names.map((name) => [name, rate])) as ProgramConfig['rates'];
}

export type BpfHostOptions = {
  readonly config?: Partial<ProgramConfig>;
  readonly peer?: Partial<ProgramPeer>;
  readonly maxPeers?: number;
  /** Keys of tags that there is room for in each direction; default 16. */
  readonly tagRoom?: number;
  readonly innerMtu?: number;
  /** Default: the cable, `v0`. */
  readonly outerDevice?: string;
  /** Families that the tunnel carries; default IPv4 alone. */
  readonly inside?: readonly Family[];
  /** Addresses of both sides on the outer devices; default those of the cable, of IPv4. */
  readonly outerIps?: readonly [OuterIp, OuterIp];
};

/** One end: the tunnel devices, and the programs attached. */
export type BpfHost = {
  readonly namespace: string;
  readonly programs: Programs;
  readonly config: ProgramConfig;
  readonly near: IfIndex;
  readonly far: IfIndex;
  readonly outer: IfIndex;
  readonly hooks: readonly Hook[];
};

/*
 *       A                                B
 *   near 172.28.0.1 -+              +- near 172.28.0.2
 *        fd28::1     |              |  fd28::2
 *         far        |              |  far
 *    v0 10.9.0.1/24 -+==== veth ====+- v0 10.9.0.2/24
 *      fd09::1/64                       fd09::2/64
 *
 * Addresses of IPv6 are there where a tunnel is over it, or carries it.
 */
export class BpfPair implements AsyncDisposable {
  readonly namespaces: readonly [string, string];
  readonly hosts: BpfHost[] = [];
  readonly #servers: Program[] = [];
  readonly #others: string[] = [];

  private constructor(prefix: string) {
    this.namespaces = [`${prefix}-a`, `${prefix}-b`];
  }

  /** Two namespaces with a cable between them. */
  static async make(): Promise<BpfPair> {
    made += 1;
    const pair = new BpfPair(`ipipoub-${process.pid}-${made}`);
    const [a, b] = pair.namespaces;
    await ipBatch(undefined, [
      `netns add ${a}`,
      `netns add ${b}`,
      `link add v0 netns ${a} type veth peer name v0 netns ${b}`,
    ]);
    for (const [side, namespace] of pair.namespaces.entries()) {
      await ipBatch(namespace, [
        'link set lo up',
        'link set v0 addrgenmode none',
        `addr add ${OUTER[side]}/24 dev v0`,
        'link set v0 up',
      ]);
    }
    return pair;
  }

  /** Two namespaces, each with a tunnel to the other. */
  static async open(options: BpfHostOptions = {}): Promise<BpfPair> {
    const pair = await BpfPair.make();
    try {
      await pair.addTunnel(0, options);
      await pair.addTunnel(1, options);
      return pair;
    } catch (error) {
      await pair[Symbol.asyncDispose]();
      throw error;
    }
  }

  get a(): BpfHost {
    return this.#host(0);
  }

  get b(): BpfHost {
    return this.#host(1);
  }

  #host(side: number): BpfHost {
    const host = this.hosts[side];
    if (!host) throw new Error(`no tunnel on side ${side}`);
    return host;
  }

  async addTunnel(side: 0 | 1, options: BpfHostOptions): Promise<BpfHost> {
    const namespace = this.namespaces[side];
    const other = side === 0 ? 1 : 0;
    const outerFamily = familyOf(options.outerIps?.[0] ?? OUTER[0]);
    const inside = options.inside ?? ['ipv4'];
    const mtu = options.innerMtu ?? 1500 - overheadOf(outerFamily);
    await ipBatch(namespace, [
      `link add near mtu ${mtu} type veth peer name far mtu ${mtu}`,
      'link set near addrgenmode none arp off',
      'link set far addrgenmode none arp off',
      `addr add ${INNER[side]} peer ${INNER[other]} dev near`,
      'link set far up',
      'link set near up',
      ...(outerFamily === 'ipv6' ? [`addr add ${OUTER6[side]}/64 dev v0 nodad`] : []),
      ...(inside.includes('ipv6')
        ? [`addr add ${INNER6[side]} peer ${INNER6[other]} dev near nodad`]
        : []),
    ]);
    const netlink = inNamespace(namespace, () => openRouteNetlink());
    try {
      const [near, far, outer] = await Promise.all(
        ['near', 'far', options.outerDevice ?? 'v0'].map(
          async (name) => (await netlink.linkByName(name))?.index,
        ),
      );
      if (!near || !far || !outer) throw new Error('the devices are not there');
      const host = inNamespace(namespace, () => attach(side, options, mtu, { near, far, outer }));
      this.hosts[side] = { namespace, ...host };
      return this.#host(side);
    } finally {
      netlink.close();
    }
  }

  /**
   * A third namespace behind the second, reached through the tunnel, over a device that cannot send
   * aggregates.
   */
  async addThird(
    family: Family = 'ipv4',
  ): Promise<{ readonly namespace: string; readonly address: OuterIp }> {
    const [a, b] = this.namespaces;
    const third = b.replace(/-b$/, '-c');
    this.#others.push(third);
    await ipBatch(undefined, [
      `netns add ${third}`,
      `link add w0 netns ${b} type veth peer name w0 netns ${third}`,
    ]);
    await ipBatch(b, ['addr add 10.8.0.1/24 dev w0', 'link set w0 up']);
    await ipBatch(third, [
      'addr add 10.8.0.2/24 dev w0',
      'link set w0 up',
      `route add ${INNER[0]} via 10.8.0.1`,
    ]);
    await ipBatch(a, ['route add 10.8.0.0/24 dev near']);
    await this.sure(1, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    await this.sure(1, ...'ethtool -K w0 tso off gso off tx off'.split(' '));
    if (family === 'ipv4') return { namespace: third, address: ip('10.8.0.2') };
    await this.sure(1, 'sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1');
    await ipBatch(b, ['addr add fd08::1/64 dev w0 nodad']);
    await ipBatch(third, [
      'addr add fd08::2/64 dev w0 nodad',
      `route add ${INNER6[0]} via fd08::1`,
    ]);
    await ipBatch(a, ['route add fd08::/64 dev near']);
    return { namespace: third, address: ip('fd08::2') };
  }

  /** An iperf3 server on the second side. */
  async startServer(): Promise<void> {
    const server = new Program(inside(this.namespaces[1], ['iperf3', '-s', '--forceflush']));
    this.#servers.push(server);
    await server.waitFor(/Server listening/);
  }

  async exec(side: 0 | 1, ...argv: readonly string[]): Promise<Finished> {
    return run(inside(this.namespaces[side], argv), { timeout: patience(30_000) });
  }

  async sure(side: 0 | 1, ...argv: readonly string[]): Promise<string> {
    const options = { timeout: patience(30_000) };
    return (await runChecked(inside(this.namespaces[side], argv), options)).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.stop();
    for (const { programs } of this.hosts) programs[Symbol.dispose]();
    await removeNamespaces([...this.namespaces, ...this.#others]);
  }
}

export const OUTER = [ip('10.9.0.1'), ip('10.9.0.2')] as const;
export const OUTER6 = [ip('fd09::1'), ip('fd09::2')] as const;
export const INNER = [inner('172.28.0.1'), inner('172.28.0.2')] as const;

export const INNER6 = [inner('fd28::1'), inner('fd28::2')] as const;

type Devices = { readonly near: IfIndex; readonly far: IfIndex; readonly outer: IfIndex };

/** Loads, configures and attaches, in the namespace of the calling thread. */
function attach(
  side: 0 | 1,
  options: BpfHostOptions,
  mtu: number,
  { near, far, outer }: Devices,
): Omit<BpfHost, 'namespace'> {
  const [here, there] = options.outerIps ?? OUTER;
  const inside = options.inside ?? ['ipv4'];
  const config: ProgramConfig = {
    ...QUIET_CONFIG,
    outside: [familyOf(here)],
    inside,
    near,
    far,
    nearMac: hardwareAddress('near').mac,
    ...options.config,
  };
  const ipv6 = { outside: familyOf(here) === 'ipv6', inside: inside.includes('ipv6') };
  const programs = loadPrograms({
    ...{ maxPeers: options.maxPeers ?? 4, ipv6 },
    tags: { receive: options.tagRoom ?? 16, send: options.tagRoom ?? 16 },
  });
  preparePair('near', 'far');
  programs.configure(config);
  const [localIp, remoteIp] = side === 0 ? [here, there] : [there, here];
  programs.admit(0, { ...peerOn(localIp, remoteIp, outer, mtu), ...options.peer });
  const handle = BPF_PORT;
  const hooks: readonly Hook[] = [
    { device: near, direction: 'egress', handle },
    { device: far, direction: 'ingress', handle },
    { device: outer, direction: 'ingress', handle },
  ];
  const names = [
    'ipipou_encap',
    'ipipou_encap',
    decapProgram(options.outerDevice ?? 'v0'),
  ] as const;
  for (const [index, hook] of hooks.entries()) programs.attach(hook, names[index] ?? names[0]);
  return { programs, config, near, far, outer, hooks };
}

function peerOn(
  localIp: OuterIp,
  remoteIp: OuterIp,
  outerDevice: IfIndex,
  innerMtu: number,
): ProgramPeer {
  return {
    ...{ remoteIp, remotePort: BPF_PORT, localIp, innerMtu, outerDevice },
    ...{ anySource: true, innerIp: undefined },
  };
}
