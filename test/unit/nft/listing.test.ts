import { describe, expect, it } from 'vitest';
import { countedElements, elementTexts, parseNftListing } from '../../../src/core/nft/listing.ts';

describe('parseNftListing', () => {
  it('reads what libnftables 1.0.6 lists of a table', () => {
    const text =
      '{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, ' +
      '{"table": {"family": "ip", "name": "t", "handle": 1}}, ' +
      '{"counter": {"family": "ip", "name": "n", "table": "t", "handle": 2, "packets": 3, "bytes": 90}}]}\n';
    expect(parseNftListing(text)).toEqual({
      ok: true,
      value: [
        { kind: 'table', fields: { family: 'ip', name: 't', handle: 1 } },
        {
          kind: 'counter',
          fields: { family: 'ip', name: 'n', table: 't', handle: 2, packets: 3, bytes: 90 },
        },
      ],
    });
  });

  it.each([
    ['', 'not JSON'],
    ['table ip t {}', 'not JSON'],
    ['[]', 'no list called nftables'],
    ['{"nftables": {}}', 'no list called nftables'],
    ['{"nftables": [1]}', 'an entry that is not one thing'],
    ['{"nftables": [{}]}', 'an entry that is not one thing'],
    ['{"nftables": [{"a": {}, "b": {}}]}', 'an entry that is not one thing'],
    ['{"nftables": [{"table": null}]}', 'a table without fields'],
  ])('refuses %s', (text, reason) => {
    expect(parseNftListing(text)).toEqual({ ok: false, reason });
  });
});

describe('countedElements', () => {
  it('reads what libnftables 1.0.6 lists of a set that counts', () => {
    const elements = [
      { elem: { val: 'ipipou0-1', counter: { packets: 3, bytes: 252 } } },
      { elem: { val: 'ipipou0-2', counter: { packets: 0, bytes: 0 } } },
    ];
    expect(countedElements(elements)).toEqual(
      new Map([
        ['ipipou0-1', 3n],
        ['ipipou0-2', 0n],
      ]),
    );
  });

  it.each([
    undefined,
    null,
    'x',
    ['ipipou0-1'],
    [{ elem: { val: 'a' } }],
    [{ elem: { val: 1, counter: { packets: 1 } } }],
  ])('reads nothing out of %j', (elements) => {
    expect(countedElements(elements)).toEqual(new Map());
  });
});

describe('elementTexts', () => {
  it.each([
    ['an empty set', { type: 'ifname' }, []],
    ['names of devices', { type: 'ifname', elem: ['a', 'b'] }, ['"a"', '"b"']],
    [
      'what counts',
      { type: 'ifname', elem: [{ elem: { val: 'a', counter: { packets: 3, bytes: 252 } } }] },
      ['"a"'],
    ],
    [
      'keys of several parts',
      {
        type: ['ipv4_addr', 'inet_service', 'ipv4_addr'],
        elem: [{ concat: ['192.0.2.1', 10000, '192.0.2.2'] }],
      },
      ['192.0.2.1 . 10000 . 192.0.2.2'],
    ],
    [
      'prefixes',
      {
        type: ['ifname', 'ipv4_addr'],
        elem: [
          { concat: ['a', { prefix: { addr: '10.7.0.0', len: 24 } }] },
          { concat: ['a', '172.28.0.1'] },
        ],
      },
      ['"a" . 10.7.0.0/24', '"a" . 172.28.0.1'],
    ],
    [
      'a map',
      {
        type: ['ipv4_addr', 'inet_service'],
        map: 'ipv4_addr',
        elem: [[{ concat: ['192.0.2.1', 10000] }, '172.29.0.0']],
      },
      ['192.0.2.1 . 10000 : 172.29.0.0'],
    ],
  ])('names %s', (_what, fields, texts) => {
    expect(elementTexts(fields)).toEqual(new Set(texts));
  });

  it.each([
    ['no list', { type: 'ifname', elem: 'a' }],
    ['a range', { type: 'ipv4_addr', elem: [{ range: ['192.0.2.1', '192.0.2.9'] }] }],
    ['a timeout', { type: 'ifname', elem: [{ elem: { val: 'a', timeout: 9, expires: 8 } }] }],
    ['another number of parts', { type: ['ifname', 'ipv4_addr'], elem: ['a'] }],
    ['a map without values', { type: 'ifname', map: 'ipv4_addr', elem: ['a'] }],
    ['a prefix of something else', { type: 'ipv4_addr', elem: [{ prefix: { addr: 1, len: 24 } }] }],
  ])('does not name %s', (_what, fields) => {
    expect(elementTexts(fields)).toBeUndefined();
  });
});
