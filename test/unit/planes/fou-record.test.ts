import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { parseRecord, type FouRecord } from '../../../src/adapters/planes/fou/record.ts';
import { ipv4FromNumber } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';

const record: FouRecord = {
  version: 1,
  port: port(10000),
  madeListener: true,
  device: 'ipipou0',
  table: 'ipipou',
  alt: ipv4FromNumber(0xac1d0000),
  madeAlt: true,
  path: {
    local: { ip: ipv4FromNumber(0xcb007101), port: port(10000) },
    remote: { ip: ipv4FromNumber(0xcb007102), port: port(4321) },
  },
};

describe('parseRecord', () => {
  it('reads back what was written as JSON', () => {
    expect(parseRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
  });

  it.each([
    ['nothing', null],
    ['another version', { ...record, version: 2 }],
    ['no port', { ...record, port: 0 }],
    ['a port that is text', { ...record, port: '10000' }],
    ['no device', { ...record, device: undefined }],
    ['no table', { ...record, table: 3 }],
    ['text', 'ipipou0'],
  ])('takes %s for no record', (_what, value) => {
    expect(parseRecord(value)).toBeUndefined();
  });

  it('forgets a path that is not whole', () => {
    const broken = { ...record, path: { ...record.path, remote: { ip: '1.2.3', port: 4 } } };
    expect(parseRecord(broken)).toEqual({ ...record, path: undefined });
  });

  it('never throws on any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        parseRecord(value);
        parseRecord({ ...record, path: value, alt: value });
      }),
    );
  });
});
