import type { InitKeys } from '../core/handshake/keys.ts';
import type { Path } from '../core/addr.ts';
import type { PeerConfig, PeerId, Proof } from '../core/config/tunnel-config.ts';
import type { TroubleReport } from '../core/events/trouble.ts';
import { reportTrouble } from '../core/events/trouble-words.ts';
import { SessionTable, type Outcome, type SessionCore } from '../core/session/table.ts';
import type { SessionConfig, SessionCrypto, SessionEvent } from '../core/session/types.ts';
import type { Port } from '../core/units.ts';
import { insideOf } from '../core/wire/overhead.ts';
import type { ControlPacket, DataPlane, OuterError } from '../ports/data-plane.ts';
import { Effects, type EffectPorts } from './effects.ts';
import { CLOSE_TIMEOUT, START_BATCH } from './limits.ts';
import { initKeysOf } from './init-keys.ts';
import type { Memories } from './memories.ts';
import { OuterErrors } from './outer-errors.ts';
import { Outcomes } from './outcomes.ts';
import { PeerSlot } from './peer-slot.ts';
import { Reauthentication } from './reauthentication.ts';
import { Turns } from './turns.ts';
import { waitAtMost } from './wait-at-most.ts';
import { WakeUps } from './wake-ups.ts';

/*
 * One tunnel's event loop. Events take turns; each is given to the session of its peer as a whole. All
 * that the session wants done is done in its order, before what the peer's next event brings, and after
 * what must be remembered is on the disk; other peers do not wait for that. The plane's calls are made
 * one at a time. What may take long (names, routes) runs beside the turns and comes back as an event.
 * Nothing here rejects: a failed effect becomes an event, a log line, or the end.
 *
 * Nothing walks all peers but what is asked to (a change of the config, a new route, the start after a
 * crash).
 *
 * What lasts is owned by one file each: turns.ts (the order), outcomes.ts (who is established), wake-ups.ts
 * (timers), effects.ts (what the plane carries, who must still go, look-ups, what cannot be sent),
 * outer-errors.ts (what the network says), reauthentication.ts (who is still to be asked), memories.ts.
 */

export type DriverPorts = EffectPorts & {
  readonly core: SessionCore;
  readonly role: SessionConfig['role'];
  readonly localPort: Port;
  readonly mtu?: SessionConfig['mtu'];
  /** Whether the tunnel carries IPv6; absent = it does not. */
  readonly ipv6Inside?: boolean;
  readonly crypto: (proof: Proof) => SessionCrypto;
  /** What cookies are made of, 16 random bytes. */
  readonly cookieSecret: Uint8Array;
  readonly memories: Memories;
  /** More or fewer peers are established. */
  readonly onEstablished: () => void;
  /** The tunnel cannot go on; called once. */
  readonly onFatal: (error: Error) => void;
};

export class Driver {
  readonly table: SessionTable<PeerSlot>;
  readonly memories: Memories;
  readonly #ports: DriverPorts;
  readonly #effects: Effects;
  readonly #outcomes: Outcomes;
  readonly #wakeUps: WakeUps;
  readonly #reauthentication: Reauthentication;
  readonly #outerErrors = new OuterErrors();
  readonly #closing = new AbortController();
  readonly #turns = new Turns<PeerSlot>((error) => {
    // Effects handle their own failures: whatever arrives here is a fault of this program.
    this.fail(new Error(`internal error: ${String(error)}`, { cause: error }));
  });
  #fatal = false;

  /** Peers are known to the plane already; their sessions begin with `start`. */
  constructor(ports: DriverPorts, peers: readonly PeerConfig[]) {
    this.#ports = ports;
    this.memories = ports.memories;
    this.table = new SessionTable({
      core: ports.core,
      role: ports.role,
      localPort: ports.localPort,
      mtu: ports.mtu,
      families: ports.families,
      ipv6Inside: ports.ipv6Inside ?? false,
      crypto: ports.crypto,
      cookieSecret: ports.cookieSecret,
      planeIntegrity: ports.plane.capabilities.integrity,
      planeCounting: ports.plane.capabilities.counting,
      recall: ({ peer, carried }) => ({
        memory: ports.memories.recall(peer),
        adopted: carried,
        kept: ports.sessions.load(peer.id),
      }),
    });
    this.#effects = new Effects(ports, {
      isSole: () => this.table.directory.size === 1,
      dispatch: (slot, event) => this.dispatch(slot, event),
      inTurn: (slot, work) =>
        void this.#turns.take(() => this.#turns.perform([slot], undefined, work).done),
      onFatal: (error) => this.fail(error),
    });
    this.#wakeUps = new WakeUps(ports.clock, () => void this.#turns.take(() => this.#wakeDue()));
    this.#outcomes = new Outcomes({
      table: this.table,
      turns: this.#turns,
      effects: this.#effects,
      wakeUps: this.#wakeUps,
      memories: ports.memories,
      clock: ports.clock,
      isListed: (slot) => this.#isListed(slot),
      onEstablished: ports.onEstablished,
    });
    this.#reauthentication = new Reauthentication(ports.clock, (slot) =>
      this.dispatch(slot, { kind: 'reauthenticate' }),
    );
    for (const peer of peers) this.add(peer, ports.plane.adopted.get(peer.id));
  }

  /**
   * Begins the sessions that do not wait for a packet: all of `slots` that have something to do now. A
   * batch at a time: what comes meanwhile has its turn between, whether its peer has begun or not.
   */
  async start(
    slots: Iterable<PeerSlot>,
    mustBegin: (slot: PeerSlot) => boolean = () => false,
  ): Promise<void> {
    let count = 0;
    const held: Promise<void>[] = [];
    for (const slot of slots) {
      if (++count % START_BATCH === 0) {
        await Promise.all(held.splice(0));
        await this.#othersTurn();
      }
      if (this.#closing.signal.aborted) return;
      const active = this.table.isActive(slot.peer) || slot.carried !== undefined;
      if (slot.state !== undefined || !(active || mustBegin(slot))) continue;
      await this.#turns.take(async () => {
        if (slot.state !== undefined || !this.#isListed(slot)) return;
        void this.#askToStay(slot);
        const { later } = await this.#outcomes.carry(
          this.table.begin(slot, this.#ports.clock.now()),
        );
        if (later) held.push(later);
      });
    }
    await Promise.all(held);
  }

  /** Resolves when everything that the event brings about is done. Never rejects. */
  dispatch(slot: PeerSlot, event: SessionEvent): Promise<void> {
    return this.#outcomes.event(() =>
      this.#isListed(slot) ? this.table.advance(slot, event, this.#ports.clock.now()) : [],
    );
  }

  /** Gives a packet to whose it is; resolves when all that it brings about is done. Never rejects. */
  receive({ path, payload }: ControlPacket): Promise<void> {
    return this.#outcomes.event(() => this.table.receive(path, payload, this.#ports.clock.now()));
  }

  /** The network complains of packets to a remote. */
  outerError(error: OuterError): void {
    if (this.#outerErrors.add(error)) void this.#outcomes.event(() => this.#takeOuterErrors());
  }

  /** The plane has taken a peer's tagged packet from another path. */
  roamed(peer: PeerId, path: Path): void {
    const slot = this.table.get(peer);
    if (slot) void this.dispatch(slot, { kind: 'roamed', path });
  }

  #takeOuterErrors(): readonly Outcome<PeerSlot>[] {
    const now = this.#ports.clock.now();
    return this.#outerErrors.takeAll().flatMap((complaint) => {
      const { kind, remote } = complaint;
      const event =
        kind === 'too-big' ? { ...complaint, mtu: insideOf(remote.ip, complaint.mtu) } : complaint;
      return this.table
        .atRemote(remote, now)
        .flatMap((slot) => this.table.advance(slot, event, now));
    });
  }

  /** Has every peer's session authenticate now: the first at once, the others spread over a while. */
  reauthenticate(): Promise<void> {
    return this.#reauthentication.begin(this.table.directory.entries());
  }

  /** Runs plane work between events, with the plane to itself. Rejects as `work` does, or when closing. */
  exclusive<T>(work: (plane: DataPlane) => Promise<T>): Promise<T> {
    return this.#turns.whole(() => work(this.#ports.plane));
  }

  /** The same when all that earlier events brought about is done, so that peers may come and go. */
  settled<T>(work: (plane: DataPlane) => Promise<T>): Promise<T> {
    return this.#turns.whole(() => work(this.#ports.plane), { settled: true });
  }

  /** Looks again for the local addresses towards remotes; tells the sessions where one is another. */
  relocate(): Promise<void> {
    return this.#effects.relocate();
  }

  /** By what the plane tests first messages, when these peers are known as well. */
  initKeys(peers: readonly PeerConfig[]): InitKeys | undefined {
    const known = [...this.table.directory.ownProofs(), ...peers.map(({ proof }) => proof)];
    const { role, crypto, cookieSecret } = this.#ports;
    return initKeysOf(role, known, crypto, cookieSecret);
  }

  /** How many peers there are, and how many of them are established. */
  get count(): { readonly peers: number; readonly established: number } {
    return { peers: this.table.directory.size, established: this.#outcomes.established };
  }

  /** What is wrong, apart from the sessions' own troubles. */
  get troubles(): readonly TroubleReport[] {
    const { trouble } = this.memories;
    const { refused, unsent } = this.#effects;
    return [...refused, ...(trouble ? [reportTrouble(trouble)] : []), ...unsent];
  }

  /** Ends the tunnel through its owner; the first failure counts. */
  fail(error: Error): void {
    if (this.#fatal || this.#closing.signal.aborted) return;
    this.#fatal = true;
    this.#ports.onFatal(error);
  }

  /** Takes no more events and waits for work in hand, but not after `hurry` nor for long. */
  async close(hurry?: AbortSignal): Promise<void> {
    this.#closing.abort();
    this.#wakeUps.close();
    this.#reauthentication.close();
    this.#effects.close();
    await waitAtMost(CLOSE_TIMEOUT, this.#turns.close(), this.#ports.clock, hurry);
  }

  // What follows is for work that has the queue to itself (`exclusive`).

  /** Lists a peer that the plane knows, and may carry already. */
  add(peer: PeerConfig, carried?: Path): PeerSlot {
    const slot = new PeerSlot(peer);
    this.#effects.carry(slot, carried);
    this.table.directory.add(slot);
    return slot;
  }

  /** Forgets a peer that the plane has let go. */
  drop(slot: PeerSlot): void {
    this.table.directory.remove(slot);
    this.table.end(slot);
    this.#wakeUps.set(slot, undefined);
    this.#wakeUps.arm();
    this.memories.forget(slot.peer);
    this.#effects.forget(slot);
  }

  /** Has the plane, which has let a peer go, carry what it did; its session is told when it does not. */
  async readmit(slot: PeerSlot): Promise<void> {
    const answer = await this.#effects.readmit(slot);
    if (answer === undefined) return;
    await this.#outcomes.carryOut(this.table.advance(slot, answer, this.#ports.clock.now()));
  }

  /** Gives a peer another config (of the same id); its session is over and must be begun again. */
  relist(slot: PeerSlot, peer: PeerConfig): void {
    this.#effects.relist(slot);
    this.table.directory.relist(slot, () => {
      slot.peer = peer;
      this.table.end(slot);
    });
    this.#wakeUps.set(slot, undefined);
  }

  /** Has done what a step of the table wants: now, or as soon as the disk allows. */
  carryOut(outcomes: readonly Outcome<PeerSlot>[]): Promise<void> {
    return this.#outcomes.carryOut(outcomes);
  }

  /** Takes a peer out of the plane, and keeps at it until it is out. */
  evict(slot: PeerSlot): Promise<void> {
    return this.#effects.evict(slot);
  }

  /** An earlier run may have let in whom the operator's command refuses now; meanwhile it stays. */
  async #askToStay(slot: PeerSlot): Promise<void> {
    const { carried: path } = slot;
    if (path === undefined || (await this.#effects.mayStay(slot, path))) return;
    await this.dispatch(slot, { kind: 'turned-away', path });
  }

  #othersTurn(): Promise<void> {
    const { clock } = this.#ports;
    return new Promise((resolve) => void clock.callAt(clock.now().monotonic, resolve));
  }

  #isListed(slot: PeerSlot): boolean {
    return this.table.get(slot.peer.id) === slot;
  }

  #wakeDue(): Promise<void> {
    return this.#wakeUps.wakeDue(async (slot, now) => {
      await this.#outcomes.carry(this.table.advance(slot, { kind: 'wake' }, now));
    });
  }
}
