import { expect, it } from 'vitest';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { getU64be } from '../../../src/core/bytes.ts';
import { sealControl } from '../../../src/core/handshake/control.ts';
import type { KeptSession } from '../../../src/core/session/secure/state.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { millis } from '../../../src/core/units.ts';
import { BEGIN, Bench, configOf, PATH, SERVER_PROOF } from './bench.ts';
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
