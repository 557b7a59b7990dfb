/**
 * How many control packets may go up to the session. Each class has its own budget and its own share of
 * what may wait there, so that nobody's packets keep another class's out:
 *
 *     peer       from an admitted path                     a budget for each peer, and one for its data under keys that are gone
 *     hinted     with the hint of a known peer's key       for each source and hint, then for each hint
 *     known      from an address that a peer was at        for each source, then for all of them
 *     first      of session 2, whose mac1 was right        for all of them, then as strangers'
 *     proved     the same with a cookie                    for each source, then for all of them
 *     asked      what ends a handshake that began there    a few for each such first message
 *     stranger   of an authentication packet's length      for each source, then for all of them
 *     junk       of another length                         for all of them
 *
 * The source is charged first: one that has a victim's hint uses up its own share of the hint's budget only.
 * What a hint's budget or a known source's refuses may still go as a stranger's. A source of IPv6 is its /64,
 * since whoever has one has all of it (core/source-key.ts). Whatever is refused makes
 * no garbage, and the commonest refusal comes first.
 */
import { randomBytes } from 'node:crypto';
import { CONTROL_LIMITS, type Rate } from '../../../core/budgets.ts';
import { getU32host } from '../../../core/bytes.ts';
import { takeToken, type Bucket } from '../../../core/session/rate-limit.ts';
import type { Millis } from '../../../core/units.ts';
import { TokenBucket } from '../token-bucket.ts';
import { BucketTable } from '../bucket-table.ts';
import { FirstBudgets } from '../first-budgets.ts';
import type { HintTable } from './hint-table.ts';
import { NETWORK_WORDS } from './ipv6-words.ts';
import { hashWords, WordsMap } from './words-map.ts';

export type ControlClass = keyof typeof CONTROL_LIMITS.pending;

/** Each table of budgets has 2^13 places, which are 64 KiB. */
const PLACES = 13;
/** Of sources that first messages went up from, with cookies and without, those that a filter is told of. */
const ASKED_LISTED = 24;

type Asked = Map<number, { left: number; readonly words: Uint32Array | undefined }>;

export class ControlGate {
  readonly #hints: HintTable;
  readonly #authLengths: ReadonlySet<number>;
  readonly #now: () => Millis;
  readonly #hintSources: BucketTable;
  readonly #knownSources: BucketTable;
  readonly #sources: BucketTable;
  readonly #known = new TokenBucket(CONTROL_LIMITS.known);
  readonly #first: FirstBudgets;
  /**
   * Where first messages went up from lately, with a cookie and without: those without may be forged, and many. How much
   * may follow; the networks of IPv6 by a hash.
   */
  readonly #asked: Readonly<Record<'proved' | 'plain', Asked>> = {
    ...{ proved: new Map(), plain: new Map() },
  };
  readonly #strangers = new TokenBucket(CONTROL_LIMITS.strangers);
  readonly #junk = new TokenBucket(CONTROL_LIMITS.junk);
  /** Where peers were admitted, the latest last; the networks by their text, too, to be found. */
  readonly #addresses = new Set<number>();
  readonly #networks = new Map<string, Uint32Array>();
  readonly #isNetwork = new WordsMap<true>(NETWORK_WORDS);
  readonly #seed = getU32host(randomBytes(4), 0);
  readonly #waiting: Record<ControlClass, number> = {
    ...{ peer: 0, hinted: 0, known: 0, first: 0, proved: 0, asked: 0, stranger: 0 },
  };
  /** Classes of what waits, in order: the session deals with one after another. */
  readonly #order: ControlClass[] = [];

  /** `hints` and `authLengths` are kept by their owners. */
  constructor(authLengths: ReadonlySet<number>, hints: HintTable, now: () => Millis) {
    const seed = this.#seed;
    this.#authLengths = authLengths;
    this.#hints = hints;
    this.#now = now;
    this.#hintSources = new BucketTable(CONTROL_LIMITS.hintedSource, PLACES, seed);
    this.#knownSources = new BucketTable(CONTROL_LIMITS.knownSource, PLACES, seed);
    this.#sources = new BucketTable(CONTROL_LIMITS.source, PLACES, seed);
    this.#first = new FirstBudgets(seed);
  }

  /** A peer is admitted at this address, an unsigned number. */
  remember(source: number): void {
    this.#addresses.delete(source);
    this.#addresses.add(source);
    for (const oldest of this.#addresses) {
      if (this.#addresses.size <= CONTROL_LIMITS.knownSources.size) break;
      this.#addresses.delete(oldest);
    }
  }

  /** The same of IPv6; `network`: the words of its /64. */
  rememberNetwork(network: Uint32Array): void {
    const words = network.slice(0, NETWORK_WORDS);
    const name = words.join();
    this.#networks.delete(name);
    this.#networks.set(name, words);
    this.#isNetwork.set(words, true);
    for (const [oldest, its] of this.#networks) {
      if (this.#networks.size <= CONTROL_LIMITS.knownSources.size) break;
      this.#networks.delete(oldest);
      this.#isNetwork.delete(its);
    }
  }

  get networks(): readonly Uint32Array[] {
    const asked = this.#lately().flatMap(([, { words }]) => words ?? []);
    return [...this.#networks.values(), ...asked];
  }

  /** Where peers are or were admitted, and then where first messages went up from lately, the latest last. */
  get addresses(): readonly number[] {
    const asked = this.#lately().flatMap(([source, { words }]) => (words ? [] : source));
    return [...this.#addresses, ...asked];
  }

  #lately() {
    const { plain, proved } = this.#asked;
    return [plain, proved].flatMap((asked) => [...asked].slice(-ASKED_LISTED));
  }

  /** Notes that a first message from there goes up: what ends its handshake may follow. */
  ask(proved: boolean, source: number, network?: Uint32Array): void {
    const key = this.keyOf(source, network);
    const { size, packets } = CONTROL_LIMITS.asked;
    const asked = this.#asked[proved ? 'proved' : 'plain'];
    asked.delete(key);
    asked.set(key, { left: packets, words: network?.slice(0, NETWORK_WORDS) });
    for (const oldest of asked.keys()) {
      if (asked.size <= size) break;
      asked.delete(oldest);
    }
  }

  /** A number that stands for a source; `network`: the words of its /64 where it is one of IPv6. */
  keyOf(source: number, network: Uint32Array | undefined): number {
    return network === undefined ? source : hashWords(network, NETWORK_WORDS, this.#seed);
  }

  /** Lets what ends a handshake through, from where a first message went up; `settled` must be called for it then. */
  passEnd(source: number): boolean {
    const { plain, proved } = this.#asked;
    const asked = [proved.get(source), plain.get(source)].find((one) => one && one.left > 0);
    if (asked === undefined || !this.#free('asked')) return false;
    asked.left -= 1;
    return this.#pass('asked');
  }

  /** Lets a first message through that has a cookie; `settled` must be called for it then. */
  passProved(source: number): boolean {
    const now = this.#now();
    return this.#free('proved') && this.#first.takeProved(source, now) && this.#pass('proved');
  }

  /** Lets a packet of an admitted peer through; `settled` must be called for it then. */
  passPeer(peer: { controlBucket: Bucket | undefined }): boolean {
    return this.#passOwn(peer, 'controlBucket', CONTROL_LIMITS.peer);
  }

  /** The same of data of such a peer under keys that are gone. */
  passForgotten(peer: { forgottenBucket: Bucket | undefined }): boolean {
    return this.#passOwn(peer, 'forgottenBucket', CONTROL_LIMITS.forgotten);
  }

  #passOwn<Name extends string>(
    peer: Record<Name, Bucket | undefined>,
    name: Name,
    rate: Rate,
  ): boolean {
    if (!this.#free('peer')) return false;
    const bucket: Bucket | undefined = takeToken(peer[name], rate, this.#now());
    if (bucket === undefined) return false;
    peer[name] = bucket;
    return this.#pass('peer');
  }

  /** Lets a first message of session 2 through that is meant for us; `settled` must be called for it then. */
  passFirst(): boolean {
    return this.#free('first') && this.#first.take(this.#now()) && this.#pass('first');
  }

  /**
   * Lets a packet of `length` bytes from `source` through, where these two words stand in the place of a
   * hint (0 where it is too short for one); `settled` must be called for it then.
   */
  passStranger(source: number, length: number, first: number, second: number): boolean {
    return this.#passStranger(source, undefined, length, first, second);
  }

  /** The same of IPv6; `network` begins with the words of the source's /64. */
  passIpv6Stranger(network: Uint32Array, length: number, first: number, second: number): boolean {
    const source = hashWords(network, NETWORK_WORDS, this.#seed);
    return this.#passStranger(source, network, length, first, second);
  }

  #passStranger(
    source: number,
    network: Uint32Array | undefined,
    length: number,
    first: number,
    second: number,
  ): boolean {
    const now = this.#now();
    if (!this.#authLengths.has(length)) {
      return this.#free('stranger') && this.#junk.take(now) && this.#pass('stranger');
    }
    if (this.#passHinted(source, first, second, now)) return true;
    if (this.#passKnown(source, network, now)) return true;
    return (
      this.#free('stranger') &&
      this.#strangers.has(now) &&
      this.#sources.take(source, now) &&
      this.#strangers.take(now) &&
      this.#pass('stranger')
    );
  }

  /** The session has dealt with the one that waited longest. */
  settled(): void {
    const kind = this.#order.shift();
    if (kind) this.#waiting[kind] -= 1;
  }

  #passHinted(source: number, first: number, second: number, now: Millis): boolean {
    return (
      this.#hints.has(first, second) &&
      this.#free('hinted') &&
      this.#hintSources.take(source ^ Math.imul(first ^ second, 0x9e3779b1), now) &&
      this.#hints.take(first, second, now) &&
      this.#pass('hinted')
    );
  }

  #passKnown(source: number, network: Uint32Array | undefined, now: Millis): boolean {
    const known =
      network === undefined ? this.#addresses.has(source) : this.#isNetwork.get(network) === true;
    return (
      known &&
      this.#free('known') &&
      this.#knownSources.take(source, now) &&
      this.#known.take(now) &&
      this.#pass('known')
    );
  }

  #free(kind: ControlClass): boolean {
    return this.#waiting[kind] < CONTROL_LIMITS.pending[kind];
  }

  #pass(kind: ControlClass): true {
    this.#waiting[kind] += 1;
    this.#order.push(kind);
    return true;
  }
}
