import { formatEndpoint, samePath, type Path } from '../core/addr.ts';
import { VERIFY_RATE } from '../core/budgets.ts';
import type { PeerId } from '../core/config/tunnel-config.ts';
import type { HookEnvironment } from '../core/hooks.ts';
import { takeToken, type Bucket } from '../core/session/rate-limit.ts';
import { millis, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { Tell } from '../ports/tell.ts';
import { VERIFY_AT_ONCE, VERIFY_REFUSED, VERIFY_WAITING } from './limits.ts';
import type { PeerSlot } from './peer-slot.ts';

/** Asks the operator's command about a peer; resolves with why it may not come in, if so. Never rejects. */
export type AskVerify = (environment: HookEnvironment) => Promise<string | undefined>;

type Ports = {
  readonly ask: AskVerify;
  readonly clock: Clock;
  readonly tell: Tell;
  /** Whose an event is, where that has to be told. */
  readonly named: (slot: PeerSlot) => PeerId | undefined;
};

/** What is kept of a peer that was asked about lately. */
type Asked = {
  readonly bucket: Bucket | undefined;
  /** Until then it stays refused without asking. */
  readonly refusedUntil: Millis | undefined;
  /** Where it may be. */
  readonly approved: Path | undefined;
};

const NOTHING: Asked = { bucket: undefined, refusedUntil: undefined, approved: undefined };

/**
 * Whether peers that have proved themselves may come in, by the operator's command. It is asked when a peer is
 * to be carried on a path where it is not carried yet: so many at once, each peer within a budget, and what it
 * refuses stays refused for a while, so that no flood starts processes. What cannot be asked is refused.
 */
export class Verifier {
  readonly #ports: Ports;
  readonly #asked = new Map<PeerSlot, Asked>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** Whether a peer may be at `path`; undefined = it is there already, as it may. */
  look(slot: PeerSlot, path: Path): Promise<boolean> | undefined {
    const { approved } = this.#asked.get(slot) ?? NOTHING;
    const stays = slot.carried !== undefined && samePath(slot.carried, path);
    if (stays && approved !== undefined && samePath(approved, path)) return undefined;
    return this.#look(slot, path);
  }

  forget(slot: PeerSlot): void {
    this.#asked.delete(slot);
  }

  async #look(slot: PeerSlot, path: Path): Promise<boolean> {
    const before = this.#asked.get(slot) ?? NOTHING;
    const { refusedUntil = 0 } = before;
    const now = this.#ports.clock.now().monotonic;
    if (now < refusedUntil) return false;
    const bucket = takeToken(before.bucket, VERIFY_RATE, now);
    if (bucket === undefined) return false;
    // At once: the peer may come again before the command has answered.
    this.#asked.set(slot, { ...before, bucket });
    const error = await this.#inTurn(slot, path);
    const until = millis(this.#ports.clock.now().monotonic + VERIFY_REFUSED);
    const after = this.#asked.get(slot);
    if (after) {
      this.#asked.set(slot, {
        bucket: after.bucket,
        refusedUntil: error === undefined ? undefined : until,
        approved: error === undefined ? path : undefined,
      });
    }
    if (error === undefined) return true;
    const { remote } = path;
    this.#ports.tell({ kind: 'turned-away', remote, error }, this.#ports.named(slot));
    return false;
  }

  async #inTurn(slot: PeerSlot, path: Path): Promise<string | undefined> {
    if (this.#running >= VERIFY_AT_ONCE) {
      if (this.#waiting.length >= VERIFY_WAITING) return 'too many wait to be asked about';
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running += 1;
    try {
      return await this.#ports.ask(environmentOf(slot, path));
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}

function environmentOf({ peer, carried }: PeerSlot, { remote }: Path): HookEnvironment {
  return {
    IPIPOU_PEER: peer.id,
    IPIPOU_ENDPOINT: formatEndpoint(remote),
    ...(carried && { IPIPOU_PREVIOUS_ENDPOINT: formatEndpoint(carried.remote) }),
  };
}
