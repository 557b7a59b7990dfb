import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { vi } from 'vitest';
import type { Ipv4, Path } from '../../src/core/addr.ts';
import { DEFAULT_PEER, type TunnelConfig } from '../../src/core/config/tunnel-config.ts';
import { port, seconds } from '../../src/core/units.ts';
import { ALL_OFFLOADS, type Offloads } from '../../src/adapters/planes/tun/offloads.ts';
import type {
  ControlPacket,
  OutgoingControl,
  PeerCounters,
  PeerDescription,
  PeerId,
  PlaneDescription,
  PlanePeer,
  Requirement,
} from '../../src/ports/data-plane.ts';

const DRIVER = path.resolve(import.meta.dirname, 'tun-driver.mjs');
const PLANE = path.resolve(import.meta.dirname, '../../dist/adapters/planes/tun/index.js');

export type TunEvent =
  | ({ readonly event: 'packet' } & ControlPacket)
  | { readonly event: 'disturbed'; readonly what: string; readonly repaired: boolean }
  | { readonly event: 'failed'; readonly message: string }
  | {
      readonly event: 'log';
      readonly level: string;
      readonly text: string;
      readonly fields: unknown;
    }
  | { readonly event: 'ready' };

type Reply = {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly message: string };
};

export type TunOptions = {
  readonly ip: Ipv4;
  readonly peerIp: Ipv4;
  readonly localIp?: Ipv4;
  readonly outerDevice?: string;
  readonly udpChecksum?: boolean;
  readonly mtu?: number;
  readonly device?: string;
  readonly offloads?: Partial<Offloads>;
  /** Instead of one peer that everything is for. */
  readonly peers?: readonly PlanePeer[];
};

/** A process in a namespace that holds a tun plane (tun-driver.mjs). Everything it says is kept. */
export class TunHost implements AsyncDisposable {
  readonly events: TunEvent[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #nextId = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => {
      const heard = message as TunEvent | Reply;
      if ('event' in heard) this.events.push(heard);
      else this.#waiting.get(heard.id)?.(heard);
    });
    child.once('exit', () => {
      for (const [id, settle] of this.#waiting) {
        settle({ id, error: { message: 'the driver ended' } });
      }
    });
  }

  static async in(namespace: string): Promise<TunHost> {
    if (!existsSync(PLANE)) throw new Error(`${PLANE} is not there: run "npm run build"`);
    const argv = ['netns', 'exec', namespace, process.execPath, DRIVER, `file://${PLANE}`];
    const child = spawn('ip', argv, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    const host = new TunHost(child);
    await vi.waitFor(() => {
      if (!host.events.some(({ event }) => event === 'ready')) throw new Error('not ready');
    }, 20_000);
    return host;
  }

  async open(options: TunOptions, authLengths: readonly number[] = []): Promise<void> {
    const offloads = { ...ALL_OFFLOADS, ...options.offloads };
    await this.#ask('open', { config: tunConfig(options), authLengths, offloads });
  }

  async probe(): Promise<readonly Requirement[]> {
    return (await this.#ask('probe')) as readonly Requirement[];
  }

  async configure(peers: readonly PlanePeer[]): Promise<void> {
    await this.#ask('configure', peers);
  }

  async remove(peers: readonly PeerId[]): Promise<void> {
    await this.#ask('remove', peers);
  }

  async admit(where: Path, peer: PeerId = DEFAULT_PEER): Promise<void> {
    await this.#ask('admit', { peer, path: where });
  }

  async limitMtu(peer: PeerId, mtu: number | undefined): Promise<void> {
    await this.#ask('limitMtu', { peer, mtu });
  }

  async admitSenders(): Promise<void> {
    await this.#ask('admitSenders');
  }

  async evict(): Promise<void> {
    await this.#ask('evict');
  }

  async send(packet: OutgoingControl): Promise<void> {
    await this.#ask('send', packet);
  }

  async counters(peer: PeerId = DEFAULT_PEER): Promise<PeerCounters> {
    return (await this.#ask('counters', peer)) as PeerCounters;
  }

  async describePeer(peer: PeerId = DEFAULT_PEER): Promise<PeerDescription> {
    return (await this.#ask('describePeer', peer)) as PeerDescription;
  }

  /** Its monotonic clock, milliseconds. */
  async now(): Promise<number> {
    return (await this.#ask('now')) as number;
  }

  async describe(): Promise<PlaneDescription> {
    return (await this.#ask('describe')) as PlaneDescription;
  }

  async refresh(): Promise<void> {
    await this.#ask('refresh');
  }

  async close(mode: 'remove' | 'leave'): Promise<void> {
    await this.#ask('close', mode);
  }

  /** Makes the forwarding thread throw. */
  async crash(): Promise<void> {
    await this.#ask('crash');
  }

  /** Ends the process without closing anything; its exit code. */
  async exit(code: number): Promise<number | NodeJS.Signals | null> {
    const ended = once(this.#child, 'exit');
    this.#child.send({ id: 0, call: 'exit', argument: code });
    await ended;
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  async descriptors(): Promise<readonly string[]> {
    return (await this.#ask('descriptors')) as readonly string[];
  }

  /** Stops and continues the whole process (SIGSTOP, SIGCONT). */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Control packets heard so far. */
  packets(): readonly ControlPacket[] {
    return this.events.filter((event) => event.event === 'packet');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.disconnect();
    await exit;
  }

  /** Rejects with the error as the plane threw it: exit, errno and hint are on it. */
  async #ask(call: string, argument?: unknown): Promise<unknown> {
    const id = this.#nextId;
    this.#nextId += 1;
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.send({ id, call, argument });
    });
    this.#waiting.delete(id);
    if (reply.error) throw Object.assign(new Error(reply.error.message), reply.error);
    return reply.value;
  }
}

function tunConfig(options: TunOptions): TunnelConfig {
  const solePeer: PlanePeer = { id: DEFAULT_PEER, innerIp: options.peerIp, allowedIps: 'any' };
  return {
    name: 'test',
    role: 'server',
    number: 0,
    dataplane: 'tun',
    outer: {
      localIp: options.localIp,
      localPort: port(10000),
      device: options.outerDevice,
      localIpAlt: '172.29.0.0' as Ipv4,
      forceLocalIpAlt: false,
      udpChecksum: options.udpChecksum ?? true,
    },
    inner: {
      device: options.device ?? 'ipipou0',
      ip: options.ip,
      mtu: options.mtu,
    },
    queue: { number: 0, maxLength: 24 },
    nft: { table: 'ipipou', counters: true },
    peers: (options.peers ?? [solePeer]).map((peer) => ({ ...peer, ...UNUSED })),
  };
}

/** What a plane takes no notice of. */
const UNUSED = {
  proof: { kind: 'none' },
  auth: {
    byRemoteIp: false,
    byRemotePort: false,
    packetTtl: undefined,
    replyOnAuthOk: false,
  },
  timers: {
    authLifetime: seconds(0),
    keepalive: seconds(0),
    connectionIdle: seconds(0),
    deadPeerTimeout: seconds(0),
  },
  remoteHost: undefined,
  remotePort: undefined,
} as const;
