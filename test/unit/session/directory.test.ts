import { describe, expect, it } from 'vitest';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { hintOfKey } from '../../../src/core/auth/trailer.ts';
import type {
  AuthConfig,
  PeerConfig,
  PeerId,
  Proof,
} from '../../../src/core/config/tunnel-config.ts';
import { NO_RANK } from '../../../src/core/ranked-list.ts';
import { Directory, NOTES_MAX, NOWHERE, type Entry } from '../../../src/core/session/directory.ts';
import { port, seconds } from '../../../src/core/units.ts';
import { endpoint, ip, pathFrom } from './bench.ts';
import { inner } from '../../rig/addresses.ts';

type Options = { readonly auth?: Partial<AuthConfig> } & Partial<Omit<PeerConfig, 'auth'>>;

function entry(id: string, proof: Proof, options: Options = {}): Entry {
  const { auth, ...others } = options;
  const peer: PeerConfig = {
    id: id as PeerId,
    timers: {
      authLifetime: seconds(0),
      keepalive: seconds(0),
      connectionIdle: seconds(0),
      deadPeerTimeout: seconds(0),
    },
    remoteHost: undefined,
    remotePort: undefined,
    innerIps: [inner('10.0.0.1')],
    allowedIps: 'any',
    proof,
    ...others,
    auth: {
      byRemoteIp: false,
      byRemotePort: false,
      packetTtl: undefined,
      replyOnAuthOk: false,
      session: 'v1',
      integrity: 'none',
      ...auth,
    },
  };
  return { peer, path: undefined, place: NOWHERE, rank: NO_RANK };
}

const key = (...bytes: readonly number[]): Uint8Array => {
  const all = new Uint8Array(32).fill(9);
  all.set(bytes);
  return all;
};
const signing = (publicKey: Uint8Array): Proof => ({
  kind: 'ed25519',
  privateSeed: undefined,
  peerPublicKey: decodePublicKey(publicKey),
  secret: new Uint8Array(),
  maxTimeDiscrepancy: seconds(0),
});
const token = (text: string): Proof => ({ kind: 'token', token: new TextEncoder().encode(text) });

function listed(...entries: readonly Entry[]): Directory<Entry> {
  const directory = new Directory<Entry>();
  for (const one of entries) directory.add(one);
  return directory;
}

describe('a peer is found', () => {
  it('by the path that it is on, and no longer by the one before', () => {
    const a = entry('a', signing(key(1)));
    const b = entry('b', signing(key(2)));
    const directory = listed(a, b);
    const here = pathFrom('203.0.113.1');
    directory.move(a, here);
    const otherLocal = { ...here, local: endpoint('198.51.100.2', 10_000) };
    directory.move(b, otherLocal);
    expect(directory.at(here)).toBe(a);
    expect(directory.at(otherLocal)).toBe(b);
    expect(directory.atRemote(here.remote)).toEqual([a, b]);
    directory.move(a, pathFrom('203.0.113.2'));
    expect(directory.at(here)).toBeUndefined();
    expect(directory.at(pathFrom('203.0.113.2'))).toBe(a);
    directory.move(a, undefined);
    expect(directory.at(pathFrom('203.0.113.2'))).toBeUndefined();
  });

  it('by the whole hint of its key', () => {
    const a = entry('a', signing(key(1, 2, 3, 4, 5, 6, 7, 8, 1)));
    const sameHint = entry('b', signing(key(1, 2, 3, 4, 5, 6, 7, 8, 2)));
    const sameStart = entry('c', signing(key(1, 2, 3, 4, 5, 6, 7, 9)));
    const directory = listed(a, sameHint, sameStart);
    expect(directory.byHint(hintOfKey(key(1, 2, 3, 4, 5, 6, 7, 8)))).toEqual([a, sameHint]);
    expect(directory.byHint(hintOfKey(key(1, 2, 3, 4, 5, 6, 7, 9)))).toEqual([sameStart]);
    expect(directory.byHint(hintOfKey(key(7)))).toEqual([]);
    expect(directory.byHint(Uint8Array.of(1, 2, 3))).toEqual([]);
  });

  it('by its token', () => {
    const a = entry('a', token('open sesame'));
    const directory = listed(a, entry('b', token('open barley')));
    const bytes = new TextEncoder().encode('open sesame');
    expect(directory.byToken(bytes)).toEqual([a]);
    expect(directory.hasTokenOf(11)).toBe(true);
    expect(directory.hasTokenOf(10)).toBe(false);
    directory.remove(a);
    expect(directory.byToken(bytes)).toEqual([]);
    expect(directory.hasTokenOf(11)).toBe(true);
  });

  it('by its inner address, also where two have exchanged theirs', () => {
    const [a, b] = [entry('a', token('a')), entry('b', token('b'))];
    const directory = listed(a, b);
    const give = (one: Entry, ip: string): void =>
      directory.relist(one, () =>
        Object.assign(one, { peer: { ...one.peer, innerIps: [inner(ip)] } }),
      );
    give(a, '10.0.0.1');
    give(b, '10.0.0.2');
    expect(directory.byInner(inner('10.0.0.1'))).toBe(a);
    give(a, '10.0.0.2');
    give(b, '10.0.0.1');
    expect(directory.byInner(inner('10.0.0.1'))).toBe(b);
    expect(directory.byInner(inner('10.0.0.2'))).toBe(a);
    directory.remove(a);
    expect(directory.byInner(inner('10.0.0.2'))).toBeUndefined();
  });

  it('by its address, then by its port, then because it need not prove anything', () => {
    const none: Proof = { kind: 'none' };
    const at = (id: string, remoteHost: string, remotePort?: number): Entry =>
      entry(id, none, {
        auth: { byRemoteIp: true, byRemotePort: remotePort !== undefined },
        remoteHost,
        remotePort: remotePort === undefined ? undefined : port(remotePort),
      });
    const whole = at('whole', '203.0.113.1');
    const exact = at('exact', '203.0.113.1', 700);
    const named = at('named', 'client.example');
    const byPort = entry('port', none, { auth: { byRemotePort: true }, remotePort: port(701) });
    const open = entry('open', none);
    const directory = listed(whole, exact, named, byPort, open);
    const find = (address: string, number: number) =>
      directory.byEndpoint(endpoint(address, number));
    expect(find('203.0.113.1', 1)).toBe(whole);
    expect(find('203.0.113.1', 700)).toBe(exact);
    expect(find('203.0.113.9', 701)).toBe(byPort);
    expect(find('203.0.113.9', 1)).toBe(open);
    directory.allow(named, [ip('203.0.113.9'), ip('203.0.113.8')]);
    expect(find('203.0.113.9', 1)).toBe(named);
    directory.allow(named, [ip('203.0.113.8')]);
    expect(find('203.0.113.9', 1)).toBe(open);
    for (const one of [named, open, whole, exact, byPort]) directory.remove(one);
    expect(find('203.0.113.8', 701)).toBeUndefined();
    expect(find('203.0.113.1', 700)).toBeUndefined();
  });
});

describe('peers that were never seen using hints', () => {
  const many = (count: number): readonly Entry[] =>
    Array.from({ length: count }, (_unused, n) => entry(`p${n}`, signing(key(n >> 8, n & 255))));
  const idsOf = (found: Iterable<Entry>): readonly string[] =>
    [...found].map(({ peer }) => peer.id);
  const HERE = ip('203.0.113.1');

  it('are tried in turns, so that everybody has his', () => {
    const directory = listed(...many(5));
    expect(idsOf(directory.candidates(HERE, 3))).toEqual(['p0', 'p1', 'p2']);
    expect(idsOf(directory.candidates(HERE, 3))).toEqual(['p3', 'p4', 'p0']);
    expect(idsOf(directory.candidates(HERE, 8)).toSorted()).toEqual(['p0', 'p1', 'p2', 'p3', 'p4']);
  });

  it('are tried first at the address where they were last', () => {
    const all = many(20);
    const directory = listed(...all);
    const [, , , third] = all;
    if (!third) throw new Error('no peer');
    directory.note(third, HERE);
    expect(idsOf(directory.candidates(HERE, 3))).toEqual(['p3', 'p0', 'p1']);
    expect(idsOf(directory.candidates(ip('203.0.113.2'), 2))).toEqual(['p2', 'p3']);
    for (let n = 0; n < NOTES_MAX; n++) directory.note(third, ip(`10.0.${n >> 8}.${n & 255}`));
    expect(idsOf(directory.candidates(HERE, 1)), 'the oldest note is gone').toEqual(['p4']);
  });

  it('leave when they use one, or go', () => {
    const all = many(4);
    const directory = listed(...all);
    const [a, b, c] = all;
    if (!a || !b || !c) throw new Error('no peers');
    directory.usesHints(b);
    directory.usesHints(b);
    directory.remove(a);
    expect(directory.hintless).toBe(2);
    expect(idsOf(directory.candidates(HERE, 8)).toSorted()).toEqual(['p2', 'p3']);
    directory.note(c, HERE);
    directory.remove(c);
    expect(idsOf(directory.candidates(HERE, 8))).toEqual(['p3']);
    expect(directory.size).toBe(2);
  });
});

describe('own keys', () => {
  const own = (first: number, session: AuthConfig['session'], id = `p${first}`): Entry =>
    entry(id, { ...signing(key(first)), privateSeed: key(first) } as Proof, { auth: { session } });
  const seedsOf = (directory: Directory<Entry>) =>
    directory.ownProofs().map((proof) => proof.kind === 'ed25519' && proof.privateSeed?.[0]);

  it('are told once each, those for session 2 before others', () => {
    const directory = new Directory<Entry>();
    for (const first of [1, 2, 3, 4, 5, 6, 7, 8]) directory.add(own(first, 'v1'));
    const both = own(2, 'auto', 'again');
    directory.add(both);
    directory.add(own(9, 'v2'));
    expect(seedsOf(directory)).toEqual([2, 9, 1, 3, 4, 5, 6, 7]);
    directory.remove(both);
    expect(seedsOf(directory)).toEqual([9, 1, 2, 3, 4, 5, 6, 7]);
  });
});
