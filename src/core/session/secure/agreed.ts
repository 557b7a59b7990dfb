/** What both sides do with a session that they have agreed on. */
import { COUNTER_RESERVE, reserved } from '../../handshake/control-session.ts';
import { openControl, sealControl, type HeardControl } from '../../handshake/control.ts';
import { tagKeysOf } from '../../handshake/keys.ts';
import type { ControlMessage } from '../../handshake/messages.ts';
import type { HandshakeRefusal, Heard } from '../../handshake/refusal.ts';
import { refused, type Refusal, type Refused } from '../../auth/refusal.ts';
import type { NoiseCrypto } from '../../noise/types.ts';
import { TAG_RECEIVE_KEYS, type Integrity, type TagKeys } from '../../tag/types.ts';
import type { SessionState } from '../state.ts';
import type { Turn } from '../turn.ts';
import type { SecureCrypto } from './crypto.ts';
import type { Agreed, KeptSession } from './state.ts';

/** Whether session 2 may be spoken with the other side. */
export function secureOf<State extends SessionState>(turn: Turn<State>): SecureCrypto | undefined {
  return turn.config.auth.session === 'v1' ? undefined : turn.crypto.secure;
}

/** Whether session 1 is not good enough: by the config, or since the other side has shown that it speaks session 2. */
export function refusesFirst<State extends SessionState>(turn: Turn<State>): boolean {
  if (secureOf(turn) === undefined) return false;
  return (
    turn.config.auth.session === 'v2' || turn.config.auth.integrity !== 'none' || turn.state.secured
  );
}

const STRENGTH: Readonly<Record<Integrity, number>> = { none: 0, header: 1, full: 2 };

export function stronger(one: Integrity, other: Integrity): Integrity {
  return STRENGTH[one] >= STRENGTH[other] ? one : other;
}

export function isWeaker(one: Integrity, other: Integrity): boolean {
  return STRENGTH[one] < STRENGTH[other];
}

/** The tags of a session, what was agreed before it, and what may be agreed next; undefined where it has none. */
export function tagKeys(
  noise: NoiseCrypto,
  current: Agreed | undefined,
  others: readonly (Agreed | undefined)[],
): TagKeys | undefined {
  if (current === undefined || current.level === 'none') return undefined;
  const { level, control } = current;
  const known = [others[0], current, ...others.slice(1)].filter((each) => each?.level === level);
  const receive = known.flatMap((each) => {
    if (each === undefined) return [];
    const { control: session } = each;
    return { index: session.receiveIndex, key: keysOf(noise, each).receive };
  });
  return {
    level,
    send: { index: control.sendIndex, key: keysOf(noise, current).send },
    receive: receive.slice(0, TAG_RECEIVE_KEYS),
  };
}

function keysOf(noise: NoiseCrypto, { control }: Agreed) {
  const { client, server } = tagKeysOf(noise, control);
  return control.role === 'client'
    ? { send: client, receive: server }
    : { send: server, receive: client };
}

/** Seals messages under the session of now, and has it kept where need be; undefined where there is none. */
export function say<State extends SessionState>(
  turn: Turn<State>,
  messages: readonly ControlMessage[],
  length?: number,
): Uint8Array | undefined {
  const secure = secureOf(turn);
  const { current } = turn.state.secure;
  if (secure === undefined || current === undefined) return undefined;
  const { packet, session } = sealControl(secure.noise, current.control, messages, length);
  const agreed = { ...current, control: session };
  setCurrent(turn, agreed);
  if (agreed.control.nextCounter >= agreed.keptUntil) keepNow(turn);
  return packet;
}

function setCurrent<State extends SessionState>(turn: Turn<State>, current: Agreed): void {
  turn.state = { ...turn.state, secure: { ...turn.state.secure, current } };
}

/** Opens a packet; the session after it is in `agreed`. */
export function listen(
  noise: NoiseCrypto,
  agreed: Agreed,
  packet: Uint8Array,
): Heard<HeardControl & { readonly agreed: Agreed }> {
  const heard = openControl(noise, agreed.control, packet);
  if (!heard.ok) return heard;
  const { value } = heard;
  return { ok: true, value: { ...value, agreed: { ...agreed, control: value.session } } };
}

/** Of a kind, the message that is among some. */
export function messageOf<Kind extends ControlMessage['kind']>(
  messages: readonly ControlMessage[],
  kind: Kind,
): Extract<ControlMessage, { readonly kind: Kind }> | undefined {
  return messages.find(
    (message): message is Extract<ControlMessage, { readonly kind: Kind }> => message.kind === kind,
  );
}

const WORDS: Readonly<Record<HandshakeRefusal, Exclude<Refusal, 'clock' | 'stale'>>> = {
  length: 'length',
  index: 'unknown-session',
  mac: 'mac1',
  undecipherable: 'undecipherable',
  replayed: 'replayed',
  malformed: 'malformed',
};

export function refusedBy(reason: HandshakeRefusal): Refused {
  return refused(WORDS[reason]);
}

/** A session that was just agreed on, as it is kept for a later run. */
export function kept(agreed: Agreed): Agreed {
  return { ...agreed, keptUntil: agreed.control.nextCounter + COUNTER_RESERVE };
}

/** Has kept what a later run needs to go on. */
export function keep<State extends SessionState>(
  turn: Turn<State>,
  current: Agreed | undefined,
  former: Agreed | undefined,
  epoch: number,
): void {
  const record: KeptSession | undefined = current && {
    current: { ...current, control: reserved(current.control) },
    former,
    epoch,
  };
  turn.effects.push({ kind: 'keep', record });
}

/** Has the session of now kept, if there is one. */
export function keepNow<State extends SessionState>(turn: Turn<State>): void {
  const { current, former, epoch } = turn.state.secure;
  if (current === undefined) return;
  const fresh = kept(current);
  setCurrent(turn, fresh);
  keep(turn, fresh, former?.agreed, epoch);
}
