import { familyOf, samePath, type Path } from '../../src/core/addr.ts';
import { decodeAuth } from '../../src/core/auth/v1.ts';
import { REPLAY_SEEN_MAX } from '../../src/core/auth/replay.ts';
import { SOURCES_MAX } from '../../src/core/budgets.ts';
import { refusalIn } from '../../src/core/auth/trailer.ts';
import { REQUESTS_MAX } from '../../src/core/session/limits.ts';
import { PATH_MTU_MIN } from '../../src/core/session/path-mtu-limits.ts';
import { sessionPath, type SessionState } from '../../src/core/session/step.ts';
import type { SessionEffect } from '../../src/core/session/types.ts';
import { TAG_LENGTH } from '../../src/core/tag/layout.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import type { Host, Move } from './host.ts';

type EffectOf<Kind extends SessionEffect['kind']> = Extract<SessionEffect, { readonly kind: Kind }>;

/** Seconds that the simulated configs allow between clocks. */
const CLOCKS_APART = 300;

/**
 * Watches every step of one tunnel's two ends and throws when a rule is broken. It knows what
 * nobody in the simulation knows: which packets are genuine, and which were accepted before.
 */
export class Referee {
  /** Requests that the true client sent, and replies that the true server sent. */
  readonly #genuine = new Set<string>();
  readonly #replies = new Set<string>();
  readonly #accepted = new Set<string>();
  readonly #verified = new Set<string>();
  readonly #pathsOfProof: Path[] = [];
  /** The source of the last authentic packet; after a start, the one that the disk names. */
  #due: Path | undefined;
  /** Whether the proof is a signature, so that replays and forgeries must fail. */
  readonly #signed: boolean;
  readonly #repliesAreSigned: boolean;

  /** Whether session 2 may be spoken: then what is genuine is not told by signatures. */
  readonly #secure: boolean;

  constructor(signed: boolean, repliesAreSigned: boolean, secure = false) {
    this.#secure = secure;
    this.#signed = signed;
    this.#repliesAreSigned = repliesAreSigned;
  }

  /** Packets accepted so far. */
  get accepted(): number {
    return this.#accepted.size;
  }

  /** The server's disk was lost: what was accepted before may be accepted again. */
  serverForgot(): void {
    this.#accepted.clear();
  }

  clientForgot(): void {
    this.#verified.clear();
  }

  watch(move: Move): void {
    this.#checkForm(move);
    this.#checkBounds(move);
    if (this.#secure) return;
    if (move.host.options.role === 'server') this.#checkServer(move);
    else this.#checkClient(move);
  }

  #checkServer(move: Move): void {
    const { event, effects, after } = move;
    if (event.kind === 'start') {
      const remembered = event.memory?.remote?.path;
      this.#due = this.#pathsOfProof.find((path) => remembered && samePath(path, remembered));
    }
    const proof = event.kind === 'packet' ? this.#judgeRequest(move, event) : undefined;
    for (const effect of effects) {
      if (effect.kind === 'admit') {
        const right = this.#due !== undefined && samePath(this.#due, effect.path);
        assert(right, move, 'admits a path that did not prove itself last');
      }
      if (effect.kind !== 'send') continue;
      assert(effect.purpose !== 'authenticate', move, 'a server does not authenticate');
      if (effect.purpose === 'reply') {
        const refuses = refusalIn(effect.payload) !== undefined;
        assert(refuses || proof !== undefined, move, 'replies to nothing authentic');
        const { payload } = event as { readonly payload: Uint8Array };
        assert(
          effect.payload.length <= payload.length,
          move,
          'the reply is bigger than the request',
        );
        if (refuses) this.#checkRefusal(move, payload);
        else this.#replies.add(nameOf(effect.payload));
      } else {
        assert(effect.payload.length === 0, move, 'a keepalive is empty');
        const known = this.#pathsOfProof.some((path) => samePath(path, effect.path));
        assert(known, move, 'keeps a path alive that never proved itself');
      }
    }
    const path = sessionPath(after);
    const known = path === undefined || this.#pathsOfProof.some((proved) => samePath(proved, path));
    assert(known, move, 'follows a path that never proved itself');
  }

  #checkRefusal(move: Move, request: Uint8Array): void {
    assert(this.#genuine.has(nameOf(request)), move, 'tells who did not sign why he is refused');
    assert(!acceptedIn(move), move, 'refuses what it accepts');
  }

  /** The path, if this packet was accepted. */
  #judgeRequest(
    move: Move,
    event: { readonly path: Path; readonly payload: Uint8Array },
  ): Path | undefined {
    const name = nameOf(event.payload);
    const wasAccepted = acceptedIn(move);
    if (this.#signed && this.#accepted.has(name)) {
      assert(!wasAccepted, move, 'accepted a packet twice');
      const quiet = move.effects.every(
        (effect) =>
          effect.kind === 'event' || (effect.kind === 'send' && refusalIn(effect.payload)),
      );
      assert(quiet, move, 'a replayed packet had an effect');
      assert(unchanged(move), move, 'a replayed packet changed the state');
      return undefined;
    }
    if (!wasAccepted) return undefined;
    if (this.#signed) {
      assert(this.#genuine.has(name), move, 'accepted a packet that the client never sent');
      const time = decodeAuth(event.payload)?.time ?? 0;
      const apart = Math.abs(time - Math.floor(move.now.unix / 1000));
      assert(apart <= CLOCKS_APART, move, 'accepted a packet of another time');
    }
    this.#accepted.add(name);
    this.#due = event.path;
    if (!this.#pathsOfProof.some((path) => samePath(path, event.path))) {
      this.#pathsOfProof.push(event.path);
    }
    this.#checkOrder(move);
    return event.path;
  }

  #checkOrder(move: Move): void {
    const order = ['remember', 'admit', 'send'];
    const kinds = move.effects.map((effect) => order.indexOf(effect.kind)).filter((at) => at >= 0);
    const sorted = kinds.every((at, index) => index === 0 || (kinds[index - 1] ?? 0) <= at);
    assert(kinds.includes(0) && sorted, move, 'not in the order remember, admit, reply');
  }

  #checkClient(move: Move): void {
    const { event, effects, before, after, wakeAt } = move;
    assert(wakeAt !== undefined, move, 'a client without a next wake-up is stuck');
    for (const effect of effects) {
      if (effect.kind === 'send') {
        assert(
          effect.purpose === 'authenticate',
          move,
          'a client sends nothing but authentication',
        );
        const taken = move.host.insideOf(effect.path.remote.ip);
        const sized = move.config.mtu === 'auto' ? taken : PATH_MTU_MIN;
        assert(effect.payload.length <= sized, move, 'asks with more than its route takes');
        this.#genuine.add(nameOf(effect.payload));
      }
    }
    const send = effects.findIndex((effect) => effect.kind === 'send');
    const admit = effects.findIndex((effect) => effect.kind === 'admit');
    const retried = event.kind === 'wake';
    assert(admit < 0 || retried || send > admit, move, 'admits a path and does not ask on it');
    assert(send < 0 || send > admit, move, 'asks before it admits: the reply may come before');
    if (before.role !== 'client' || after.role !== 'client' || !this.#signed) return;
    if (event.kind !== 'packet' || after.repliesVerified === before.repliesVerified) return;
    const name = nameOf(event.payload);
    const reversal = nameOf(event.payload.toReversed());
    const mine = this.#repliesAreSigned ? this.#replies.has(name) : this.#genuine.has(reversal);
    assert(mine, move, 'took a reply for true that is not');
    assert(!this.#verified.has(name), move, 'took the same reply twice');
    this.#verified.add(name);
  }

  #checkForm(move: Move): void {
    const { wakeAt, now, effects, config } = move;
    assert(wakeAt === undefined || wakeAt > now.monotonic, move, 'wakes up for what is past');
    assert(wakeAt === undefined || Number.isFinite(wakeAt), move, 'a wake-up at no time');
    for (const effect of effects) {
      if (effect.kind === 'admit' || effect.kind === 'send') this.#checkPath(move, effect);
      if (effect.kind === 'limit-mtu') {
        const level = move.after.secure.current?.level ?? 'none';
        const least = leastOf(move.after) - (level === 'none' ? 0 : TAG_LENGTH);
        const { mtu = least } = effect;
        assert(mtu >= least, move, 'limits the plane to less than every path takes');
      }
      if (effect.kind === 'resolve') {
        assert(effect.host === config.remoteHost, move, 'resolves another name');
      }
    }
  }

  #checkPath(move: Move, effect: EffectOf<'admit'> | EffectOf<'send'>): void {
    const { config } = move;
    const { local, remote } = effect.path;
    assert(local.port === config.localPort, move, 'a path that is not on our port');
    const one = familyOf(local.ip) === familyOf(remote.ip);
    assert(one, move, 'a path whose ends are of two families');
    const toServer = config.role === 'server' || remote.port === config.remotePort;
    assert(toServer, move, 'a path that does not end at the server');
  }

  #checkBounds(move: Move): void {
    const { after } = move;
    assert(move.host.table.gate.sources <= SOURCES_MAX, move, 'too many sources');
    assert((after.replay?.seen.length ?? 0) <= REPLAY_SEEN_MAX, move, 'too many fingerprints');
    assert(
      after.role === 'server' || after.requests.length <= REQUESTS_MAX,
      move,
      'too many requests',
    );
  }
}

/** What every path takes of the family that a session's is of. */
function leastOf(state: SessionState): number {
  const remote =
    state.role === 'server' ? state.remote?.path.remote.ip : (state.via ?? state.remote);
  const overhead = overheadOf('ipv6');
  return remote !== undefined && familyOf(remote) === 'ipv6' ? 1280 - overhead : PATH_MTU_MIN;
}

/** Whether a packet was taken for an authentic one: then, and only then, the proof's time is another. */
function acceptedIn({ before, after }: Move): boolean {
  if (before.role !== 'server' || after.role !== 'server') return false;
  return after.remote !== undefined && after.remote.authenticated !== before.remote?.authenticated;
}

function unchanged({ before, after }: Move): boolean {
  if (before.role !== 'server' || after.role !== 'server') return false;
  return (
    before.remote === after.remote &&
    before.replay === after.replay &&
    before.retry === after.retry &&
    before.own === after.own &&
    before.hinted === after.hinted &&
    before.keepaliveAt === after.keepaliveAt &&
    before.pollAt === after.pollAt
  );
}

function nameOf(payload: Uint8Array): string {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('latin1');
}

function assert(holds: boolean, move: Move, rule: string): asserts holds {
  if (holds) return;
  const { host, event, effects, now } = move;
  const told = JSON.stringify({ event, effects }, (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  throw new Error(`${nameOfHost(host)} at ${now.monotonic} ms: ${rule}\n${told}`);
}

function nameOfHost(host: Host): string {
  return host.options.name;
}
