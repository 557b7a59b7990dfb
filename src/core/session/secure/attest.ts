/**
 * Attestation between two sides that have agreed on it (docs/PROTOCOL.md): when statements are made, and what comes of
 * the other side's. A client makes them by its timer, a server answers each. Both need the plane's counters, which
 * are read for every statement, and a moment later is good enough: attestation.ts leaves room for that.
 */
import { CAPABILITY } from '../../handshake/payloads.ts';
import type { ControlMessage } from '../../handshake/messages.ts';
import type { Integrity } from '../../tag/types.ts';
import { getU32be } from '../../bytes.ts';
import { millis } from '../../units.ts';
import { ATTEST_EVERY, judgeStatement, type Counting, type Total } from '../attestation.ts';
import type { SessionState } from '../state.ts';
import { after, isDue, tell, type Turn } from '../turn.ts';
import type { PlaneCounts, SessionConfig } from '../types.ts';
import { messageOf } from './agreed.ts';
import type { Attestation, Counts, ToldCounts } from './state.ts';

/** Statements that say what the one before said, after which a client makes none unless it asks something. */
const STILL_MAX = 3;
/** A client's first is made when the server has the session. */
const FIRST_AFTER = millis(1000);
/** Then it makes one in so long at the most. */
const STILL_EVERY = millis(60_000);
/** A server answers only when its last statement is so old: two are never closer than a packet is under way. */
const ANSWER_GAP = millis(8000);
/** Counters that are read later than so long after a statement tell nothing of it. */
const READ_LATE = millis(2000);

const NOTHING_YET: Attestation = {
  dueAt: undefined,
  asking: false,
  told: undefined,
  heard: undefined,
  ledger: undefined,
  status: undefined,
};

/** What this side says of itself in a handshake. */
export function capabilitiesOf({ planeCounting }: SessionConfig): number {
  return CAPABILITY.attest | (planeCounting === 'exact' ? CAPABILITY.exact : 0);
}

/** How both sides count what is not tagged; undefined where one of them does not tell, or tags prove more. */
export function agreedCounting(
  config: SessionConfig,
  theirs: number,
  level: Integrity,
): Counting | undefined {
  const both = capabilitiesOf(config) & theirs;
  if (level !== 'none' || (both & CAPABILITY.attest) === 0) return undefined;
  return (both & CAPABILITY.exact) === 0 ? 'merged' : 'exact';
}

function change<State extends SessionState>(
  turn: Turn<State>,
  attestation: Partial<Attestation>,
): void {
  const before = turn.state.attestation ?? NOTHING_YET;
  turn.state = { ...turn.state, attestation: { ...before, ...attestation } };
}

/** The plane counts anew from now on: so do both sides. */
export function attestAnew<State extends SessionState>(turn: Turn<State>): void {
  turn.state = { ...turn.state, attestation: undefined };
}

/** A CONTROL of the session of now, which none has overtaken. */
export function hearStatement<State extends SessionState>(
  turn: Turn<State>,
  messages: readonly ControlMessage[],
): void {
  const said = messageOf(messages, 'attest');
  if (said === undefined || countingOf(turn.state) === undefined) return;
  const { epoch, packets, bytes } = said;
  const statement = { epoch, packets: Number(packets), bytes: Number(bytes) };
  change(turn, { heard: { statement, at: turn.now.monotonic } });
  turn.effects.push({ kind: 'poll-counters' });
}

/** A client's timer: has the counters read for a statement. */
export function runAttestation<State extends SessionState>(turn: Turn<State>): void {
  if (countingOf(turn.state) === undefined) {
    if (turn.state.attestation) attestAnew(turn);
    return;
  }
  const { dueAt } = turn.state.attestation ?? NOTHING_YET;
  if (dueAt !== undefined && !isDue(turn, dueAt)) return;
  change(turn, {
    dueAt: after(turn, dueAt === undefined ? FIRST_AFTER : ATTEST_EVERY),
    asking: dueAt !== undefined,
  });
  if (dueAt !== undefined) turn.effects.push({ kind: 'poll-counters' });
}

/** The counters were read; gives back the statement that is to be made now. */
export function attestCounts<State extends SessionState>(
  turn: Turn<State>,
  counts: PlaneCounts,
): ControlMessage | undefined {
  const counting = countingOf(turn.state);
  const { attestation } = turn.state;
  if (counting === undefined || attestation === undefined) return undefined;
  const { rxPackets, rxBytes = 0n, txPackets, txBytes = 0n } = counts;
  const now: Counts = {
    sent: { packets: Number(txPackets), bytes: Number(txBytes) },
    received: { packets: Number(rxPackets), bytes: Number(rxBytes) },
  };
  const answers = judge(turn, attestation, now.received, counting) && turn.state.role === 'server';
  if (!answers && !attestation.asking) return undefined;
  return state(turn, attestation.told, now);
}

/** Whether there was something to judge. */
function judge<State extends SessionState>(
  turn: Turn<State>,
  { heard, ledger: before, status }: Attestation,
  received: Total,
  counting: Counting,
): boolean {
  if (heard === undefined) return false;
  change(turn, { heard: undefined });
  const { monotonic, unix } = turn.now;
  if (monotonic - heard.at > READ_LATE) return false;
  const { statement, at } = heard;
  const { ledger, lost, injected } = judgeStatement(before, statement, received, {
    now: at,
    counting,
  });
  const sum = injected ? plus(status?.injected, injected) : status?.injected;
  change(turn, {
    ledger,
    status: {
      counting,
      at: unix,
      lost: lost ?? status?.lost ?? NONE,
      injected: sum ?? NONE,
      injectedAt: injected ? unix : status?.injectedAt,
    },
  });
  if (injected) {
    const { packets, bytes } = injected;
    const countable = counting === 'exact' ? packets : undefined;
    tell(turn, { kind: 'injection-suspected', packets: countable, bytes });
  }
  return true;
}

const NONE: Total = { packets: 0, bytes: 0 };

function plus(one: Total = NONE, other: Total): Total {
  return { packets: one.packets + other.packets, bytes: one.bytes + other.bytes };
}

function state<State extends SessionState>(
  turn: Turn<State>,
  told: ToldCounts | undefined,
  now: Counts,
): ControlMessage | undefined {
  const at = turn.now.monotonic;
  const { role, authPacketsSent: asked } = { authPacketsSent: 0, ...turn.state };
  if (role === 'server' && told && at - told.at < ANSWER_GAP) return undefined;
  const still = told && isSame(told.counts, now) ? told.still + 1 : 0;
  if (role === 'client' && told && still >= STILL_MAX) {
    change(turn, { asking: false });
    if (asked === told.asked || at - told.at < STILL_EVERY) return undefined;
  }
  // Counters that went back were begun anew: the other side is told so by an epoch that does not follow.
  const begun = told === undefined || isBack(told.counts.sent, now.sent);
  const epoch = begun ? getU32be(turn.crypto.random(4), 0) : (told.epoch + 1) >>> 0;
  change(turn, { asking: false, told: { epoch, counts: now, at, still, asked } });
  const { packets, bytes } = now.sent;
  return { kind: 'attest', epoch, packets: BigInt(packets), bytes: BigInt(bytes) };
}

function isSame({ sent, received }: Counts, now: Counts): boolean {
  return sent.packets === now.sent.packets && received.packets === now.received.packets;
}

function isBack(before: Total, now: Total): boolean {
  return now.packets < before.packets || now.bytes < before.bytes;
}

function countingOf({ secure: { current } }: SessionState): Counting | undefined {
  return current?.counting;
}
