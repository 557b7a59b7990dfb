import type { Path } from '../core/addr.ts';
import { keyOf, type Registration } from '../core/config/invite-peer.ts';
import type { PeerId } from '../core/config/tunnel-config.ts';
import type { TroubleReport } from '../core/events/trouble.ts';
import { reportTrouble } from '../core/events/trouble-words.ts';
import type { Outcome } from '../core/session/table.ts';
import type { SessionEffect, SessionEvent } from '../core/session/types.ts';
import type { DataPlane } from '../ports/data-plane.ts';
import type { SessionKeeper } from '../ports/run-store.ts';
import { Admission } from './admission.ts';
import { Evictions } from './evictions.ts';
import { explain } from './explain.ts';
import { Lookups, type LookupPorts } from './lookups.ts';
import type { PeerSlot } from './peer-slot.ts';
import { Sender } from './sender.ts';
import { Verifier, type AskVerify } from './verifier.ts';

export type EffectPorts = LookupPorts & {
  readonly plane: DataPlane;
  readonly sessions: SessionKeeper;
  /** The plane carries another path of a peer, or none. */
  readonly onPath: (path: Path | undefined) => void;
  /** See Verifier; absent = who has proved itself comes in. */
  readonly verify?: AskVerify | undefined;
  /** Has a key take the place of an invitation's; whether it has. Never rejects; absent = nobody can join. */
  readonly register?: ((registration: Registration) => Promise<boolean>) | undefined;
};

/** What a step needs before it admits anybody: that memory is on the disk, and that the operator's command agrees. */
export type Leave = { readonly remembered: boolean; readonly welcome: boolean };

/** What is not told of a peer that is not let in. */
const ARRIVALS: ReadonlySet<string> = new Set(['established', 'moved', 'back', 'resumed']);

type Register = Extract<SessionEffect, { readonly kind: 'register' }>;

type Owner = {
  readonly isSole: () => boolean;
  /** Gives a session an event in its turn. */
  readonly dispatch: (slot: PeerSlot, event: SessionEvent) => Promise<void>;
  /** Has work of a peer done in its turn. */
  readonly inTurn: (slot: PeerSlot, work: () => Promise<void>) => void;
  readonly onFatal: (error: Error) => void;
};

/**
 * Carries out what sessions want, and keeps what of it lasts: what the plane carries or refuses, who must
 * still go, what is being looked up, what cannot be sent. Nothing rejects.
 */
export class Effects {
  readonly #ports: EffectPorts;
  readonly #isSole: () => boolean;
  readonly #inTurn: Owner['inTurn'];
  readonly #admission: Admission;
  readonly #evictions: Evictions;
  readonly #sender: Sender;
  readonly #lookups: Lookups;
  readonly #verifier: Verifier | undefined;

  constructor(ports: EffectPorts, { isSole, dispatch, inTurn, onFatal }: Owner) {
    const { plane, clock, tell, onPath } = ports;
    this.#ports = ports;
    this.#isSole = isSole;
    this.#inTurn = inTurn;
    const admission = new Admission(plane, { clock, tell, isSole, onFatal });
    const onGone = (): void => onPath(undefined);
    this.#admission = admission;
    this.#evictions = new Evictions({ admission, clock, onGone, inTurn });
    this.#sender = new Sender(plane, tell);
    this.#lookups = new Lookups(ports, dispatch);
    const named = (slot: PeerSlot): PeerId | undefined => this.#named(slot);
    this.#verifier = ports.verify && new Verifier({ ask: ports.verify, clock, tell, named });
  }

  /**
   * Carries out what a step wants, in its order; resolves with the events that answer it right away. What
   * is not `remembered`, or not `welcome`, admits nobody.
   */
  async perform(
    { entry, effects }: Outcome<PeerSlot>,
    { remembered, welcome }: Leave,
  ): Promise<readonly SessionEvent[]> {
    const answers: SessionEvent[] = [];
    let refused = !remembered || !welcome;
    for (const effect of effects) {
      if (effect.kind === 'event' && !welcome && ARRIVALS.has(effect.event.kind)) continue;
      if (effect.kind === 'event') this.#ports.tell(effect.event, this.#named(entry));
      else if (entry === undefined) {
        if (effect.kind === 'send') await this.#sender.turnAway(effect);
      } else {
        // A reply says that the tunnel is ready; after a refused `admit` it would not be true.
        if (refused && effect.kind === 'send' && effect.purpose === 'reply') continue;
        if (refused && effect.kind === 'register') continue;
        if (refused && effect.kind === 'admit') {
          const kind = welcome ? 'admit-failed' : 'turned-away';
          answers.push({ kind, path: effect.path });
          continue;
        }
        const answer = await this.#performFor(entry, effect);
        refused ||= answer?.kind === 'admit-failed';
        if (answer) answers.push(answer);
      }
    }
    return answers;
  }

  /** Whether the peer that a step would have carried may come in; undefined = nobody has to be asked. */
  welcomes({ entry, effects }: Outcome<PeerSlot>): Promise<boolean> | undefined {
    if (entry === undefined || this.#verifier === undefined) return undefined;
    const admit = effects.find((effect) => effect.kind === 'admit');
    return admit && this.#verifier.look(entry, admit.path);
  }

  /** Whether a peer that an earlier run let in may stay. */
  async mayStay(slot: PeerSlot, path: Path): Promise<boolean> {
    return (await this.#verifier?.look(slot, path)) ?? true;
  }

  /** What the plane refuses. */
  get refused(): readonly TroubleReport[] {
    return this.#admission.troubles;
  }

  /** What cannot be sent. */
  get unsent(): readonly TroubleReport[] {
    return this.#sender.troubles.map((trouble) => reportTrouble(trouble));
  }

  /** Looks again for the local addresses towards remotes; tells the sessions where one is another. */
  relocate(): Promise<void> {
    return this.#lookups.relocate();
  }

  /** How many peers the plane carries. */
  get carried(): number {
    return this.#admission.carried;
  }

  /** Notes what the plane carries of a peer. */
  carry(slot: PeerSlot, path: Path | undefined): void {
    this.#admission.carry(slot, path);
  }

  /** Has the plane, which has let a peer go, carry what it did; resolves with what answers a refusal. */
  async readmit(slot: PeerSlot): Promise<SessionEvent | undefined> {
    const { carried: path, tags } = slot;
    if (path === undefined || (await this.#admission.admit(slot, path, tags))) return undefined;
    this.#admission.carry(slot, undefined);
    this.#ports.onPath(undefined);
    return { kind: 'admit-failed', path };
  }

  /** Takes a peer out of the plane, and keeps at it until it is out. */
  evict(slot: PeerSlot): Promise<void> {
    return this.#evictions.evict(slot);
  }

  /** The peer has another config: what it asked for is not answered any more. */
  relist(slot: PeerSlot): void {
    this.#lookups.forget(slot);
  }

  /** Forgets a peer that the plane has let go. */
  forget(slot: PeerSlot): void {
    this.#evictions.cancel(slot);
    this.#ports.sessions.keep(slot.peer.id, undefined);
    this.#lookups.forget(slot);
    this.#sender.forget(slot);
    this.#verifier?.forget(slot);
    const wasCarried = slot.carried !== undefined;
    this.#admission.forget(slot);
    if (wasCarried) this.#ports.onPath(undefined);
  }

  close(): void {
    this.#evictions.close();
    this.#lookups.close();
  }

  /** Whose an event is, where that has to be told: not of a sole peer. */
  #named(entry: PeerSlot | undefined): PeerId | undefined {
    return this.#isSole() ? undefined : entry?.peer.id;
  }

  /** Carries out one effect; returns the event that answers it, if it has one right away. */
  async #performFor(
    slot: PeerSlot,
    effect: Exclude<SessionEffect, { kind: 'event' }>,
  ): Promise<SessionEvent | undefined> {
    switch (effect.kind) {
      case 'remember':
        // Taken with the step, by the driver.
        break;
      case 'admit': {
        this.#evictions.cancel(slot);
        const admitted = await this.#admission.admit(slot, effect.path, effect.tags);
        if (!admitted) return { kind: 'admit-failed', path: effect.path };
        this.#ports.onPath(effect.path);
        break;
      }
      case 'evict':
        await this.evict(slot);
        break;
      case 'send':
        await this.#sender.send(slot, effect);
        break;
      case 'register':
        void this.#register(slot, effect);
        break;
      case 'resolve':
        void this.#lookups.resolve(slot, effect.host);
        break;
      case 'locate':
        void this.#lookups.locate(slot, effect.remotes);
        break;
      case 'keep':
        this.#ports.sessions.keep(slot.peer.id, effect.record);
        break;
      case 'limit-mtu':
        await this.#limitMtu(slot, effect.mtu);
        break;
      case 'poll-counters':
        return this.#pollCounters(slot);
    }
    return undefined;
  }

  /** Beside the turns, since the peer is another one then. */
  async #register(slot: PeerSlot, { publicKey, answer }: Register): Promise<void> {
    const { id } = slot.peer;
    const invitation = keyOf(slot.peer);
    if (invitation === undefined) return;
    const registered = await this.#ports.register?.({ peer: id, invitation, publicKey });
    if (registered !== true) return;
    const send = { kind: 'send', purpose: 'reply', ...answer } as const;
    this.#inTurn(slot, () => this.#sender.send(slot, send));
  }

  /** A limit that cannot be set costs big packets, not the tunnel. */
  async #limitMtu({ peer }: PeerSlot, mtu: number | undefined): Promise<void> {
    try {
      await this.#ports.plane.limitMtu(peer.id, mtu);
    } catch (error) {
      this.#ports.tell({ kind: 'mtu-not-set', mtu, ...explain(error) }, peer.id);
    }
  }

  async #pollCounters(slot: PeerSlot): Promise<SessionEvent | undefined> {
    try {
      const { rxPackets, rxBytes, txPackets, txBytes, heardAt } = await this.#ports.plane.counters(
        slot.peer.id,
      );
      return { kind: 'counters', counts: { rxPackets, rxBytes, txPackets, txBytes }, heardAt };
    } catch (error) {
      this.#ports.tell({ kind: 'counters-not-read', ...explain(error) });
      return undefined;
    }
  }
}
