import { SIPHASH_KEY_BYTES } from '../core/siphash.ts';
import { STATUS_GROUP } from '../core/config/limits.ts';
import { carries, outerFamilies } from '../core/config/families.ts';
import type { PeerConfig, PeerId, Proof, TunnelConfig } from '../core/config/tunnel-config.ts';
import { IpipouError } from '../core/errors.ts';
import { createSession, step } from '../core/session/step.ts';
import type { ControlRequest } from '../core/management/requests.ts';
import type { SessionCrypto } from '../core/session/types.ts';
import { UndoStack } from '../core/undo-stack.ts';
import type { Clock } from '../ports/clock.ts';
import type {
  ControlHandler,
  ControlListener,
  ControlReply,
  PeerChanges,
  PeerStatus,
} from '../ports/control.ts';
import type { DataPlane, PlaneFactory } from '../ports/data-plane.ts';
import type { HostNetwork, Resolver } from '../ports/host-network.ts';
import type { Log } from '../ports/log.ts';
import type { Notify } from '../ports/notify.ts';
import type { Tell } from '../ports/tell.ts';
import type { OtherReach, ReachHost } from '../ports/reach.ts';
import type { MemoryStore, RunClaim, RunRecord, RunStore } from '../ports/run-store.ts';
import { choosePlane, openPlane, prepareChosen } from './choose-plane.ts';
import { Driver } from './driver.ts';
import type { EffectPorts } from './effects.ts';
import { cleanOtherPlane, forRecord } from './earlier-run.ts';
import { explain } from './explain.ts';
import { Inbox } from './inbox.ts';
import { createLocator, isOwnAddress } from './locator.ts';
import { Memories } from './memories.ts';
import { otherReaches } from './other-reaches.ts';
import { removePeer, setPeer, syncPeers } from './peer-changes.ts';
import { peerStatuses, statusOfPeer } from './management/peer-status.ts';
import { OuterDevice } from './outer-device.ts';
import { PathBook } from './path-book.ts';
import type { PeerSlot } from './peer-slot.ts';
import { requireRoom } from './peer-room.ts';
import { RunKeeper } from './run-keeper.ts';
import { RunWatch } from './run-watch.ts';
import { Surroundings } from './surroundings.ts';
import { tunnelStatus } from './management/status.ts';
import { initKeysOf } from './init-keys.ts';
import { watchedLengths } from './watched-lengths.ts';

/*
 * A tunnel's life: claim the device, recall the sessions, choose and open the plane, start the
 * sessions, watch the network, answer on the control socket. What was acquired is released in
 * reverse, whether the start fails half way or the tunnel ends. The run directory goes last, and
 * stays when something could not be cleaned up, so that a later run can.
 */

export type TunnelPorts = {
  /** In the order of preference. */
  readonly planes: readonly PlaneFactory[];
  /** What sessions sign and verify with; asked for with every event of theirs, so cheap. */
  readonly sessionCrypto: (proof: Proof) => SessionCrypto;
  readonly host: HostNetwork;
  readonly resolver: Resolver;
  readonly clock: Clock;
  /** For the plane; all else is told. */
  readonly log: Log;
  readonly tell: Tell;
  readonly runs: RunStore;
  readonly memory: MemoryStore;
  readonly control: ControlListener;
  readonly reach: ReachHost;
  /** The number of a group of this system; undefined when there is none of that name. */
  readonly groupNumber: (name: string) => number | undefined;
  /** See EffectPorts. */
  readonly register?: EffectPorts['register'];
  /** See EffectPorts. */
  readonly verify?: EffectPorts['verify'];
  /** What the operator wants done before anything is made; rejects when the tunnel is not to be. */
  readonly preUp?: () => Promise<void>;
  readonly notify: Notify;
};

export type TunnelOrigin = Pick<RunRecord, 'configPath' | 'log'>;

export class Tunnel {
  /** Resolves with the reason when the tunnel cannot go on; it must be closed then as well. */
  readonly failure: Promise<Error>;
  readonly #driver: Driver;
  readonly #undo: UndoStack;
  readonly #parts: TunnelParts;

  constructor(parts: TunnelParts, driver: Driver, undo: UndoStack, failure: Promise<Error>) {
    this.#parts = parts;
    this.#driver = driver;
    this.#undo = undo;
    this.failure = failure;
  }

  /** Client: proves itself again now. A server has nobody to prove itself to: rejects. */
  async reauthenticate(): Promise<void> {
    if (this.#parts.config.role === 'server') {
      throw new IpipouError('arguments', 'a server does not authenticate; its clients do');
    }
    await this.#driver.reauthenticate();
  }

  /** Makes the tunnel's peers those of a list; the others are not touched. Rejects as the plane does. */
  syncPeers(peers: readonly PeerConfig[]): Promise<PeerChanges> {
    const { surroundings, ports } = this.#parts;
    return surroundings.replace(peers, () => syncPeers(this.#driver, peers, ports.clock));
  }

  /** Adds a peer or changes one; with an unchanged proof its session goes on. Rejects as the plane does. */
  setPeer(peer: PeerConfig): Promise<void> {
    const { surroundings, ports } = this.#parts;
    return surroundings.set(peer, () => setPeer(this.#driver, peer, ports.clock));
  }

  /** Lets a peer go; whether there was one. What protects from replays of its packets stays. */
  removePeer(id: PeerId): Promise<boolean> {
    return this.#parts.surroundings.remove(id, () => removePeer(this.#driver, id));
  }

  /** Up to `limit` peers (PEERS_TOLD at most) after the one named, in the config's order. */
  async peerStatuses(after: PeerId | undefined, limit: number): Promise<readonly PeerStatus[]> {
    const { surroundings, ports } = this.#parts;
    return surroundings.tellOf(await peerStatuses(this.#driver, after, limit, ports.clock));
  }

  /** One peer; undefined when there is none of that name. */
  async peerStatus(id: PeerId): Promise<PeerStatus | undefined> {
    const { surroundings, ports } = this.#parts;
    const status = await statusOfPeer(this.#driver, id, ports.clock);
    return status && surroundings.tellOf([status])[0];
  }

  /** Answers one request of the control socket. */
  async answer(request: ControlRequest): Promise<ControlReply> {
    try {
      if (request.request === 'status') {
        const { config, keeper, outerDevice, ports, surroundings } = this.#parts;
        const status = await tunnelStatus(config, keeper.record, this.#driver, ports.clock);
        const troubles = [...outerDevice.troubles, ...status.troubles];
        return { ok: true, status: { ...status, troubles, around: surroundings.facts() } };
      }
      await this.reauthenticate();
      return { ok: true };
    } catch (error) {
      return { ok: false, error: error instanceof Error ? error.message : String(error) };
    }
  }

  /**
   * Takes everything down that the tunnel made; after `hurry` aborts without waiting for packets
   * in hand. Rejects with exit `cleanUp` when something stays. A kill switch stays where the tunnel has failed.
   */
  async close(hurry?: AbortSignal, why: 'down' | 'failed' = 'down'): Promise<void> {
    this.#parts.ending.why = why;
    this.#parts.ports.notify.stopping();
    this.#parts.keeper.setLife('ending');
    const hasten = (): void => this.#parts.hurry.abort();
    hurry?.addEventListener('abort', hasten, { once: true });
    if (hurry?.aborted) hasten();
    await releaseAll(this.#undo);
  }
}

/** Why a tunnel ends; a start that does not get far enough has failed. */
type Ending = { why: 'down' | 'failed' };

/** What a tunnel was opened with. */
type TunnelParts = {
  readonly config: TunnelConfig;
  readonly ports: TunnelPorts;
  readonly keeper: RunKeeper;
  readonly outerDevice: OuterDevice;
  readonly surroundings: Surroundings;
  readonly ending: Ending;
  /** Aborted when the end must not wait for work in hand. */
  readonly hurry: AbortController;
};

/**
 * Brings a tunnel up. Rejects with an IpipouError after undoing what was made.
 * `origin`: what the run record says of where config and log are.
 */
export async function openTunnel(
  config: TunnelConfig,
  origin: TunnelOrigin,
  ports: TunnelPorts,
): Promise<Tunnel> {
  const undo = new UndoStack();
  try {
    return await acquire(config, origin, ports, undo);
  } catch (error) {
    await releaseAll(undo).catch((left: unknown) =>
      ports.tell({ kind: 'not-undone', ...explain(left) }),
    );
    throw error;
  }
}

async function acquire(
  config: TunnelConfig,
  origin: TunnelOrigin,
  ports: TunnelPorts,
  undo: UndoStack,
): Promise<Tunnel> {
  const { clock, log, tell, notify } = ports;
  const claim = ports.runs.claim(config.inner.device);
  const keeper = new RunKeeper(claim, tell);
  undo.push('run directory', () => keeper.release());
  const group = share(claim, config, ports);
  await ports.reach.require(config);
  await ports.preUp?.();

  // The disk is waited for while the plane is chosen, and its parts are loaded.
  const [memory, choice] = await Promise.allSettled([
    openMemories(config, claim, ports),
    prepareChosen(choosePlane(config.dataplane, ports.planes, config)),
  ]);
  if (memory.status === 'rejected') throw memory.reason;
  const memories = memory.value;
  undo.push('session memory', () => memories.close());
  if (choice.status === 'rejected') throw choice.reason;
  const { factory, reason } = choice.value;
  tell({ kind: 'plane-chosen', plane: factory.name, why: reason });
  if (config.outer.fragments === true) tell({ kind: 'outer-fragments' });
  requireRoom(factory, config.peers.length);
  await cleanOtherPlane(claim, factory, ports);
  keeper.begin({
    config: forRecord(config),
    ...origin,
    plane: factory.name,
    planeReason: reason,
    since: clock.now().unix,
  });

  const others = (): readonly OtherReach[] => otherReaches(ports.runs, config.inner.device);
  const around = { config, journal: keeper.reach, others, tell };
  const ending: Ending = { why: 'failed' };
  const killSwitch = config.killSwitch && ports.reach.killSwitch(around, config.peers);
  undo.push('kill switch', () =>
    ending.why === 'down' ? killSwitch?.remove() : killSwitch?.leave(),
  );

  const inbox = new Inbox(tell);
  const cookieSecret = ports.sessionCrypto({ kind: 'none' }).random(SIPHASH_KEY_BYTES);
  const plane = await openPlane(factory, {
    config,
    authLengths: watchedLengths(config.peers),
    initKeys: initKeysOf(
      config.role,
      config.peers.map(({ proof }) => proof),
      ports.sessionCrypto,
      cookieSecret,
    ),
    journal: keeper.journal,
    listener: inbox,
    log,
  });
  undo.push('data plane', () => closePlane(plane, keeper));
  undo.push('packets in hand', () => inbox.close());

  const reach = await ports.reach.open(around);
  undo.push('what is around the tunnel', () => reach.close());
  const peersNow = (): readonly PeerConfig[] =>
    [...driver.table.directory.entries()].map(({ peer }) => peer);
  const surroundings = new Surroundings({ reach, killSwitch, tell, peers: peersNow });
  await surroundings.begin(config.peers);

  const { failure, fail } = firstFailure();
  const hurry = new AbortController();
  const paths = new PathBook(keeper, notify, clock);
  undo.push('status', () => paths.close());
  const locate = createLocator(config, ports.host);
  const driver = new Driver(
    {
      core: { create: createSession, step },
      role: config.role,
      localPort: config.outer.localPort,
      mtu: config.inner.mtu ?? 'try',
      ipv6Inside: carries(config.inner, 'ipv6'),
      crypto: ports.sessionCrypto,
      cookieSecret,
      plane,
      sessions: claim.sessions(),
      clock,
      tell,
      resolver: {
        resolve: (...asked) => reach.lookingUp(() => ports.resolver.resolve(...asked)),
      },
      families: outerFamilies(config.outer),
      killSwitch: config.killSwitch !== undefined,
      locate: async (remote) => {
        await reach.keepOutside(remote);
        return locate(remote);
      },
      isOwn: (address) => isOwnAddress(ports.host, address),
      memories,
      register: ports.register,
      verify: ports.verify,
      onPath: (path) => paths.note(path, driver.count),
      onEstablished: () => paths.tell(driver.count),
      onFatal: fail,
    },
    config.peers,
  );
  undo.push('session', () => driver.close(hurry.signal));
  const beginning = begin(driver, plane, claim, tell);
  // A peer whose session has not begun yet begins it with its packet.
  inbox.deliverTo(driver);
  await beginning;

  const outerDevice = new OuterDevice(config, { host: ports.host, tell });
  const stopWatching = ports.host.onChange(() => void followNetwork(driver, outerDevice, tell));
  undo.push('network watch', stopWatching);
  // It may have gone before that.
  await outerDevice.look();
  const tunnel = new Tunnel(
    { config, ports, keeper, outerDevice, surroundings, ending, hurry },
    driver,
    undo,
    failure,
  );
  const { control } = ports;
  const handler: ControlHandler = (request) => tunnel.answer(request);
  const watch = await RunWatch.open({ claim, keeper, control, handler, group, clock, tell });
  undo.push('control socket', () => watch.close());
  keeper.setLife('up');
  notify.ready(`${config.role} on ${config.inner.device}, data plane ${factory.name}`);
  return tunnel;
}

/** The group whose members may be told of the tunnel; undefined where there is none, which stops nothing. */
function share(
  claim: RunClaim,
  { statusGroup }: TunnelConfig,
  { groupNumber, tell }: TunnelPorts,
): number | undefined {
  const group = statusGroup === undefined ? undefined : groupNumber(statusGroup);
  if (statusGroup !== undefined && group === undefined) {
    tell({ kind: 'no-status-group', group: statusGroup, asked: statusGroup !== STATUS_GROUP });
  }
  try {
    claim.share(group);
    return group;
  } catch (error) {
    tell({ kind: 'not-shared', group: statusGroup ?? 'none', ...explain(error) });
    return undefined;
  }
}

/**
 * The memory of the tunnel's peers. Rejects when nothing could be written down: replays could not be told
 * after the next start. Who was admitted counts only where the earlier run was cut short: one that ended
 * in order, or before the machine was started again, has let its peers go.
 */
async function openMemories(
  config: TunnelConfig,
  { previous }: RunClaim,
  { memory, clock, tell }: TunnelPorts,
): Promise<Memories> {
  const options = { now: clock.now().unix, remotes: previous !== undefined };
  return new Memories({ journal: await memory.open(config, options), clock, tell });
}

/**
 * Begins the sessions that do not wait for a packet. After a run that was cut short these are also
 * those of all whom it had admitted.
 */
async function begin(
  driver: Driver,
  { adopted }: DataPlane,
  { previous }: RunClaim,
  tell: Tell,
): Promise<void> {
  const { directory } = driver.table;
  const [first] = adopted.values();
  if (first) {
    tell({ kind: 'adopted', peers: adopted.size, remote: first.remote });
  }
  const mustBegin = (slot: PeerSlot): boolean =>
    directory.size === 1 || (previous !== undefined && driver.memories.names(slot.peer));
  await driver.start(directory.entries(), mustBegin);
  driver.memories.begun();
}

async function closePlane(plane: DataPlane, keeper: RunKeeper): Promise<void> {
  try {
    await plane.close('remove');
    keeper.planeClosed(true);
  } catch (error) {
    keeper.planeClosed(false);
    throw error;
  }
}

async function followNetwork(driver: Driver, outerDevice: OuterDevice, tell: Tell): Promise<void> {
  await outerDevice.look();
  await driver.relocate();
  // Rejects while closing, when nothing needs refreshing any more.
  await driver
    .exclusive((plane) => plane.refresh())
    .catch((error: unknown) => tell({ kind: 'route-not-refreshed', ...explain(error) }));
}

function firstFailure(): { failure: Promise<Error>; fail: (error: Error) => void } {
  let fail: (error: Error) => void = () => undefined;
  const failure = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  return { failure, fail };
}

/** Releases everything; rejects with one error that says what stays. */
async function releaseAll(undo: UndoStack): Promise<void> {
  try {
    await undo.release();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new IpipouError('cleanUp', `not everything could be removed: ${message}`, {
      hint: 'ipipou down DEVICE tries again',
      cause: error,
    });
  }
}
