import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { vi } from 'vitest';
import type { OuterIp, InnerIp, Path } from '../../src/core/addr.ts';
import { decodePublicKey } from '../../src/core/public-key.ts';
import {
  DEFAULT_PEER,
  type OuterConfig,
  type PeerConfig,
  type PeerId,
  type Proof,
  type TunnelConfig,
} from '../../src/core/config/tunnel-config.ts';
import type { Integrity, TagKeys } from '../../src/core/tag/types.ts';
import { port, seconds } from '../../src/core/units.ts';
import { ALL_OFFLOADS, type Offloads } from '../../src/adapters/planes/tun/offloads.ts';
import type {
  ControlPacket,
  OuterError,
  OutgoingControl,
  PeerCounters,
  PeerDescription,
  PlaneDescription,
  PlaneName,
  PlanePeer,
  Requirement,
} from '../../src/ports/data-plane.ts';
import { patience } from './patience.ts';

const DRIVER = path.resolve(import.meta.dirname, 'plane-driver.mjs');
/** What the build compiles module by module. */
const MODULES = path.resolve(import.meta.dirname, '../../.cache/modules');

export type PlaneEvent =
  | ({ readonly event: 'packet' } & ControlPacket)
  | { readonly event: 'outerError'; readonly error: OuterError }
  | { readonly event: 'roamed'; readonly peer: PeerId; readonly path: Path }
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

/** A peer as a plane knows it; most have no key. */
export type HostPeer = Omit<PlanePeer, 'hint'> &
  Partial<Pick<PlanePeer, 'hint'>> & { readonly integrity?: Integrity };

export type HostOptions = {
  readonly ips: readonly InnerIp[];
  readonly peers: readonly HostPeer[];
  readonly role?: 'server' | 'client';
  readonly localIps?: readonly OuterIp[];
  readonly family?: OuterConfig['family'];
  readonly localPort?: number;
  readonly outerDevice?: string;
  readonly udpChecksum?: boolean;
  readonly mtu?: number;
  readonly device?: string;
  /** What the tun plane leaves out. */
  readonly offloads?: Partial<Offloads>;
};

/**
 * A process in a namespace that holds a data plane (plane-driver.mjs). Everything it says is kept. Its
 * journal lives in a file, so that `again` finds what a killed one has written.
 */
export class PlaneHost implements AsyncDisposable {
  readonly events: PlaneEvent[] = [];
  readonly #child: ChildProcess;
  readonly #namespace: string;
  readonly #plane: PlaneName;
  readonly #folder: string;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #nextId = 1;

  private constructor(child: ChildProcess, namespace: string, plane: PlaneName, folder: string) {
    this.#child = child;
    this.#namespace = namespace;
    this.#plane = plane;
    this.#folder = folder;
    child.on('message', (message) => {
      const heard = message as PlaneEvent | Reply;
      if ('event' in heard) this.events.push(heard);
      else this.#waiting.get(heard.id)?.(heard);
    });
  }

  static async in(namespace: string, plane: PlaneName): Promise<PlaneHost> {
    const folder = await mkdtemp(path.join(tmpdir(), 'ipipou-plane-'));
    return PlaneHost.#start(namespace, plane, folder);
  }

  static async #start(namespace: string, plane: PlaneName, folder: string): Promise<PlaneHost> {
    const index = path.join(MODULES, `adapters/planes/${plane}/index.js`);
    if (!existsSync(index)) throw new Error(`${index} is not there: run "npm run build"`);
    const driver = [process.execPath, '--expose-gc', DRIVER, `file://${index}`];
    const argv = ['netns', 'exec', namespace, ...driver, `${plane}Plane`, `${folder}/journal`];
    const child = spawn('ip', argv, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    const host = new PlaneHost(child, namespace, plane, folder);
    await vi.waitFor(
      () => {
        if (!host.events.some(({ event }) => event === 'ready')) throw new Error('not ready');
      },
      // A guest may share its processor with whoever else works on this machine.
      { timeout: patience(60_000) },
    );
    return host;
  }

  /** Another process in the place of this one, which is killed with the journal it has written. */
  async killedAndAgain(): Promise<PlaneHost> {
    await this.kill();
    return PlaneHost.#start(this.#namespace, this.#plane, this.#folder);
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Opens the plane; whom it has adopted. */
  async open(
    options: HostOptions,
    authLengths: readonly number[] = [],
  ): Promise<ReadonlyMap<PeerId, Path>> {
    const config = hostConfig(options);
    const offloads = options.offloads && { ...ALL_OFFLOADS, ...options.offloads };
    const adopted = await this.#ask('open', { config, authLengths, offloads });
    return new Map(adopted as [PeerId, Path][]);
  }

  async clean(options: HostOptions): Promise<void> {
    await this.#ask('clean', hostConfig(options));
  }

  async probe(): Promise<readonly Requirement[]> {
    return (await this.#ask('probe')) as readonly Requirement[];
  }

  async configure(peers: readonly HostPeer[]): Promise<void> {
    await this.#ask(
      'configure',
      peers.map((peer) => ({ ...peer, hint: peer.hint })),
    );
  }

  async remove(...peers: readonly PeerId[]): Promise<void> {
    await this.#ask('remove', peers);
  }

  async admit(where: Path, peer: PeerId = DEFAULT_PEER, tags?: TagKeys): Promise<void> {
    await this.#ask('admit', { peer, path: where, tags });
  }

  /** Milliseconds that it took. */
  async admitAll(
    admissions: readonly { readonly peer: PeerId; readonly path: Path }[],
  ): Promise<number> {
    return (await this.#ask('admitAll', admissions)) as number;
  }

  async admitSenders(): Promise<void> {
    await this.#ask('admitSenders');
  }

  async evict(peer: PeerId = DEFAULT_PEER): Promise<void> {
    await this.#ask('evict', peer);
  }

  async limitMtu(mtu: number | undefined, peer: PeerId = DEFAULT_PEER): Promise<void> {
    await this.#ask('limitMtu', { peer, mtu });
  }

  async send(packet: OutgoingControl): Promise<void> {
    await this.#ask('send', packet);
  }

  async counters(peer: PeerId = DEFAULT_PEER): Promise<PeerCounters> {
    return (await this.#ask('counters', peer)) as PeerCounters;
  }

  async describe(): Promise<PlaneDescription> {
    return (await this.#ask('describe')) as PlaneDescription;
  }

  async describePeer(peer: PeerId = DEFAULT_PEER): Promise<PeerDescription> {
    return (await this.#ask('describePeer', peer)) as PeerDescription;
  }

  async refresh(): Promise<void> {
    await this.#ask('refresh');
  }

  async close(mode: 'remove' | 'leave'): Promise<void> {
    await this.#ask('close', mode);
  }

  /** Makes the forwarding thread of a tun plane throw. */
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

  /** Stops and continues the whole process (SIGSTOP, SIGCONT). */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Removes the plane if one is open and forgets what was heard: another can be opened. */
  async reset(): Promise<void> {
    await this.#ask('reset');
    this.events.length = 0;
  }

  /** Its clock, monotonic milliseconds. */
  async now(): Promise<number> {
    return (await this.#ask('now')) as number;
  }

  async saves(): Promise<number> {
    return (await this.#ask('saves')) as number;
  }

  async memory(): Promise<NodeJS.MemoryUsage> {
    return (await this.#ask('memory')) as NodeJS.MemoryUsage;
  }

  async descriptors(): Promise<readonly string[]> {
    return (await this.#ask('descriptors')) as readonly string[];
  }

  /** Paths from elsewhere that tagged packets have come on so far. */
  roamed(): readonly Path[] {
    return this.events.flatMap((event) => (event.event === 'roamed' ? [event.path] : []));
  }

  /** Control packets heard so far. */
  packets(): readonly ControlPacket[] {
    return this.events.filter((event) => event.event === 'packet');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      this.#child.disconnect();
      await exit;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Rejects with the error as the plane threw it: exit, errno and hint are on it. */
  async #ask(call: string, argument?: unknown): Promise<unknown> {
    const id = this.#nextId;
    this.#nextId += 1;
    const reply = await new Promise<Reply>((resolve, reject) => {
      const gone = (): void => {
        reject(new Error(`the driver ended during ${call}`));
      };
      this.#waiting.set(id, (answer) => {
        this.#waiting.delete(id);
        this.#child.off('exit', gone);
        resolve(answer);
      });
      this.#child.once('exit', gone);
      this.#child.send({ id, call, argument });
    });
    if (reply.error) throw Object.assign(new Error(reply.error.message), reply.error);
    return reply.value;
  }
}

/** A peer of which nothing but its inner addresses matters, and the hint of its key if it has one. */
function peerConfig({ hint, integrity = 'none', ...peer }: HostPeer): PeerConfig {
  return {
    ...peer,
    proof: hint ? keyThatBeginsWith(hint) : { kind: 'none' },
    auth: {
      byRemoteIp: false,
      byRemotePort: false,
      packetTtl: undefined,
      replyOnAuthOk: false,
      session: 'v1',
      integrity,
    },
    timers: {
      authLifetime: seconds(0),
      keepalive: seconds(0),
      connectionIdle: seconds(0),
      deadPeerTimeout: seconds(0),
    },
    remoteHost: undefined,
    remotePort: undefined,
  };
}

function keyThatBeginsWith(hint: Uint8Array): Proof {
  const key = new Uint8Array(32);
  key.set(hint);
  return {
    kind: 'ed25519',
    privateSeed: undefined,
    peerPublicKey: decodePublicKey(key),
    secret: new Uint8Array(),
    maxTimeDiscrepancy: seconds(0),
  };
}

function hostConfig(options: HostOptions): TunnelConfig {
  return {
    name: 'test',
    role: options.role ?? 'server',
    number: 0,
    dataplane: 'auto',
    outer: {
      localIps: options.localIps ?? [],
      family: options.family ?? 'auto',
      localPort: port(options.localPort ?? 10_000),
      device: options.outerDevice,
      localIpAlt: '172.29.0.0' as OuterIp,
      forceLocalIpAlt: false,
      udpChecksum: options.udpChecksum,
    },
    inner: { device: options.device ?? 'ipipou0', ips: options.ips, mtu: options.mtu },
    queue: { number: 0, maxLength: 24 },
    nft: { table: 'ipipou', counters: true },
    hooks: {},
    statusGroup: undefined,
    peers: options.peers.map(peerConfig),
  };
}
