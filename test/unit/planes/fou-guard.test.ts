import { expect, it } from 'vitest';
import type { Nft } from '../../../src/adapters/nft/nft.ts';
import { Guard } from '../../../src/adapters/planes/fou/guard.ts';
import type { GuardPeer } from '../../../src/core/nft/guard-peer.ts';
import { port } from '../../../src/core/units.ts';
import type { PeerId } from '../../../src/ports/data-plane.ts';
import { inner } from '../../rig/addresses.ts';
import { FakeNft } from './fou-nft.ts';

const a = 'a' as PeerId;
const b = 'b' as PeerId;

function peer(device: string, address: string, length: number): GuardPeer {
  const innerSources = [{ ip: inner(address), length }];
  return { device, innerSources, hint: undefined, admission: undefined, besides: [] };
}

it('asks for prefixes of a length that nobody had yet, in one transaction that leaves the others alone', () => {
  const nft = new FakeNft();
  const spec = {
    ...{ table: 'ipipou', port: port(10_000), device: undefined, queue: 0, strangerQueue: 9 },
    ...{ strangers: true, authLengths: [73], fragments: undefined, counters: true },
    ...{ outside: ['ipv4'] as const, inside: ['ipv4'] as const },
  };
  const guard = new Guard(nft as unknown as Nft, spec, () => {});
  guard.change(new Map([[a, peer('ipipou0-1', '10.1.0.0', 16)]]));
  nft.scripts.length = 0;
  guard.change(new Map([[b, peer('ipipou0-2', '10.1.2.0', 24)]]));
  expect(nft.scripts).toHaveLength(1);
  const [script = ''] = nft.scripts;
  const order = [...script.matchAll(/^add rule .* @p10000_inner(\d+) accept$/gm)];
  expect(order.map(([, length]) => length)).toEqual(['24', '16']);
  const elements = script.split('\n').filter((line) => / element |flush (set|map)/.test(line));
  expect(elements).toEqual([
    'add element ip ipipou p10000_devices { "ipipou0-2" }',
    'add element ip ipipou p10000_strays { "ipipou0-2" }',
    'add element ip ipipou p10000_inner24 { "ipipou0-2" . 10.1.2.0 }',
    'add element ip ipipou p10000_claimed24 { 10.1.2.0 }',
  ]);
  nft.scripts.length = 0;
  guard.change(new Map([[b, undefined]]));
  expect(nft.scripts.join()).not.toContain('add rule');
});
