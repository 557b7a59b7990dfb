import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outerIpv4FromNumber, innerIpv4FromNumber, type InnerIp } from '../../../src/core/addr.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import { innerOf, PeerTable, tagOf } from '../../../src/adapters/planes/bpf/peer-table.ts';
import { routedPrefixes } from '../../../src/adapters/planes/peer-routing.ts';
import { slices } from '../../../src/adapters/planes/slices.ts';
import { parseRecord } from '../../../src/adapters/planes/bpf/record.ts';
import { farName } from '../../../src/adapters/planes/bpf/tunnel-pair.ts';
import { inner, ip } from '../../rig/addresses.ts';

const address = (number: number): InnerIp => innerIpv4FromNumber(0x0a000000 + number);
const peer = (number: number) => ({
  id: `p${number}` as PeerId,
  innerIps: [address(number)],
  allowedIps: 'any' as const,
  hint: undefined,
});

describe('the table of peers', () => {
  it('finds by name and by index, and gives a place that was given up again', () => {
    const table = new PeerTable();
    const [first, second] = [table.add(peer(1)), table.add(peer(2))];
    expect([first.index, second.index]).toEqual([0, 1]);
    table.remove(first);
    expect(table.get(first.id)).toBeUndefined();
    expect(table.at(0)).toBeUndefined();
    const third = table.add(peer(3));
    expect(third.index).toBe(0);
    expect(table.at(0)).toBe(third);
    expect(table.add(peer(4)).index).toBe(2);
    expect(table.size).toBe(3);
  });

  it('never gives one index to two peers, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 60 }), (numbers) => {
        const table = new PeerTable();
        for (const number of numbers) {
          const known = table.get(peer(number).id);
          if (known) table.remove(known);
          else table.add(peer(number));
          const indexes = [...table.all()].map(({ index }) => index);
          expect(new Set(indexes).size).toBe(table.size);
          for (const one of table.all()) expect(table.at(one.index)).toBe(one);
        }
      }),
    );
  });

  it('lists who is admitted', () => {
    const table = new PeerTable();
    const [, second] = [table.add(peer(1)), table.add(peer(2))];
    const end = { ip: outerIpv4FromNumber(9), port: 1 as never };
    second.path = { local: end, remote: end };
    expect([...table.admitted()]).toEqual([second]);
  });
});

describe('inner addresses', () => {
  const own = { ip: address(1), length: 32 };
  const net = { ip: address(256), length: 24 };

  it.each([
    { what: 'any', allowedIps: 'any', inner: [own], routed: [own] },
    {
      what: 'its own and a network',
      allowedIps: [own, net],
      inner: [own, net],
      routed: [own, net],
    },
    { what: 'a network only', allowedIps: [net], inner: [own, net], routed: [net] },
  ] as const)('of a peer with $what', ({ allowedIps, inner, routed }) => {
    expect(innerOf({ innerIps: [address(1)], allowedIps })).toEqual(inner);
    expect(routedPrefixes({ innerIps: [address(1)], allowedIps }, {})).toEqual(routed);
  });
});

it.each([
  ['auto', [address(1), address(256)]],
  ['off', [address(1)]],
  [77, [address(1)]],
] as const)('table %s leaves the planes routes to', (table, routed) => {
  const remote = ip('10.9.0.9');
  const allowedIps = [
    { ip: address(1), length: 32 },
    { ip: address(256), length: 24 },
    { ip: inner('0.0.0.0'), length: 0 },
    { ip: inner('10.9.0.0'), length: 16 },
  ];
  const peer = { innerIps: [address(1)], allowedIps, remote };
  expect(routedPrefixes(peer, { table }).map((prefix) => prefix.ip)).toEqual(routed);
});

it('tags are FNV-1a', () => {
  // The test vectors of the algorithm's authors (isthe.com/chongo/tech/comp/fnv).
  expect(tagOf({ id: 'a' as PeerId, innerIps: [] })).toBe(0xe40c292c);
  expect(tagOf({ id: 'foobar' as PeerId, innerIps: [address(1)] })).toBe(0xbf9cf968);
});

it.each([
  [[], []],
  [
    [1, 2, 3],
    [[1, 2], [3]],
  ],
  [
    [1, 2, 3, 4],
    [
      [1, 2],
      [3, 4],
    ],
  ],
])('slices of %j', (all, expected) => {
  expect([...slices(all, 2)]).toEqual(expected);
});

describe('the name of the far end', () => {
  it.each([
    ['ipipou0', 'ipipou0-far'],
    ['elevenchars', 'elevenchars-far'],
  ])('%s has %s', (near, far) => {
    expect(farName(near)).toBe(far);
  });

  it('fits a device of the longest name, and tells near ones apart', () => {
    const names = ['fifteen-chars-1', 'fifteen-chars-2', 'twelve-chars'];
    const far = names.map(farName);
    expect(new Set(far).size).toBe(names.length);
    for (const name of far) expect(name).toMatch(/^.{1,11}-far$/);
  });
});

describe('the record', () => {
  const record = {
    version: 1,
    port: 10_000,
    near: 'ipipou0',
    far: 'ipipou0-far',
    attached: [{ index: 2, name: 'eth0', madeQdisc: true }],
  };

  it('comes back as it was written', () => {
    expect(parseRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['text', 'text'],
    ['another version', { ...record, version: 2 }],
    ['no port', { ...record, port: 0 }],
    ['a broken port', { ...record, port: '10000' }],
    ['no names', { ...record, far: undefined }],
    ['no list', { ...record, attached: 'eth0' }],
  ])('is none in %s', (_, value) => {
    expect(parseRecord(value)).toBeUndefined();
  });

  it('loses what it cannot read of its list, and nothing else', () => {
    const attached = [...record.attached, { index: '3', name: 'eth1' }, 7];
    expect(parseRecord({ ...record, attached })).toEqual(record);
  });
});
