/** What two sides have after a handshake, and which of the other's CONTROL packets have come. Plain data. */

export type ControlSession = {
  readonly role: 'client' | 'server';
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** Of the handshake's end: the keys of tags are derived from it (`tagKeysOf`). */
  readonly chainingKey: Uint8Array;
  /** The other side's index, that its packets carry. */
  readonly sendIndex: number;
  readonly receiveIndex: number;
  /**
   * Of the next packet that is sent. No counter may serve twice, so what is kept for a later run must have a number
   * here that this run does not come to (`reserved`).
   */
  readonly nextCounter: number;
  readonly window: CounterWindow;
};

/** The newest counter, and which of the COUNTER_WINDOW up to it have come: bit n for the one that is n older. */
export type CounterWindow = {
  readonly newest: number;
  /** The lower 32 bits, and the higher ones. */
  readonly seen: readonly [number, number];
};

export const COUNTER_WINDOW = 64;
export const FRESH_WINDOW: CounterWindow = { newest: -1, seen: [0, 0] };

/** How many packets a run may send before it must keep a session anew. */
export const COUNTER_RESERVE = 1024;

/** The session as a later run may go on with it, while this one sends COUNTER_RESERVE packets more. */
export function reserved(session: ControlSession): ControlSession {
  return { ...session, nextCounter: session.nextCounter + COUNTER_RESERVE };
}

export function isFreshCounter({ newest, seen }: CounterWindow, counter: number): boolean {
  const age = newest - counter;
  if (age < 0) return true;
  if (age >= COUNTER_WINDOW) return false;
  return (seen[age < 32 ? 0 : 1] & (1 << (age & 31))) === 0;
}

/** The window after a counter that is fresh. */
export function takeCounter(window: CounterWindow, counter: number): CounterWindow {
  const { newest, seen } = window;
  const age = newest - counter;
  if (age < 0) return { newest: counter, seen: shifted(seen, -age) };
  const bit = 1 << (age & 31);
  const [low, high] = seen;
  return { newest, seen: age < 32 ? [(low | bit) >>> 0, high] : [low, (high | bit) >>> 0] };
}

/** Made older by so many counters, the newest of which has come. */
function shifted([low, high]: readonly [number, number], by: number): readonly [number, number] {
  if (by >= COUNTER_WINDOW) return [1, 0];
  if (by >= 32) return [1, by === 32 ? low : (low << (by - 32)) >>> 0];
  return [((low << by) | 1) >>> 0, ((high << by) | (low >>> (32 - by))) >>> 0];
}
