import { describe, expect, it } from 'vitest';
import { generateKeyPair, openSessionCrypto, type KeyPair } from '../../../src/adapters/crypto.ts';
import { dhPairOf, noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { serverKeysOf } from '../../../src/core/handshake/keys.ts';
import { resetTokenOf } from '../../../src/core/handshake/reset.ts';
import type { Path } from '../../../src/core/addr.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { encodeAuth } from '../../../src/core/auth/v1.ts';
import { packetSeconds, schemeOf } from '../../../src/core/auth/schemes.ts';
import type { PeerConfig, PeerId, Proof } from '../../../src/core/config/tunnel-config.ts';
import { NO_RANK } from '../../../src/core/ranked-list.ts';
import { NOWHERE } from '../../../src/core/session/directory.ts';
import { OVERALL_RATE, SOURCE_RATE } from '../../../src/core/budgets.ts';
import { HINTLESS_TRIALS } from '../../../src/core/session/limits.ts';
import { createSession, step } from '../../../src/core/session/step.ts';
import { SessionTable, type Outcome, type SessionEntry } from '../../../src/core/session/table.ts';
import type { SessionCrypto, SessionMemory } from '../../../src/core/session/types.ts';
import { millis, port, seconds } from '../../../src/core/units.ts';
import { BEGIN, configOf, PATH, pathFrom, SECRET } from './bench.ts';
import { keptSession } from './kept-session.ts';
import { inner } from '../../rig/addresses.ts';

const MAX = seconds(300);
const none: Proof = { kind: 'none' };
const token = (text: string): Proof => ({ kind: 'token', token: new TextEncoder().encode(text) });

function peerOf(id: string, proof: Proof): PeerConfig {
  const { auth, timers } = configOf('server');
  const others = { remoteHost: undefined, remotePort: undefined, allowedIps: 'any' } as const;
  return { id: id as PeerId, proof, auth, timers, innerIps: [inner('10.0.0.1')], ...others };
}

function entryOf(peer: PeerConfig): SessionEntry {
  return {
    peer,
    path: undefined,
    place: NOWHERE,
    rank: NO_RANK,
    state: undefined,
    wakeAt: undefined,
  };
}

/** A server's table whose peers are given by their proofs, and a count of what it costs. */
class Room {
  readonly table: SessionTable<SessionEntry>;
  readonly entries: readonly SessionEntry[];
  readonly memories = new Map<PeerId, SessionMemory>();
  readonly recalled: string[] = [];
  verifications = 0;
  now = 0;

  constructor(proofs: Readonly<Record<string, Proof>>) {
    this.table = new SessionTable({
      core: { create: createSession, step },
      role: 'server',
      localPort: port(10_000),
      cookieSecret: new Uint8Array(16),
      crypto: (proof) => this.#counted(openSessionCrypto(proof)),
      recall: ({ peer }) => {
        this.recalled.push(peer.id);
        return { memory: this.memories.get(peer.id), adopted: undefined };
      },
    });
    this.entries = Object.entries(proofs).map(([id, proof]) => entryOf(peerOf(id, proof)));
    for (const entry of this.entries) this.table.directory.add(entry);
  }

  /** What a packet brings about: `peer effect`, log lines left out. */
  packet(path: Path, payload: Uint8Array): readonly string[] {
    return told(this.table.receive(path, payload, this.instant()));
  }

  entry(id: string): SessionEntry {
    const entry = this.table.get(id as PeerId);
    if (!entry) throw new Error(`no peer ${id}`);
    return entry;
  }

  refusedOf(id: string): Readonly<Record<string, number>> {
    return this.entry(id).state?.refusals.counts ?? {};
  }

  instant() {
    return { monotonic: millis(this.now), unix: millis(BEGIN + this.now) };
  }

  #counted({ verify, ...crypto }: SessionCrypto): SessionCrypto {
    if (!verify) return crypto;
    return {
      ...crypto,
      verify: (message, signature) => {
        this.verifications += 1;
        return verify(message, signature);
      },
    };
  }
}

function told(outcomes: readonly Outcome<SessionEntry>[]): readonly string[] {
  return outcomes.flatMap(({ entry, effects }) =>
    effects
      .filter(({ kind }) => kind !== 'event' && kind !== 'limit-mtu')
      .map((effect) => `${entry?.peer.id} ${effect.kind}`),
  );
}

const pairs = Array.from({ length: 12 }, generateKeyPair);
const pair = (index: number): KeyPair => {
  const found = pairs[index];
  if (!found) throw new Error('no pair');
  return found;
};
const trusting = ({ publicKey }: KeyPair): Proof => ({
  kind: 'ed25519',
  privateSeed: undefined,
  peerPublicKey: decodePublicKey(publicKey),
  secret: SECRET,
  maxTimeDiscrepancy: MAX,
});

/** A request of a key's owner, with or without a hint. */
function request(keys: KeyPair, how: 'hint' | 'no hint' = 'hint', offset = 0): Uint8Array {
  const proof: Proof = {
    kind: 'ed25519',
    privateSeed: keys.privateSeed,
    peerPublicKey: undefined,
    secret: SECRET,
    maxTimeDiscrepancy: MAX,
  };
  const { sign, random, publicKey } = openSessionCrypto(proof);
  if (!sign || !publicKey) throw new Error('no key');
  const crypto = how === 'hint' ? { sign, random, publicKey } : { sign, random };
  const payload = schemeOf(proof).build(crypto, packetSeconds(millis(BEGIN + offset * 1000)));
  if (!payload) throw new Error('no packet');
  return payload;
}

const OTHER = pathFrom('203.0.113.2');
const admitted = (id: string): readonly string[] => [`${id} remember`, `${id} admit`, `${id} send`];

describe('a packet with a hint', () => {
  const ROOM = { a: trusting(pair(0)), b: trusting(pair(1)), c: trusting(pair(2)) };

  it('goes to whose key it names, who alone is begun, with his memory', () => {
    const room = new Room(ROOM);
    const replay = { newest: seconds(BEGIN / 1000 + 10), seen: [] };
    room.memories.set('b' as PeerId, { remote: undefined, replay });
    expect(room.packet(PATH, request(pair(0)))).toEqual(admitted('a'));
    expect(room.recalled).toEqual(['a']);
    expect(room.packet(OTHER, request(pair(1)))).toEqual([]);
    expect(room.refusedOf('b')).toEqual({ stale: 1 });
    expect(room.recalled).toEqual(['a', 'b']);
    expect(room.verifications).toBe(1);
  });

  it('of nobody is refused without a look at its signature, and for nothing', () => {
    const room = new Room(ROOM);
    for (let i = 0; i < 1000; i++) room.packet(PATH, request(pair(5)));
    expect(room.table.refused).toEqual({ 'unknown-peer': 1000 });
    expect(room.verifications).toBe(0);
    expect(room.recalled).toEqual([]);
    expect(room.table.gate.sources).toBe(0);
  });

  it('that is forged costs what strangers have too, and those who have hints nothing', () => {
    const room = new Room(ROOM);
    const forged = request(pair(0));
    forged[40] = (forged[40] ?? 0) ^ 1;
    for (let i = 0; i < 100; i++) room.packet(pathFrom(`192.0.2.${i}`), forged);
    expect(room.refusedOf('a')).toEqual({ signature: 100 });
    for (let i = 0; i < 100; i++) room.packet(pathFrom(`192.0.3.${i}`), forged);
    expect(room.refusedOf('a')).toEqual({ signature: 110, 'rate-limited': 90 });
    expect(room.verifications).toBe(110);
    expect(room.packet(PATH, request(pair(1)))).toEqual(admitted('b'));
  });

  it('does not work twice, on whatever path and for whomsoever', () => {
    const room = new Room(ROOM);
    const first = request(pair(0));
    room.packet(PATH, first);
    room.packet(OTHER, request(pair(1)));
    for (const path of [PATH, OTHER, pathFrom('192.0.2.9')]) {
      expect(room.packet(path, first)).toEqual([]);
    }
    expect(room.refusedOf('a')).toEqual({ replayed: 3 });
    expect(room.refusedOf('b')).toEqual({});
  });
});

describe('a path', () => {
  const ROOM = { a: trusting(pair(0)), b: trusting(pair(1)) };

  it('is taken over by who proves itself on it later; the former is told first', () => {
    const room = new Room(ROOM);
    room.packet(PATH, request(pair(0)));
    const effects = room.packet(PATH, request(pair(1)));
    expect(effects).toEqual(['a remember', 'a evict', ...admitted('b')]);
    expect(room.entry('a').path).toBeUndefined();
    expect(room.entry('b').path).toEqual(PATH);
    expect(room.packet(PATH, request(pair(0), 'hint', 1))).toEqual([
      'b remember',
      'b evict',
      ...admitted('a'),
    ]);
  });

  it('is taken from nobody by who only returns to it', () => {
    const room = new Room(ROOM);
    room.packet(PATH, request(pair(0)));
    const at = room.instant().unix;
    const remote = { path: PATH, authenticatedAt: at, lastHeardAt: at };
    const peer = schemeOf(room.entry('b').peer.proof).mark();
    const memory: SessionMemory = { remote, replay: undefined, peer };
    const outcomes = room.table.begin(room.entry('b'), room.instant(), {
      memory,
      adopted: undefined,
    });
    expect(told(outcomes)).toEqual(['b remember', 'b remember', 'b evict']);
    expect(room.entry('a').path).toEqual(PATH);
    expect(room.entry('b').path).toBeUndefined();
  });

  it('brings its peer what does not say whose it is', () => {
    const room = new Room(ROOM);
    room.packet(PATH, request(pair(0)));
    room.now = 200_000;
    expect(room.packet(PATH, new Uint8Array())).toContain('a remember');
    expect(room.packet(OTHER, new Uint8Array())).toEqual([]);
    expect(room.table.refused).toEqual({ length: 1 });
  });
});

describe('a packet without a hint', () => {
  const proofs = Object.fromEntries(pairs.map((keys, index) => [`p${index}`, trusting(keys)]));
  const stranger = generateKeyPair();

  it('is tried on a few peers at a time, and finds its own in the end', () => {
    const room = new Room(proofs);
    expect(room.packet(PATH, request(pair(11), 'no hint'))).toEqual([]);
    expect(room.verifications).toBe(HINTLESS_TRIALS);
    expect(room.table.refused).toEqual({ 'unknown-peer': 1 });
    expect(room.recalled, 'nobody is begun for a stranger').toEqual([]);
    room.now = 2000;
    expect(room.packet(PATH, request(pair(11), 'no hint', 2))).toEqual([
      'p11 remember',
      'p11 admit',
      'p11 send',
    ]);
  });

  it('is looked for first on its path, at its own expense', () => {
    const room = new Room(proofs);
    room.packet(PATH, request(pair(3), 'no hint'));
    room.verifications = 0;
    for (let second = 1; second <= 20; second++) {
      room.now = second * 1000;
      const again = room.packet(PATH, request(pair(3), 'no hint', second));
      expect(again).toEqual(['p3 remember', 'p3 send']);
    }
    expect(room.verifications).toBe(20);
  });

  it('of another peer on that path is no fault of the peer there', () => {
    const room = new Room(proofs);
    room.packet(PATH, request(pair(3), 'no hint'));
    room.now = 5000;
    const effects = room.packet(PATH, request(pair(5), 'no hint', 5));
    expect(effects).toEqual(['p3 remember', 'p3 evict', ...admitted('p5')]);
    expect(room.refusedOf('p3')).toEqual({});
  });

  it('of nobody costs what strangers may cost, and no more', () => {
    const room = new Room(proofs);
    for (let i = 0; i < 100; i++) {
      room.packet(pathFrom('192.0.2.1'), request(stranger, 'no hint'));
    }
    expect(room.verifications).toBe(SOURCE_RATE.burst);
    for (let i = 0; i < 250; i++) {
      room.packet(pathFrom(`192.0.2.${i}`), request(stranger, 'no hint'));
    }
    expect(room.verifications).toBe(OVERALL_RATE.burst);
  });

  it('with a wrong clock is told so', () => {
    const room = new Room(proofs);
    room.packet(PATH, request(pair(0), 'no hint', -400));
    expect(room.table.refused).toEqual({ clock: 1 });
    expect(room.verifications).toBe(0);
  });

  it('is not looked for among those who use hints', () => {
    const room = new Room({ a: trusting(pair(0)), b: trusting(pair(1)) });
    room.packet(PATH, request(pair(0)));
    room.verifications = 0;
    room.packet(OTHER, request(pair(0), 'no hint', 1));
    expect(room.verifications).toBe(1);
    expect(room.entry('a').path).toEqual(PATH);
  });
});

describe('other proofs', () => {
  it('by token are found, and guesses are charged before they are looked up', () => {
    const room = new Room({ a: token('open sesame'), b: token('open barley'), c: none });
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    expect(room.packet(PATH, bytes('open barley'))).toEqual(admitted('b'));
    expect(room.packet(OTHER, bytes('open sesame'))).toEqual(admitted('a'));
    for (let i = 0; i < 50; i++) room.packet(pathFrom('192.0.2.1'), bytes('open beans!'));
    expect(room.table.refused).toEqual({ token: 10, 'rate-limited': 40 });
    expect(room.packet(pathFrom('192.0.2.1'), bytes('open sesame'))).toEqual([]);
    expect(room.packet(PATH, bytes('open barley')), 'on its own path').toEqual([
      'b remember',
      'b send',
    ]);
  });

  it('none at all is the last resort', () => {
    const room = new Room({ a: trusting(pair(0)), open: none });
    expect(room.packet(PATH, new Uint8Array())).toEqual(admitted('open'));
    expect(room.packet(PATH, request(pair(0)))).toEqual([
      'open remember',
      'open evict',
      ...admitted('a'),
    ]);
    const data = Uint8Array.from([0x45, 0, 0, 20, ...new Uint8Array(16)]);
    expect(room.packet(OTHER, data)).toEqual([]);
    expect(room.table.refused).toEqual({ 'not-authentication': 1 });
  });

  it('of no length that anybody uses are refused', () => {
    const room = new Room({ a: token('x'), b: none });
    room.packet(PATH, new Uint8Array(30));
    room.packet(
      PATH,
      encodeAuth(
        { secret: SECRET },
        { unixSeconds: seconds(1), salt: new Uint8Array(4) },
        () => new Uint8Array(64),
      ),
    );
    expect(room.table.refused).toEqual({ length: 1, 'unknown-peer': 1 });
  });
});

it('tagged packets that are sent on from the path of another peer move nobody', () => {
  const room = new Room({ a: trusting(pair(0)), b: trusting(pair(1)) });
  room.packet(PATH, request(pair(0)));
  room.packet(OTHER, request(pair(1)));
  const a = room.entry('a');
  if (a.state?.role !== 'server') throw new Error('no server');
  const { current } = keptSession(1, 'full');
  a.state = { ...a.state, secure: { ...a.state.secure, current } };
  expect(told(room.table.advance(a, { kind: 'roamed', path: OTHER }, room.instant()))).toEqual([]);
  expect(a.path).toEqual(PATH);
});

describe('who names a session that is forgotten', () => {
  const own = [5, 6, 7, 8, 9].map((number) => pair(number).privateSeed);
  const make = (): Room =>
    new Room(
      Object.fromEntries(
        own.map((privateSeed, at) => [`p${at}`, { ...trusting(pair(at)), privateSeed }]),
      ),
    );
  const control = new Uint8Array(96);
  control.set([0xf4, 0, 0, 0, 0, 1, 2, 3]);
  const resets = (room: Room): readonly string[] =>
    room.table
      .receive(PATH, control, room.instant())
      .flatMap(({ effects }) => effects.flatMap((one) => (one.kind === 'send' ? one.payload : [])))
      .map((payload) => Buffer.from(payload).toString('hex'));
  const tokenOf = (seed: Uint8Array): string =>
    Buffer.from(
      resetTokenOf(serverKeysOf(noiseCrypto, dhPairOf(seed)), 0x01_0203, PATH.remote),
    ).toString('hex');

  it('is told so under every key of this side, in no more bytes', () => {
    const room = make();
    const [first, second] = [resets(room), resets(room)];
    for (const sent of [first, second]) {
      expect(sent.map(({ length }) => length / 2)).toEqual([32, 32, 32]);
    }
    const seen = [...first, ...second];
    for (const token of own.map(tokenOf)) {
      expect(seen.some((hex) => hex.includes(token))).toBe(true);
    }
  });

  it('is told so under the keys that are left', () => {
    const room = make();
    resets(room);
    for (const entry of room.entries.slice(1)) room.table.directory.remove(entry);
    expect(resets(room)).toEqual([expect.stringContaining(tokenOf(own[0] ?? control))]);
  });
});
