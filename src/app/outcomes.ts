import type { Outcome, SessionTable } from '../core/session/table.ts';
import type { Clock } from '../ports/clock.ts';
import type { Effects, Leave } from './effects.ts';
import type { Memories } from './memories.ts';
import type { PeerSlot } from './peer-slot.ts';
import type { Turns } from './turns.ts';
import type { WakeUps } from './wake-ups.ts';

type Parts = {
  readonly table: SessionTable<PeerSlot>;
  readonly turns: Turns<PeerSlot>;
  readonly effects: Effects;
  readonly wakeUps: WakeUps;
  readonly memories: Memories;
  readonly clock: Clock;
  readonly isListed: (slot: PeerSlot) => boolean;
  /** More or fewer peers are established. */
  readonly onEstablished: () => void;
};

type Leaves = ReadonlyMap<Outcome<PeerSlot>, Leave>;

const LEAVE: Leave = { remembered: true, welcome: true };
const NO_LEAVE_NEEDED: Leaves = new Map();

/**
 * Has done what the table's steps want: what is to be remembered and the timers at once, the effects in
 * their peer's order and when memory is on the disk, and what comes of them in the same way.
 */
export class Outcomes {
  readonly #parts: Parts;
  /** How many were established when that was told last. */
  #told = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Has done what a step of the table wants: now, or as soon as the disk allows. */
  async carryOut(outcomes: readonly Outcome<PeerSlot>[]): Promise<void> {
    const leave = this.#leaveFor(outcomes);
    const peers = peersOf(outcomes);
    const { turns } = this.#parts;
    if (leave === undefined && !turns.holds(peers)) return this.#perform(outcomes, NO_LEAVE_NEEDED);
    void turns.perform(peers, leave, async () =>
      this.#perform(outcomes, (await leave) ?? NO_LEAVE_NEEDED),
    );
  }

  /** A turn of an event; resolves when all that it brings about is done. Never rejects. */
  async event(step: () => readonly Outcome<PeerSlot>[]): Promise<void> {
    let later: Promise<void> | undefined;
    await this.#parts.turns.take(async () => {
      ({ later } = await this.carry(step()));
    });
    await later;
  }

  /** In a turn: does what a step wants. What has to wait for the disk or the operator's command, or for what waits, is `later`. */
  async carry(
    outcomes: readonly Outcome<PeerSlot>[],
  ): Promise<{ readonly later: Promise<void> | undefined }> {
    if (outcomes.length === 0) return { later: undefined };
    const leave = this.#leaveFor(outcomes);
    const work = async (): Promise<void> =>
      this.#perform(outcomes, (await leave) ?? NO_LEAVE_NEEDED);
    const { held, done } = this.#parts.turns.perform(peersOf(outcomes), leave, work);
    if (held) return { later: done };
    await done;
    return { later: undefined };
  }

  /** Takes what is to be remembered and the timers, and asks whether peers may come in; undefined = nothing to wait for. */
  #leaveFor(outcomes: readonly Outcome<PeerSlot>[]): Promise<Leaves> | undefined {
    const written = this.#note(outcomes);
    const asked = outcomes.map((outcome) => this.#parts.effects.welcomes(outcome));
    if (written === undefined && asked.every((one) => one === undefined)) return undefined;
    return this.#leaves(outcomes, written, asked);
  }

  async #leaves(
    outcomes: readonly Outcome<PeerSlot>[],
    written: Promise<boolean> | undefined,
    asked: readonly (Promise<boolean> | undefined)[],
  ): Promise<Leaves> {
    const [remembered, ...answers] = await Promise.all([written ?? true, ...asked]);
    return new Map(
      outcomes.map((outcome, index) => [outcome, { remembered, welcome: answers[index] ?? true }]),
    );
  }

  /** Takes what is to be remembered and the timers; resolves with whether memory is on the disk. */
  #note(outcomes: readonly Outcome<PeerSlot>[]): Promise<boolean> | undefined {
    let written: Promise<boolean> | undefined;
    for (const { entry, effects } of outcomes) {
      if (entry === undefined) continue;
      this.#parts.wakeUps.set(entry, entry.wakeAt);
      for (const effect of effects) {
        if (effect.kind !== 'remember') continue;
        if (effect.lazy === true) this.#parts.memories.note(entry.peer, effect.memory);
        else written = bothOf(written, this.#parts.memories.save(entry.peer, effect.memory));
      }
    }
    this.#parts.wakeUps.arm();
    this.#countEstablished();
    return written;
  }

  /** How many peers are established; one that waits for the disk or the plane is not yet. */
  get established(): number {
    return Math.min(this.#parts.table.established, this.#parts.effects.carried);
  }

  #countEstablished(): void {
    const { established } = this;
    if (established === this.#told) return;
    this.#told = established;
    this.#parts.onEstablished();
  }

  /** Does what is wanted, and what comes of that. */
  async #perform(outcomes: readonly Outcome<PeerSlot>[], leaves: Leaves): Promise<void> {
    const left = outcomes.map((outcome) => ({ outcome, leave: leaves.get(outcome) ?? LEAVE }));
    for (let next = left.shift(); next; next = left.shift()) {
      const { entry } = next.outcome;
      const answers = await this.#parts.effects.perform(next.outcome, next.leave);
      this.#countEstablished();
      for (const answer of answers) {
        if (!entry || !this.#parts.isListed(entry)) continue;
        const more = this.#parts.table.advance(entry, answer, this.#parts.clock.now());
        // Who has to be asked about is not waited for with the plane in hand.
        if (more.some(({ effects }) => effects.some(({ kind }) => kind === 'admit'))) {
          await this.carryOut(more);
          continue;
        }
        const remembered = (await this.#note(more)) ?? true;
        left.push(...more.map((outcome) => ({ outcome, leave: { remembered, welcome: true } })));
      }
    }
  }
}

function peersOf(outcomes: readonly Outcome<PeerSlot>[]): readonly PeerSlot[] {
  const peers = outcomes.flatMap(({ entry }) => entry ?? []);
  return peers.length > 1 ? [...new Set(peers)] : peers;
}

async function bothOf(
  one: Promise<boolean> | undefined,
  other: Promise<boolean>,
): Promise<boolean> {
  const told = await Promise.all([one ?? true, other]);
  return told.every(Boolean);
}
