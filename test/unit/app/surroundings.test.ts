import { describe, expect, it } from 'vitest';
import { Surroundings } from '../../../src/app/surroundings.ts';
import type { PeerConfig, PeerId } from '../../../src/core/config/tunnel-config.ts';
import type { Reach } from '../../../src/ports/reach.ts';
import { keepLog, unreachable } from './fakes.ts';

const REFUSED = new Error('refused');

function peer(id: string, changes: Partial<PeerConfig> = {}): PeerConfig {
  return { id: id as PeerId, innerIps: [], ...changes } as unknown as PeerConfig;
}

const exposing = (id: string): PeerConfig =>
  peer(id, { exposed: [] as unknown as PeerConfig['exposed'] });

/** What is done around a tunnel with one peer, in order; `fails` is a call that rejects. */
async function around(fails?: string) {
  const done: string[] = [];
  const { tell, lines } = keepLog();
  const note = (what: string): void => {
    done.push(what);
    if (what === fails) throw REFUSED;
  };
  const reach: Reach = {
    ...(await unreachable.open({} as never)),
    expose: async (peers) => note(`expose ${peers.map(({ id }) => id).join()}`),
    lead: async (peers) => note(`lead ${peers.map(({ id }) => id).join()}`),
  };
  const killSwitch = {
    allow: (peers: readonly PeerConfig[]) => note(`allow ${peers.map(({ id }) => id).join()}`),
    facts: () => [],
    remove: () => undefined,
    leave: () => undefined,
  };
  const surroundings = new Surroundings({ reach, killSwitch, tell, peers: () => [peer('old')] });
  const work = async (): Promise<void> => note('work');
  return { surroundings, work, done, lines };
}

describe('what is around a tunnel', () => {
  it('changes before its peers do, but for what is led to them', async () => {
    const { surroundings, work, done } = await around();
    await surroundings.set(exposing('new'), work);
    expect(done).toEqual(['allow new', 'expose new', 'work', 'lead new']);
  });

  it.each([
    ['set', (all: Surroundings, work: () => Promise<void>) => all.set(peer('new'), work)],
    [
      'replaced',
      (all: Surroundings, work: () => Promise<void>) => all.replace([peer('new')], work),
    ],
  ])('lets out to the server of before where the peer cannot be %s', async (_how, change) => {
    const { surroundings, work, done } = await around('work');
    await expect(change(surroundings, work)).rejects.toBe(REFUSED);
    expect(done).toEqual(['allow new', 'work', 'allow old']);
  });

  it('tells where that does not go either, and rejects with what was first', async () => {
    const { surroundings, done, lines } = await around('allow old');
    const refused = new Error('first');
    await expect(surroundings.set(peer('new'), () => Promise.reject(refused))).rejects.toBe(
      refused,
    );
    expect(done).toEqual(['allow new', 'allow old']);
    expect(lines.map(({ event }) => event)).toEqual(['what has failed could not be undone']);
  });

  it('exposes what it did where a change of that fails half way', async () => {
    const { surroundings, work, done } = await around('expose new');
    await expect(surroundings.set(exposing('new'), work)).rejects.toBe(REFUSED);
    expect(done).toEqual(['allow new', 'expose new', 'expose ', 'allow old']);
  });
});
