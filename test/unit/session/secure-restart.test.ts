import { expect, it } from 'vitest';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { getU64be } from '../../../src/core/bytes.ts';
import { indexOf, packetKind } from '../../../src/core/handshake/layout.ts';
import { sealControl } from '../../../src/core/handshake/control.ts';
import type { KeptSession } from '../../../src/core/session/secure/state.ts';
import type { SessionEffect, SessionMemory } from '../../../src/core/session/types.ts';
import { millis } from '../../../src/core/units.ts';
import {
  BEGIN,
  Bench,
  CLIENT_PROOF,
  configOf,
  kindsOf,
  PATH,
  pathFrom,
  sentIn,
  SERVER,
  SERVER_PROOF,
} from './bench.ts';
import { keptSession } from './kept-session.ts';

const MEMORY: SessionMemory = {
  remote: { path: PATH, authenticatedAt: millis(BEGIN), lastHeardAt: millis(BEGIN) },
  replay: undefined,
  peer: schemeOf(SERVER_PROOF).mark(),
};

/** A run of a server that begins with what was kept, answers one PING, and dies. */
function run(record: KeptSession, ping: number): { counter: bigint; kept: KeptSession } {
  const bench = new Bench(configOf('server', { auth: { session: 'v2' } }));
  const { secure } = bench.crypto;
  if (!secure) throw new Error('no keys');
  const { control } = record.current;
  const { sendIndex, receiveIndex, receiveKey } = control;
  const [toServer, toClient] = [receiveIndex, sendIndex];
  const client = {
    ...{ ...control, role: 'client' as const, sendKey: receiveKey, nextCounter: ping },
    ...{ sendIndex: toServer, receiveIndex: toClient },
  };
  const { packet } = sealControl(secure.noise, client, [{ kind: 'ping', id: 1 }]);
  const effects = [
    ...bench.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept: record }),
    ...bench.packet(PATH, packet),
  ];
  const sent = effects.findIndex(({ kind }) => kind === 'send');
  const reply = effects[sent];
  if (reply?.kind !== 'send') throw new Error('no answer');
  const written = effects.slice(0, sent).findLast((effect) => effect.kind === 'keep');
  return { counter: getU64be(reply.payload, 8), kept: written?.record ?? record };
}

it('a server that dies again before it has kept its session has used no counter twice', () => {
  const first = run(keptSession(1024), 10);
  expect(first.counter).toBe(1024n);
  const second = run(first.kept, 11);
  expect(second.counter).toBeGreaterThan(first.counter);
  expect(run(second.kept, 12).counter).toBeGreaterThan(second.counter);
});

const ALL = ['none', 'header', 'full'] as const;
const admission = (effects: readonly SessionEffect[]) =>
  effects.find((effect) => effect.kind === 'admit');

/** Tags whose keys nobody has. */
const CLOSED = { level: 'full', send: { index: 0 }, receive: [] };

it('a server that asks for proof carries nobody without, whoever was admitted before', () => {
  const config = configOf('server', {
    auth: { session: 'v2', integrity: 'full' },
    planeIntegrity: ALL,
  });
  for (const adopted of [PATH, undefined]) {
    for (const kept of [keptSession(1), undefined]) {
      const effects = new Bench(config).do({ kind: 'start', memory: MEMORY, adopted, kept });
      expect(admission(effects)).toMatchObject({ path: PATH, tags: CLOSED });
    }
  }
  const kept = keptSession(1, 'full');
  const goesOn = new Bench(config).do({ kind: 'start', memory: MEMORY, adopted: PATH, kept });
  const { sendIndex, receiveIndex } = kept.current.control;
  const tags = { send: { index: sendIndex }, receive: [{ index: receiveIndex }] };
  expect(admission(goesOn)).toMatchObject({ path: PATH, tags });
});

it('a server tells a client at once whose session does not go on', () => {
  const auth = { session: 'v2', integrity: 'full' } as const;
  const bench = new Bench(configOf('server', { auth, planeIntegrity: ALL }));
  const kept = keptSession(1);
  const effects = bench.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept });
  const told = sentIn(effects);
  expect(packetKind(told)).toBe('reset');
  expect(indexOf(told)).toBe(kept.current.control.receiveIndex);
  const renewed = new Bench(configOf('server', { auth: { session: 'v2' }, planeIntegrity: ALL }));
  const again = renewed.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept, renew: true });
  expect(sentIn(again)).toEqual(told);
  expect(renewed.state.secure.current).toBeUndefined();
});

it('what anybody can send in its name is no sign of life of a peer with tags', () => {
  const auth = { session: 'v2', integrity: 'full' } as const;
  for (const level of ['none', 'full'] as const) {
    const bench = new Bench(
      configOf('server', {
        auth: level === 'full' ? auth : { session: 'v2' },
        planeIntegrity: ALL,
      }),
    );
    bench.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept: keptSession(1, level) });
    bench.pass(5000);
    const before = bench.status.lastHeardAt;
    bench.packet(PATH, new Uint8Array());
    expect(bench.status.lastHeardAt === before, level).toBe(level === 'full');
  }
});

const CLIENT_PATH = { local: { ...PATH.remote, port: SERVER.port }, remote: SERVER };

it('a client that asks for proof takes nothing without', () => {
  const auth = { session: 'v2', integrity: 'full' } as const;
  const bench = new Bench(configOf('client', { auth, planeIntegrity: ALL }));
  bench.start(undefined, CLIENT_PATH);
  const effects = bench.located(CLIENT_PATH.local.ip);
  expect(admission(effects)).toMatchObject({ path: CLIENT_PATH, tags: CLOSED });
});

it('a peer that was carried with tags is carried without, where session 2 is spoken no more', () => {
  const kept = keptSession(1, 'full');
  const server = new Bench(configOf('server', { auth: { session: 'v1' } }));
  const effects = server.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept });
  expect(admission(effects)).toEqual({ kind: 'admit', path: PATH });
});

it('a client that goes on with a session makes a new one when its time has come', () => {
  const memory = { remote: undefined, replay: undefined, peer: schemeOf(CLIENT_PROOF).mark() };
  const record = keptSession(1);
  const kept = { ...record, current: { ...record.current, since: millis(BEGIN - 600_000) } };
  const bench = new Bench(configOf('client', { auth: { session: 'v2' } }));
  bench.do({ kind: 'start', memory, adopted: CLIENT_PATH, kept });
  bench.located(CLIENT_PATH.local.ip);
  const { secure } = bench.state;
  expect(secure.role === 'client' && secure.rekeyAt).toBe(300_000);
});

it('a peer whose tagged packets were sent on lately is followed elsewhere only once it has answered', () => {
  const auth = { session: 'v2', integrity: 'full' } as const;
  const bench = new Bench(configOf('server', { auth, planeIntegrity: ALL }));
  const kept = keptSession(1, 'full');
  bench.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept });
  const { state } = bench;
  if (state.role !== 'server') throw new Error('no server');
  const suspect = { path: pathFrom('192.0.2.9', 1), until: millis(10_000) };
  bench.state = { ...state, secure: { ...state.secure, suspect } };
  const path = pathFrom('192.0.2.9', 2);
  expect(kindsOf(bench.do({ kind: 'roamed', path }))).toEqual(['reply', 'reply']);
  expect(kindsOf(bench.do({ kind: 'roamed', path: pathFrom('192.0.2.9', 3) }))).toEqual([]);
  bench.pass(11_000);
  const moved = bench.do({ kind: 'roamed', path });
  expect(admission(moved)).toMatchObject({ path });
  // It is carried there without a wait for the disk.
  expect(moved.find(({ kind }) => kind === 'remember')).toMatchObject({ lazy: true });
});

it('a session whose index another has drawn meanwhile does not go on', () => {
  const bench = new Bench(configOf('server', { auth: { session: 'v2' } }));
  const kept = keptSession(1024);
  bench.indexes.change('another', [], [kept.current.control.receiveIndex]);
  const effects = bench.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept });
  expect(kindsOf(effects)).not.toContain('keep');
  expect(bench.state.secure.current).toBeUndefined();
});

it('a path that fails to be carried with other tags is not given up for the one before', () => {
  const auth = { session: 'v2', integrity: 'full' } as const;
  const bench = new Bench(configOf('server', { auth, planeIntegrity: ALL }));
  const { current } = keptSession(1, 'full');
  const control = { ...current.control, receiveIndex: current.control.receiveIndex + 1 };
  const kept = { current, former: { ...current, control }, epoch: 0 };
  bench.do({ kind: 'start', memory: MEMORY, adopted: PATH, kept });
  bench.pass(25_000);
  const path = pathFrom('192.0.2.9', 2);
  expect(admission(bench.do({ kind: 'roamed', path }))).toMatchObject({ path });
  // The former keys have their end.
  const again = bench.pass(6000).map(({ effect }) => effect);
  expect(admission(again)).toMatchObject({ path });
  expect(kindsOf(bench.do({ kind: 'admit-failed', path }))).toContain('evict');
  expect(bench.status.path).toBeUndefined();
});
