import { describe, expect, test } from 'vitest';
import { generateKeyPair, openSessionCrypto } from '../../../src/adapters/crypto.ts';
import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import {
  AUTH_V1_REGISTRATION_LENGTH,
  AUTH_V1_REQUEST_LENGTH,
} from '../../../src/core/auth/trailer.ts';
import { createCookie, hasMac2 } from '../../../src/core/handshake/cookies.ts';
import { createInit, readInitStatic } from '../../../src/core/handshake/init.ts';
import { packetKind } from '../../../src/core/handshake/layout.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { Joining, type JoinReply } from '../../../src/core/session/joining.ts';
import type { SessionEffect } from '../../../src/core/session/types.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import {
  BEGIN,
  CLIENT_PROOF,
  hintedRequest,
  kindsOf,
  PATH,
  pathFrom,
  requestAt,
  sentIn,
  SERVER_PROOF,
  startedServer,
} from './bench.ts';

type Signed = Extract<typeof CLIENT_PROOF, { kind: 'ed25519' }>;
const client = CLIENT_PROOF as Signed;
const server = SERVER_PROOF as Signed;

/** The client's keys of the bench are the invitation's here. */
const own = generateKeyPair();
const ownProof: Signed = { ...client, privateSeed: own.privateSeed };
const afterwards: Signed = { ...server, peerPublicKey: decodePublicKey(own.publicKey) };

const HOUR = 3600;
const inviting = (until = HOUR) => startedServer({ invitedUntil: seconds(BEGIN / 1000 + until) });

function joining(): Joining {
  return new Joining({
    invitation: { proof: client, crypto: openSessionCrypto(client) },
    own: { proof: ownProof, crypto: openSessionCrypto(ownProof) },
    publicKey: own.publicKey,
  });
}

/** Whose first message it is, as the table of a server's peers finds out. */
function introduced(proof: Signed, payload: Uint8Array) {
  const { secure } = openSessionCrypto(proof);
  if (packetKind(payload) !== 'init' || !secure) return undefined;
  const introduction = readInitStatic(secure.noise, secure.serverKeys(), payload);
  return introduction.ok ? introduction.value : undefined;
}

const INIT_PAYLOAD = {
  integrity: 'none',
  ...{ capabilities: 0, lowestVersion: 2, mtu: 1472, epoch: 0 },
  ...{ source: undefined, destination: undefined, keepalive: seconds(0) },
} as const;

const at = (offset = 0) => millis(BEGIN + offset * 1000);

function registration(offset = 0): Uint8Array {
  return joining().next(at(offset))[0] ?? expect.fail('nothing to send');
}

function registered(effects: readonly SessionEffect[]) {
  return effects.find((effect) => effect.kind === 'register');
}

describe('an invitation', () => {
  test('has a key registered, which is remembered first and answered last', () => {
    const bench = inviting();
    const request = registration();
    expect(request).toHaveLength(AUTH_V1_REGISTRATION_LENGTH);
    const effects = bench.packet(PATH, request);
    expect(kindsOf(effects)).toEqual(['remember', 'register']);
    expect(effects[0]).toMatchObject({ memory: { remote: undefined } });
    const { publicKey, answer } = registered(effects) ?? expect.fail('none');
    expect(publicKey).toBe(decodePublicKey(own.publicKey));
    expect(answer.path).toEqual(PATH);
    expect(answer.payload.length).toBeLessThanOrEqual(request.length);
    expect(bench.status).toMatchObject({ phase: 'listening', path: undefined, refused: {} });
  });

  test('admits nobody, whatever its key signs otherwise', () => {
    const bench = inviting();
    expect(kindsOf(bench.packet(PATH, hintedRequest()))).toEqual(['remember']);
    expect(kindsOf(bench.packet(PATH, requestAt(1)))).toEqual(['remember']);
    expect(bench.status).toMatchObject({ path: undefined, refused: { uninvited: 2 } });
  });

  test('agrees on no session', () => {
    const { secure } = openSessionCrypto(client);
    const { secure: theirs } = openSessionCrypto(server);
    const keys = secure?.clientKeys();
    if (!secure || !theirs || !keys) throw new Error('no keys');
    const payload = { ...INIT_PAYLOAD, counter: BigInt(BEGIN) };
    const { packet } = createInit(secure.noise, keys, { index: 7, payload });
    const introduction = readInitStatic(theirs.noise, theirs.serverKeys(), packet);
    if (!introduction.ok) throw new Error('not introduced');
    const event = { kind: 'packet', path: PATH, payload: packet } as const;
    const introduced = { ...event, introduction: introduction.value, cookied: true };
    const auth = { session: 'v2' } as const;
    const invitedUntil = seconds(BEGIN / 1000 + HOUR);
    expect(kindsOf(startedServer({ auth, invitedUntil }).do(introduced))).toEqual([]);
    // That of a peer's key is answered.
    expect(kindsOf(startedServer({ auth }).do(introduced))).toEqual(['reply']);
  });

  test('does not go on with whom its key had admitted as a peer', () => {
    const memory = {
      remote: { path: PATH, authenticatedAt: at(), lastHeardAt: at() },
      replay: undefined,
      peer: schemeOf(SERVER_PROOF).mark(),
    };
    const bench = startedServer({ invitedUntil: seconds(BEGIN / 1000 + HOUR) });
    const fresh = inviting();
    expect(kindsOf(fresh.start(memory, PATH))).toContain('evict');
    expect(fresh.status.path).toBeUndefined();
    expect(bench.status.path).toBeUndefined();
  });

  test('that has expired gets nothing', () => {
    const bench = inviting(10);
    bench.pass(10_000);
    expect(kindsOf(bench.packet(PATH, registration(10)))).toEqual(['remember']);
    expect(bench.status.refused).toEqual({ uninvited: 1 });
  });

  test('takes a request once: the same bytes again are a replay, from wherever', () => {
    const bench = inviting();
    const request = registration();
    bench.packet(PATH, request);
    expect(bench.packet(PATH, request)).toEqual([]);
    expect(bench.packet(pathFrom('203.0.113.9'), request)).toEqual([]);
    expect(bench.status.refused).toEqual({ replayed: 2 });
  });

  test('with any bit of the request changed gets nothing', () => {
    const request = registration();
    for (let bit = 0; bit < request.length * 8; bit += 7) {
      const bench = inviting();
      const altered = Uint8Array.from(request);
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(registered(bench.packet(PATH, altered)), `bit ${bit}`).toBeUndefined();
    }
  });

  test('is no way into a peer proper: who registers a key there is taken for the peer alone', () => {
    const bench = startedServer();
    const effects = bench.packet(PATH, registration());
    expect(kindsOf(effects)).toEqual(['remember', 'admit', 'reply']);
    expect(registered(effects)).toBeUndefined();
  });

  test('registrations use up budgets as all requests do', () => {
    const bench = inviting();
    const kinds = Array.from(
      { length: 60 },
      (_, number) => bench.packet(pathFrom('203.0.113.9', 1000 + number), registration()).length,
    );
    expect(kinds.filter((count) => count > 0).length).toBeLessThan(60);
    expect(bench.status.refused['rate-limited']).toBeGreaterThan(0);
  });
});

describe('joining', () => {
  const answerOf = (bench: ReturnType<typeof startedServer>, packet: Uint8Array): Uint8Array =>
    registered(bench.packet(PATH, packet))?.answer.payload ?? expect.fail('not registered');

  test('is done when the server says so', () => {
    const machine = joining();
    const [request, ...others] = machine.next(at());
    expect(others).toEqual([]);
    const reply = answerOf(inviting(), request ?? expect.fail('none'));
    expect(machine.take(reply, at())).toEqual({ kind: 'joined' } satisfies JoinReply);
  });

  test('asks with the new key as well, and takes its reply where the first was lost', () => {
    const machine = joining();
    const [lost] = machine.next(at());
    answerOf(inviting(), lost ?? expect.fail('none'));
    const [again, asked, first] = machine.next(at(1));
    expect(packetKind(first ?? expect.fail('none'))).toBe('init');
    const later = startedServer({ proof: afterwards });
    expect(later.packet(PATH, again ?? expect.fail('none'))).toEqual([]);
    expect(asked).toHaveLength(AUTH_V1_REQUEST_LENGTH);
    const reply = sentIn(later.packet(PATH, asked ?? expect.fail('none')));
    expect(machine.take(reply, at(1))).toEqual({ kind: 'joined' });
  });

  test('and by session 2, which a server may speak alone', () => {
    const machine = joining();
    const [lost] = machine.next(at());
    answerOf(inviting(), lost ?? expect.fail('none'));
    const later = startedServer({ proof: afterwards, auth: { session: 'v2' } });
    const answers = machine.next(at(1)).flatMap((payload) => {
      const introduction = introduced(afterwards, payload);
      const event = { kind: 'packet', path: PATH, payload, cookied: true } as const;
      const effects = later.do({ ...event, ...(introduction && { introduction }) });
      return effects.filter((effect) => effect.kind === 'send').map((effect) => effect.payload);
    });
    const [answer] = answers;
    expect(answers).toHaveLength(1);
    const forged = Uint8Array.from(answer ?? expect.fail('no answer'));
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    expect(machine.take(forged, at(1))).toBeUndefined();
    expect(machine.take(answer ?? forged, at(1))).toEqual({ kind: 'joined' });
  });

  test('with the cookie that a busy server gives', () => {
    const machine = joining();
    machine.next(at());
    const keys = openSessionCrypto(afterwards).secure?.serverKeys() ?? expect.fail('no keys');
    const maker = { secret: new Uint8Array(16).fill(5), now: at() };
    const first = machine.next(at(1)).at(-1) ?? expect.fail('none');
    expect(hasMac2(maker, PATH.remote, first)).toBe(false);
    const cookie = createCookie(noiseCrypto, keys, maker, PATH.remote, first);
    expect(machine.take(cookie ?? expect.fail('none'), at(1))).toBeUndefined();
    const second = machine.next(at(2)).at(-1) ?? expect.fail('none');
    expect(hasMac2(maker, PATH.remote, second)).toBe(true);
  });

  test('heeds nothing but the answer to what it sent', () => {
    const machine = joining();
    const [request] = machine.next(at());
    const others = answerOf(inviting(), registration());
    const reply = answerOf(inviting(), request ?? expect.fail('none'));
    for (const wrong of [
      others,
      new Uint8Array(),
      request,
      reply.slice(0, -1),
      reply.toReversed(),
    ]) {
      expect(machine.take(wrong ?? expect.fail('none'), at())).toBeUndefined();
    }
    for (let bit = 0; bit < reply.length * 8; bit += 5) {
      const altered = Uint8Array.from(reply);
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(machine.take(altered, at()), `bit ${bit}`).toBeUndefined();
    }
    expect(machine.take(reply, at())).toEqual({ kind: 'joined' });
  });

  test('is told by how much its clock is off', () => {
    const machine = joining();
    const [request] = machine.next(at(-HOUR));
    const reply = sentIn(inviting().packet(PATH, request ?? expect.fail('none')));
    expect(machine.take(reply, at(-HOUR))).toEqual({
      kind: 'refused',
      notice: { reason: 'clock', seconds: -HOUR },
    });
  });

  test('takes replies to its latest requests only, however long it goes on', () => {
    const machine = joining();
    const [first] = machine.next(at());
    const reply = answerOf(inviting(), first ?? expect.fail('none'));
    for (let round = 1; round <= 16; round += 1) machine.next(at(round));
    expect(machine.take(reply, at(17))).toBeUndefined();
  });
});
