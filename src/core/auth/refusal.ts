/**
 * Why a packet was refused: a closed list, the words that `show` counts by.
 *
 * - `wrong-source`: not from where the config (or, on a client, the server's endpoint) says
 * - `unresolved`: auth-by-remote-ip names a host that has not resolved yet
 * - `not-authentication`: an inner IP packet of somebody who is not admitted
 * - `length`: no authentication packet of the configured scheme has this length
 * - `clock`: its time differs from ours by more than is allowed
 * - `stale`: older than the newest accepted packet ("time went backwards")
 * - `replayed`: this very packet was accepted before
 * - `crowded`: too many different packets were accepted with exactly this time
 * - `rate-limited`: proof not looked at, too many packets lately
 * - `token`, `signature`: the proof is wrong
 * - `unknown-peer`: no peer of this tunnel has this key, token or address
 * - `unverifiable`: the proof cannot be checked, no public key of the peer is configured
 * - `unsolicited`: a reply that answers nothing we asked lately
 * - `wrong-direction`: a reply where requests are expected, or a request where replies are
 * - `bound-elsewhere`: the request was made for a server with another key
 * - `verify`: the operator's command said no to who had proved itself
 * - `uninvited`: made with an invitation's key, and it has expired, or no key is registered by it
 *
 * Of session 2 alone:
 * - `mac1`: an INIT of somebody who does not know this server's key
 * - `undecipherable`: not authentic
 * - `malformed`: authentic, and not as the protocol has it
 * - `unknown-session`: it names no session of ours
 * - `downgrade`: session 1, from a peer that speaks session 2
 * - `integrity`: the other side wants more of each packet proved than this one can, or gives less
 */
export const REFUSALS = [
  'wrong-source',
  'unresolved',
  'not-authentication',
  'length',
  'clock',
  'stale',
  'replayed',
  'crowded',
  'rate-limited',
  'token',
  'signature',
  'unknown-peer',
  'unverifiable',
  'unsolicited',
  'wrong-direction',
  'bound-elsewhere',
  'uninvited',
  'verify',
  'mac1',
  'undecipherable',
  'malformed',
  'unknown-session',
  'downgrade',
  'integrity',
] as const;

export type Refusal = (typeof REFUSALS)[number];

/** Most refusals are this plain; that of a clock also says by how much (theirs minus ours). */
export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: Exclude<Refusal, 'clock' | 'stale'> }
  /** `difference`: theirs minus ours (`clock`), or minus the newest accepted time (`stale`). */
  | { readonly ok: false; readonly reason: 'clock' | 'stale'; readonly difference: number };

export type Refused = Extract<Verdict, { readonly ok: false }>;

export const ACCEPTED: Verdict = { ok: true };

export function refused(reason: Exclude<Refusal, 'clock' | 'stale'>): Refused {
  return { ok: false, reason };
}

/**
 * Why a server refuses a client whose signature holds, as it tells him. Numbers are what is sent (v1.ts).
 * `taken-over`: stale, and what was newer came from another address: another client has the same key, or
 * this one's clock was set back.
 */
export const NOTICES = { clock: 1, stale: 2, 'taken-over': 3 } as const;

/** `other`: a reason that this version does not know. */
export type NoticeReason = keyof typeof NOTICES | 'other';

/** `seconds`: the client's time minus the server's (`clock`) or minus the newest accepted one. */
export type Notice = { readonly reason: NoticeReason; readonly seconds: number };

/**
 * What to tell of a refusal; undefined for what is not told. A packet that was accepted before is not
 * among it: the network doubled it, or somebody else sends it.
 */
export function noticeOf(verdict: Refused): Notice | undefined {
  if (verdict.reason !== 'clock' && verdict.reason !== 'stale') return undefined;
  return { reason: verdict.reason, seconds: verdict.difference };
}
