/**
 * Whose packet is this? The peers of one tunnel by everything that a packet may tell about its
 * sender, each a look into a map, however many peers there are:
 *
 * - the path that a peer's packets come on;
 * - the key hint (core/auth/v1.ts);
 * - the token, by a digest;
 * - the address or port, of peers that prove nothing else (`none` with auth-by-remote-*), and at last
 *   the one peer that need not prove anything at all.
 *
 * Packets of the first implementation have no hint. For them there is a list of the peers that were
 * never seen using one, to be tried a few at a time, and a note of who of them was last at a source.
 *
 * It knows where peers are, not who they are: nothing found here is admitted before its session has
 * tested the packet. Bounds: by the number of peers, but for the notes (`NOTES_MAX`).
 */
import {
  parseOuterIp,
  samePath,
  endpointKey,
  type OuterIp,
  type Endpoint,
  type InnerIp,
  type Path,
  type EndpointKey,
} from '../addr.ts';
import { constantTimeEqual } from '../auth/bytes.ts';
import { encodePublicKey } from '../public-key.ts';
import { HINT_LENGTH, hintOfKey } from '../auth/trailer.ts';
import { getU32be } from '../bytes.ts';
import { OWN_KEYS_MAX } from '../config/limits.ts';
import type { PeerConfig, PeerId, Proof } from '../config/tunnel-config.ts';
import { MultiMap } from '../multi-map.ts';
import { RankedList, type Ranked } from '../ranked-list.ts';
import { sourceOf, type SourceKey } from '../source-key.ts';
import type { Port } from '../units.ts';

/** What the directory keeps of a peer. `path` and `place` are its own to write. */
export interface Entry extends Ranked {
  readonly peer: PeerConfig;
  /** Where its packets come from now. */
  path: Path | undefined;
  /** Its place among those that were never seen using hints; NOWHERE = not among them. */
  place: number;
}

export const NOWHERE = -1;

/** Sources for which the last peer without hints is noted. */
export const NOTES_MAX = 1024;

export class Directory<E extends Entry> {
  readonly #byId = new Map<PeerId, E>();
  readonly #inOrder = new RankedList<E>();
  readonly #byRemote = new MultiMap<EndpointKey, E>();
  readonly #byHint = new MultiMap<number, E>();
  readonly #byToken = new MultiMap<number, E>();
  /** How many peers have a token of a length. */
  readonly #tokenLengths = new Map<number, number>();
  readonly #byAddress = new MultiMap<OuterIp, E>();
  readonly #byPort = new MultiMap<Port, E>();
  /** By inner addresses; made when it is first asked for. */
  #byInner: Map<InnerIp, E> | undefined;
  /** Own private keys, one proof of each, and how many peers have it; of these may speak session 2. */
  readonly #ownKeys = new Map<string, { readonly proof: Proof; peers: number; secure: number }>();
  /** See ownProofs; made when it is first asked for, since every first message asks. */
  #ownProofs: readonly Proof[] | undefined;
  /** The addresses under which a peer stands in `byAddress`. */
  readonly #addresses = new Map<E, readonly OuterIp[]>();
  #open: E | undefined;
  readonly #hintless: E[] = [];
  #cursor = 0;
  readonly #notes = new Map<SourceKey, E>();

  get size(): number {
    return this.#byId.size;
  }

  /** In the order in which they came. */
  entries(): IterableIterator<E> {
    return this.#byId.values();
  }

  /** Those who came after one, in that order, or all; nobody may come or go meanwhile. */
  entriesAfter(entry: E | undefined): Generator<E> {
    return this.#inOrder.after(entry);
  }

  get(id: PeerId): E | undefined {
    return this.#byId.get(id);
  }

  /** The peer of a tunnel that has only one. */
  get sole(): E | undefined {
    const first = this.#byId.size === 1 ? this.#byId.values().next() : undefined;
    return first?.done === false ? first.value : undefined;
  }

  /** Lists a peer; its id must be free. */
  add(entry: E): void {
    this.#byId.set(entry.peer.id, entry);
    this.#inOrder.add(entry);
    this.#index(entry);
  }

  /** Forgets a peer. Its config must still be the one that it was added with. */
  remove(entry: E): void {
    this.#unindex(entry);
    this.#byId.delete(entry.peer.id);
    this.#inOrder.remove(entry);
  }

  /** Lists a peer anew in its place, with another config of the same id that `change` gives it. */
  relist(entry: E, change: () => void): void {
    this.#unindex(entry);
    change();
    this.#index(entry);
  }

  #index(entry: E): void {
    const { proof, auth, remoteHost, remotePort } = entry.peer;
    this.#countOwnKey(entry.peer, 1);
    for (const ip of entry.peer.innerIps) this.#byInner?.set(ip, entry);
    if (proof.kind === 'ed25519' && proof.peerPublicKey !== undefined) {
      this.#byHint.add(hintKey(encodePublicKey(proof.peerPublicKey)), entry);
      entry.place = this.#hintless.push(entry) - 1;
    } else if (proof.kind === 'token') {
      this.#byToken.add(tokenKey(proof.token), entry);
      this.#countToken(proof.token.length, 1);
    } else if (proof.kind === 'none') {
      if (auth.byRemoteIp) {
        const literal = remoteHost === undefined ? undefined : parseOuterIp(remoteHost);
        this.allow(entry, literal === undefined ? [] : [literal]);
      } else if (auth.byRemotePort && remotePort !== undefined) {
        this.#byPort.add(remotePort, entry);
      } else {
        this.#open ??= entry;
      }
    }
    if (entry.path) this.#byRemote.add(endpointKey(entry.path.remote), entry);
  }

  #unindex(entry: E): void {
    this.move(entry, undefined);
    const { proof, remotePort } = entry.peer;
    this.#countOwnKey(entry.peer, -1);
    // Another may have it by now.
    for (const ip of entry.peer.innerIps) {
      if (this.#byInner?.get(ip) === entry) this.#byInner.delete(ip);
    }
    if (proof.kind === 'ed25519' && proof.peerPublicKey !== undefined) {
      this.#byHint.delete(hintKey(encodePublicKey(proof.peerPublicKey)), entry);
      this.usesHints(entry);
    } else if (proof.kind === 'token') {
      this.#byToken.delete(tokenKey(proof.token), entry);
      this.#countToken(proof.token.length, -1);
    }
    this.allow(entry, []);
    if (remotePort !== undefined) this.#byPort.delete(remotePort, entry);
    if (this.#open === entry) this.#open = undefined;
  }

  /** Notes where a peer's packets come from now. Whoever was there before must have been moved. */
  move(entry: E, path: Path | undefined): void {
    if (entry.path) this.#byRemote.delete(endpointKey(entry.path.remote), entry);
    entry.path = path;
    if (path) this.#byRemote.add(endpointKey(path.remote), entry);
  }

  /** Who is on exactly this path. */
  at(path: Path): E | undefined {
    return this.atRemote(path.remote).find((entry) => entry.path && samePath(entry.path, path));
  }

  /** Who is at this endpoint, by whatever address of ours. */
  atRemote(remote: Endpoint): readonly E[] {
    return this.#byRemote.get(endpointKey(remote));
  }

  /** Whose key begins like this. */
  byHint(hint: Uint8Array): readonly E[] {
    if (hint.length !== HINT_LENGTH) return [];
    return this.#byHint.get(hintKey(hint)).filter(({ peer: { proof } }) => {
      const key = proof.kind === 'ed25519' ? proof.peerPublicKey : undefined;
      return key !== undefined && constantTimeEqual(hint, hintOfKey(encodePublicKey(key)));
    });
  }

  hasTokenOf(length: number): boolean {
    return this.#tokenLengths.has(length);
  }

  /** Whose token this may be: equal digests prove nothing yet. */
  byToken(payload: Uint8Array): readonly E[] {
    return this.#byToken.get(tokenKey(payload));
  }

  /** Whose inner address this is. */
  byInner(ip: InnerIp): E | undefined {
    this.#byInner ??= new Map(
      [...this.#byId.values()].flatMap((entry) =>
        entry.peer.innerIps.map((each) => [each, entry] as const),
      ),
    );
    return this.#byInner.get(ip);
  }

  /** A proof for each of this side's private keys, of OWN_KEYS_MAX at most: those for session 2 first. */
  ownProofs(): readonly Proof[] {
    if (this.#ownProofs) return this.#ownProofs;
    const keys = [...this.#ownKeys.values()];
    this.#ownProofs = [
      ...keys.filter(({ secure }) => secure > 0),
      ...keys.filter(({ secure }) => secure === 0),
    ]
      .slice(0, OWN_KEYS_MAX)
      .map(({ proof }) => proof);
    return this.#ownProofs;
  }

  #countOwnKey({ proof, auth }: PeerConfig, change: 1 | -1): void {
    if (proof.kind !== 'ed25519' || !proof.privateSeed || !proof.peerPublicKey) return;
    this.#ownProofs = undefined;
    const key = String.fromCharCode(...proof.privateSeed);
    const known = this.#ownKeys.get(key) ?? { proof, peers: 0, secure: 0 };
    known.peers += change;
    if (auth.session !== 'v1') known.secure += change;
    if (known.peers === 0) this.#ownKeys.delete(key);
    else this.#ownKeys.set(key, known);
  }

  /** Who is known by this endpoint alone, or by nothing. */
  byEndpoint({ ip, port }: Endpoint): E | undefined {
    const here = this.#byAddress.get(ip).filter(({ peer: { auth, remotePort } }) => {
      return !auth.byRemotePort || remotePort === port;
    });
    const exact = here.find(({ peer }) => peer.auth.byRemotePort);
    return exact ?? here[0] ?? this.#byPort.get(port)[0] ?? this.#open;
  }

  /** Notes the addresses that a peer without a proof is known by; no effect on others. */
  allow(entry: E, addresses: readonly OuterIp[]): void {
    for (const address of this.#addresses.get(entry) ?? []) this.#byAddress.delete(address, entry);
    const { proof, auth } = entry.peer;
    if (addresses.length === 0 || proof.kind !== 'none' || !auth.byRemoteIp) {
      this.#addresses.delete(entry);
      return;
    }
    this.#addresses.set(entry, addresses);
    for (const address of addresses) this.#byAddress.add(address, entry);
  }

  /** How many peers were never seen using hints. */
  get hintless(): number {
    return this.#hintless.length;
  }

  /** Some of those who were never seen using hints, each once: whoever was last at an address first. */
  *candidates(address: OuterIp, count: number): Generator<E> {
    const noted = this.#notes.get(sourceOf(address));
    let left = count;
    if (noted !== undefined && noted.place !== NOWHERE) {
      left -= 1;
      yield noted;
    }
    for (let seen = Math.min(left, this.#hintless.length); seen > 0; seen--) {
      this.#cursor %= this.#hintless.length;
      const entry = this.#hintless[this.#cursor];
      this.#cursor += 1;
      if (entry !== undefined && entry !== noted) yield entry;
    }
  }

  /** Notes that a peer without hints has proved itself from an address. */
  note(entry: E, address: OuterIp): void {
    const source = sourceOf(address);
    this.#notes.delete(source);
    this.#notes.set(source, entry);
    const oldest = this.#notes.keys().next();
    if (this.#notes.size > NOTES_MAX && oldest.done !== true) this.#notes.delete(oldest.value);
  }

  /** Takes a peer out of those to be tried. */
  usesHints(entry: E): void {
    if (entry.place === NOWHERE) return;
    const last = this.#hintless.pop();
    if (last !== undefined && last !== entry) {
      this.#hintless[entry.place] = last;
      last.place = entry.place;
    }
    entry.place = NOWHERE;
  }

  #countToken(length: number, change: number): void {
    const count = (this.#tokenLengths.get(length) ?? 0) + change;
    if (count > 0) this.#tokenLengths.set(length, count);
    else this.#tokenLengths.delete(length);
  }
}

/** The first four bytes of a key, as a signed number, which costs a map the least; the rest is compared. */
function hintKey(key: Uint8Array): number {
  return getU32be(key, 0) | 0;
}

/** A digest of 53 bits (two of FNV-1a with different beginnings). Equal tokens have equal ones. */
function tokenKey(token: Uint8Array): number {
  let low = 0x811c9dc5;
  let high = 0x9747b28c ^ token.length;
  for (const byte of token) {
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ byte, 0x01000193);
  }
  return (low >>> 0) * 2 ** 21 + (high >>> 11);
}
