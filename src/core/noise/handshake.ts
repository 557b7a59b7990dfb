/**
 * HandshakeState of the Noise Protocol Framework (revision 34, 5.3) for the patterns IK and IKpsk2, as functions
 * over values: a state is plain data, it can be kept between messages, and used again or thrown away.
 *
 *     IK:  <- s  …  -> e, es, s, ss   <- e, ee, se      IKpsk2: the second message ends with psk
 */
import { concatBytes } from '../bytes.ts';
import {
  mixHash,
  mixKey,
  mixKeyAndHash,
  openAndHash,
  sealAndHash,
  split,
  startSymmetric,
  type Symmetric,
} from './symmetric.ts';
import {
  generateDhPair,
  NOISE_KEY_BYTES,
  SEAL_BYTES,
  type DhPair,
  type NoiseCrypto,
} from './types.ts';

type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss' | 'psk';
export type PatternName = 'IK' | 'IKpsk2';

const PATTERNS: Readonly<Record<PatternName, readonly (readonly Token[])[]>> = {
  IK: [
    ['e', 'es', 's', 'ss'],
    ['e', 'ee', 'se'],
  ],
  IKpsk2: [
    ['e', 'es', 's', 'ss'],
    ['e', 'ee', 'se', 'psk'],
  ],
};

export type Handshake = {
  readonly role: 'initiator' | 'responder';
  readonly pattern: PatternName;
  /** Messages that are done, and tokens of the one that is not. */
  readonly messages: number;
  readonly tokens: number;
  readonly symmetric: Symmetric;
  readonly own: DhPair;
  /** Made for the first message that is written, unless it is given (by tests). */
  readonly ephemeral?: DhPair | undefined;
  readonly remote?: Uint8Array | undefined;
  readonly remoteEphemeral?: Uint8Array | undefined;
  /** A responder may give it when it knows whose it is: before the second message. */
  readonly psk?: Uint8Array | undefined;
};

export type HandshakeStart = Pick<
  Handshake,
  'role' | 'pattern' | 'own' | 'ephemeral' | 'remote' | 'psk'
> & { readonly prologue: Uint8Array };

/** What both have at the end. */
export type Transport = {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  /** Names the handshake (channel binding). */
  readonly hash: Uint8Array;
  /** More keys may be derived of it. */
  readonly chainingKey: Uint8Array;
};

/** An initiator must be given the responder's public key: throws TypeError where it is not. */
export function startHandshake(
  crypto: NoiseCrypto,
  { prologue, ...start }: HandshakeStart,
): Handshake {
  const responder = start.role === 'responder' ? start.own.publicKey : start.remote;
  if (!responder) throw new TypeError('an initiator knows whom it speaks to');
  const named = startSymmetric(crypto, `Noise_${start.pattern}_25519_ChaChaPoly_SHA256`);
  const symmetric = mixHash(crypto, mixHash(crypto, named, prologue), responder);
  return { ...start, messages: 0, tokens: 0, symmetric };
}

/** The next message. undefined where a key that was given has a low order. */
export function writeMessage(
  crypto: NoiseCrypto,
  from: Handshake,
  payload: Uint8Array,
): { readonly state: Handshake; readonly message: Uint8Array } | undefined {
  const parts: Uint8Array[] = [];
  let state = from;
  for (const token of tokensLeft(from)) {
    const written = writeToken(crypto, state, token);
    if (!written) return undefined;
    parts.push(written.part);
    state = written.state;
  }
  const { sealed, state: symmetric } = sealAndHash(crypto, state.symmetric, payload);
  parts.push(sealed);
  return { message: concatBytes(parts), state: nextMessage(state, symmetric) };
}

/** A message that has been read in part. */
export type Reading = { readonly state: Handshake; readonly rest: Uint8Array };

/**
 * Reads what tells who sent the first message, which costs one of its two operations of X25519: then
 * `state.remote` is there. undefined where it is not authentic.
 */
export function readStatic(
  crypto: NoiseCrypto,
  state: Handshake,
  message: Uint8Array,
): Reading | undefined {
  return readTokens(crypto, { state, rest: message }, (token) => token === 's');
}

/** A message, or the rest of one. undefined where it is not authentic. */
export function readMessage(
  crypto: NoiseCrypto,
  reading: Reading,
): { readonly state: Handshake; readonly payload: Uint8Array } | undefined {
  const read = readTokens(crypto, reading);
  const opened = read && openAndHash(crypto, read.state.symmetric, read.rest);
  if (!opened) return undefined;
  return { payload: opened.plaintext, state: nextMessage(read.state, opened.state) };
}

/** The keys for what comes after; undefined before the last message. */
export function finish(crypto: NoiseCrypto, state: Handshake): Transport | undefined {
  if (state.messages < PATTERNS[state.pattern].length) return undefined;
  const { hash, chainingKey } = state.symmetric;
  const [first, second] = split(crypto, state.symmetric);
  return state.role === 'initiator'
    ? { send: first, receive: second, hash, chainingKey }
    : { send: second, receive: first, hash, chainingKey };
}

function writeToken(
  crypto: NoiseCrypto,
  state: Handshake,
  token: Token,
): { readonly state: Handshake; readonly part: Uint8Array } | undefined {
  if (token === 'e') {
    const ephemeral = state.ephemeral ?? generateDhPair(crypto);
    const symmetric = mixEphemeral(crypto, state, ephemeral.publicKey);
    return { part: ephemeral.publicKey, state: { ...state, symmetric, ephemeral } };
  }
  if (token === 's') {
    const { sealed, state: symmetric } = sealAndHash(crypto, state.symmetric, state.own.publicKey);
    return { part: sealed, state: { ...state, symmetric } };
  }
  const symmetric = mixToken(crypto, state, token);
  return symmetric && { part: new Uint8Array(), state: { ...state, symmetric } };
}

function readTokens(
  crypto: NoiseCrypto,
  from: Reading,
  isLast: (token: Token) => boolean = () => false,
): Reading | undefined {
  let reading: Reading | undefined = from;
  for (const token of tokensLeft(from.state)) {
    reading = readToken(crypto, reading, token);
    if (!reading || isLast(token)) break;
  }
  return reading;
}

function readToken(
  crypto: NoiseCrypto,
  { state, rest }: Reading,
  token: Token,
): Reading | undefined {
  const tokens = state.tokens + 1;
  if (token === 'e') {
    const remoteEphemeral = Uint8Array.from(rest.subarray(0, NOISE_KEY_BYTES));
    if (remoteEphemeral.length < NOISE_KEY_BYTES) return undefined;
    const symmetric = mixEphemeral(crypto, state, remoteEphemeral);
    const left = rest.subarray(NOISE_KEY_BYTES);
    return { rest: left, state: { ...state, tokens, symmetric, remoteEphemeral } };
  }
  if (token === 's') {
    const length = NOISE_KEY_BYTES + (state.symmetric.key ? SEAL_BYTES : 0);
    if (rest.length < length) return undefined;
    const opened = openAndHash(crypto, state.symmetric, rest.subarray(0, length));
    if (!opened) return undefined;
    const { plaintext: remote, state: symmetric } = opened;
    return { rest: rest.subarray(length), state: { ...state, tokens, symmetric, remote } };
  }
  const symmetric = mixToken(crypto, state, token);
  return symmetric && { rest, state: { ...state, tokens, symmetric } };
}

function tokensLeft({ pattern, messages, tokens }: Handshake): readonly Token[] {
  const message = PATTERNS[pattern][messages];
  if (!message) throw new RangeError(`${pattern} has no message ${messages + 1}`);
  return message.slice(tokens);
}

function nextMessage(state: Handshake, symmetric: Symmetric): Handshake {
  return { ...state, symmetric, messages: state.messages + 1, tokens: 0 };
}

/** In handshakes with a pre-shared key an ephemeral key is mixed into the key as well (9.2). */
function mixEphemeral(
  crypto: NoiseCrypto,
  { pattern, symmetric }: Handshake,
  publicKey: Uint8Array,
): Symmetric {
  const hashed = mixHash(crypto, symmetric, publicKey);
  return pattern === 'IKpsk2' ? mixKey(crypto, hashed, publicKey) : hashed;
}

function mixToken(
  crypto: NoiseCrypto,
  state: Handshake,
  token: Exclude<Token, 'e' | 's'>,
): Symmetric | undefined {
  if (token === 'psk') {
    return state.psk && mixKeyAndHash(crypto, state.symmetric, state.psk);
  }
  // The first letter is the initiator's key, the second the responder's.
  const initiator = state.role === 'initiator';
  const ownIsStatic = token[initiator ? 0 : 1] === 's';
  const remoteIsStatic = token[initiator ? 1 : 0] === 's';
  const own = ownIsStatic ? state.own : state.ephemeral;
  const remote = remoteIsStatic ? state.remote : state.remoteEphemeral;
  const shared = own && remote && crypto.dh(own.secret, remote);
  return shared && mixKey(crypto, state.symmetric, shared);
}
