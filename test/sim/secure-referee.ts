/**
 * Watches one tunnel's two ends in session 2, and throws where docs/PROTOCOL.md is broken. It opens what they say to
 * each other with their own keys, and knows which paths were challenged, by what, and which have answered.
 */
import { sameEndpoint, samePath, type Path } from '../../src/core/addr.ts';
import { FRESH_WINDOW } from '../../src/core/handshake/control-session.ts';
import { openControl } from '../../src/core/handshake/control.ts';
import { indexOf, packetKind } from '../../src/core/handshake/layout.ts';
import type { ControlMessage } from '../../src/core/handshake/messages.ts';
import type { NoiseCrypto } from '../../src/core/noise/types.ts';
import { messageOf } from '../../src/core/session/secure/agreed.ts';
import { OFFERS_MAX, PINGS_MAX } from '../../src/core/session/secure/limits.ts';
import { CHALLENGE_LIFE } from '../../src/core/session/secure/moves.ts';
import { indexesOf, type Agreed, type ServerSecure } from '../../src/core/session/secure/state.ts';
import { sessionStatus, type SessionState } from '../../src/core/session/step.ts';
import type { SessionEffect } from '../../src/core/session/types.ts';
import type { Host, Move, PlaneWatch } from './host.ts';

type Packet = Extract<Move['event'], { readonly kind: 'packet' }>;
type Nonce = { readonly path: Path; readonly nonce: string };

export class SecureReferee {
  readonly #noise: NoiseCrypto;
  /** What was sent where, for its answer to come from there. */
  readonly #challenged: Nonce[] = [];
  /** When a path last answered what it was challenged by, by the server's clock. */
  readonly #answered: { readonly path: Path; readonly at: number }[] = [];
  /** Paths that the server was on in this run or by its memory. */
  readonly #been: Path[] = [];
  readonly #accepted = new Set<string>();
  readonly #sealed = new Map<string, string>();
  /** Whether session 1 is spoken as well. */
  readonly #firstAllowed: boolean;

  constructor(noise: NoiseCrypto, firstAllowed: boolean) {
    this.#noise = noise;
    this.#firstAllowed = firstAllowed;
  }

  /** CONTROL packets that were taken, so that a test sees that the rules were tried. */
  get accepted(): number {
    return this.#accepted.size;
  }

  watch(move: Move): void {
    if (move.event.kind === 'start') this.#forget(move.host.options.role);
    this.#checkBounds(move);
    this.#checkSecrets(move);
    for (const effect of move.effects) this.#checkSent(move, effect);
    if (move.event.kind === 'packet') this.#checkTaken(move, move.event);
    if (move.after.role === 'server') this.#checkPath(move, move.after.secure);
  }

  /** What was taken before a restart may come once more: it answers no question, and moves nothing. */
  #forget(role: string): void {
    for (const name of this.#accepted) if (name.startsWith(role)) this.#accepted.delete(name);
  }

  #checkBounds(move: Move): void {
    const { after } = move;
    if (after.role === 'client') {
      assert(after.secure.pings.length <= PINGS_MAX, move, 'too many PINGs are waited for');
      return;
    }
    const { offers } = after.secure;
    assert(offers.length <= OFFERS_MAX, move, 'too many offers');
    const apart = offers.every(
      ({ path }, at) => !offers.slice(0, at).some((other) => samePath(other.path, path)),
    );
    assert(apart, move, 'two offers of one path');
  }

  /** Nothing that is told or shown has bytes in it: keys have no other form. */
  #checkSecrets(move: Move): void {
    const told = move.effects.filter(({ kind }) => kind === 'event' || kind === 'remember');
    assert(!told.some(hasBytes), move, 'tells or writes down what may be a key');
    const { config, after, now } = move;
    if (told.length === 0) return;
    assert(!hasBytes(sessionStatus(config, after, now)), move, 'shows what may be a key');
  }

  #checkSent(move: Move, effect: SessionEffect): void {
    if (effect.kind !== 'send' || packetKind(effect.payload) !== 'control') return;
    const { payload } = effect;
    // The index and the counter; never again with something else behind them.
    const name = `${move.host.options.role} ${text(payload.subarray(4, 16))}`;
    const before = this.#sealed.get(name);
    assert(before === undefined, move, 'a counter serves twice under one key');
    this.#sealed.set(name, text(payload.subarray(16)));
    if (move.after.role !== 'server') return;
    const messages = this.#read(move.after, payload, 'sent');
    const asked = messages && messageOf(messages, 'path-challenge');
    if (asked) this.#challenged.push({ path: effect.path, nonce: text(asked.challenge) });
  }

  #checkTaken(move: Move, { path, payload }: Packet): void {
    const { before, after, event } = move;
    if (event.kind !== 'packet' || packetKind(payload) !== 'control') {
      return this.#checkOther(move);
    }
    const messages = this.#read(before, payload, 'received');
    this.#noteAnswer(move, path, messages);
    const index = indexOf(payload) ?? 0;
    const [was, is] = [before, after].map((state) => windowOf(state, index));
    if (is === undefined || JSON.stringify(was) === JSON.stringify(is)) return;
    const name = `${move.host.options.role} ${text(payload)}`;
    assert(!this.#accepted.has(name), move, 'took a CONTROL twice');
    assert(messages !== undefined, move, 'took what the other side has not said');
    this.#accepted.add(name);
  }

  #noteAnswer({ before, now }: Move, path: Path, messages?: readonly ControlMessage[]): void {
    const answer = messages && messageOf(messages, 'path-response');
    if (before.role !== 'server' || !answer) return;
    const nonce = text(answer.challenge);
    const isHere = (each: Nonce): boolean => each.nonce === nonce && samePath(each.path, path);
    if (this.#challenged.some(isHere)) this.#answered.push({ path, at: now.monotonic });
  }

  /** What is no CONTROL moves nothing and ends nothing. */
  #checkOther(move: Move): void {
    const { before, after, config } = move;
    if (config.auth.session === 'v1' || (this.#firstAllowed && !before.secured)) return;
    if (before.role === 'server' && after.role === 'server') {
      const same = before.requestsAccepted === after.requestsAccepted;
      assert(same, move, 'took for a request what is none of session 2');
      assert(before.secure.current === after.secure.current, move, 'a session began without proof');
    } else if (before.role === 'client' && after.role === 'client') {
      assert(before.repliesVerified === after.repliesVerified, move, 'a reply of session 1 counts');
    }
  }

  #checkPath(move: Move, secure: ServerSecure): void {
    for (const { path, challenge } of secure.offers) {
      const nonce = text(challenge);
      if (!this.#challenged.some((each) => each.nonce === nonce)) {
        this.#challenged.push({ path, nonce });
      }
    }
    const { before, after, event, now } = move;
    if (before.role !== 'server' || after.role !== 'server') return;
    if (event.kind === 'start') {
      if (after.remote) this.#been.push(after.remote.path);
      return;
    }
    const path = after.remote?.path;
    const from = before.remote?.path;
    if (!path || (from && samePath(from, path))) return;
    const isHere = (each: { readonly path: Path }): boolean => samePath(each.path, path);
    const answered = this.#answered.some(
      (each) => isHere(each) && now.monotonic - each.at <= 2 * CHALLENGE_LIFE,
    );
    const roamed = event.kind === 'roamed' && samePath(event.path, path);
    const back = event.kind !== 'packet' && this.#been.some((each) => samePath(each, path));
    const only = move.config.auth.session === 'v1';
    const first = only || (this.#firstAllowed && !before.secured);
    const by = answered || roamed || back || first;
    assert(by, move, 'follows a path that has not answered its challenge');
    this.#been.push(path);
  }

  /** What a CONTROL says, by the keys that a side has. */
  #read(
    state: SessionState,
    payload: Uint8Array,
    way: 'sent' | 'received',
  ): readonly ControlMessage[] | undefined {
    for (const { control } of agreedIn(state)) {
      const { sendKey, receiveKey, sendIndex, receiveIndex } = control;
      const own = { ...control, receiveKey: sendKey, receiveIndex: sendIndex };
      const session = way === 'sent' ? own : { ...control, receiveKey, receiveIndex };
      const opened = openControl(this.#noise, { ...session, window: FRESH_WINDOW }, payload);
      if (opened.ok) return opened.value.messages;
    }
    return undefined;
  }
}

/** Judges one machine beside its steps. */
export function planeReferee(): PlaneWatch {
  const sealed = new Set<string>();
  const taken = new Set<string>();
  return {
    answered(host, { from, payload }, bytes) {
      if (host.options.role === 'client') return;
      const isPeer = host.peers.some(({ path }) => path && sameEndpoint(path.remote, from));
      check(isPeer || bytes <= payload.length, host, 'an answer is longer than what it answers');
    },
    settled({ table, peers, running, options: { name } }) {
      if (!running) return;
      const inUse = peers.reduce((sum, { state }) => sum + (state ? indexesIn(state) : 0), 0);
      if (table.indexes.size !== inUse) throw new Error(`${name}: indexes are not freed`);
    },
    sealed(host, { send }, payload) {
      // Nobody's: until there is a session, what is sent is to be taken by nobody.
      if (send.index === 0) return;
      const name = `${text(send.key.subarray(0, 32))} ${text(payload.subarray(0, 8))}`;
      check(!sealed.has(name), host, 'a counter of tags serves twice under one key');
      sealed.add(name);
    },
    took(host, payload) {
      const name = text(payload);
      check(!taken.has(name), host, 'took tagged data twice');
      taken.add(name);
    },
  };
}

function indexesIn({ secure }: SessionState): number {
  return indexesOf(secure).length;
}

function check(holds: boolean, host: Host, rule: string): void {
  if (!holds) throw new Error(`${nameOf(host)} at ${host.now().monotonic} ms: ${rule}`);
}

function agreedIn({ secure }: SessionState): readonly Agreed[] {
  const offers = secure.role === 'server' ? secure.offers.map(({ agreed }) => agreed) : [];
  return [secure.current, secure.former?.agreed, ...offers].filter((each) => each !== undefined);
}

function windowOf(state: SessionState, index: number): unknown {
  return agreedIn(state).find(({ control }) => control.receiveIndex === index)?.control.window;
}

function hasBytes(value: unknown): boolean {
  if (ArrayBuffer.isView(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some(hasBytes);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function assert(holds: boolean, { host, event, now }: Move, rule: string): asserts holds {
  if (holds) return;
  throw new Error(`${nameOf(host)} at ${now.monotonic} ms: ${rule} (${event.kind})`);
}

function nameOf(host: Host): string {
  return host.options.name;
}
