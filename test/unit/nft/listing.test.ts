import { describe, expect, it } from 'vitest';
import { countedElements, parseNftListing } from '../../../src/core/nft/listing.ts';

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
