import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { parseRecord, type FouRecord } from '../../../src/adapters/planes/fou/record.ts';
import { outerIpv4FromNumber } from '../../../src/core/addr.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import { port } from '../../../src/core/units.ts';

const record: FouRecord = {
  version: 2,
  port: port(10000),
  madeListeners: ['ipv4', 'ipv6'],
  device: 'ipipou0',
  table: 'ipipou',
  peers: [
    { id: 'default' as PeerId, device: 'ipipou0', path: undefined, alt: undefined },
    {
      id: 'laptop' as PeerId,
      device: 'ipipou0-1',
      path: {
        local: { ip: outerIpv4FromNumber(0xcb007101), port: port(10000) },
        remote: { ip: outerIpv4FromNumber(0xcb007102), port: port(4321) },
      },
      alt: outerIpv4FromNumber(0xac1d0000),
    },
  ],
  madeAlts: [outerIpv4FromNumber(0xac1d0000)],
};

describe('parseRecord', () => {
  it('reads back what was written as JSON', () => {
    expect(parseRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
  });

  it('reads what a run wrote that knew IPv4 alone', () => {
    const { madeListeners, ...rest } = record;
    expect(madeListeners).toHaveLength(2);
    const said = (madeListener: boolean) => parseRecord({ ...rest, madeListener });
    expect(said(true)).toEqual({ ...record, madeListeners: ['ipv4'] });
    expect(said(false)).toEqual({ ...record, madeListeners: [] });
  });

  it('knows paths of both families, and none between them', () => {
    const [, laptop] = record.peers;
    const end = (ip: string) => ({ ip, port: 10000 });
    const paths = [
      { local: end('2001:db8::1'), remote: end('2001:db8::2') },
      { local: end('192.0.2.1'), remote: end('2001:db8::2') },
    ];
    const peers = paths.map((path) => ({ ...laptop, path }));
    const read = parseRecord({ ...record, peers })?.peers.map(({ path }) => path);
    expect(read).toEqual([paths[0], undefined]);
  });

  it.each([
    ['nothing', null],
    ['another version', { ...record, version: 1 }],
    ['no port', { ...record, port: 0 }],
    ['a port that is text', { ...record, port: '10000' }],
    ['no device', { ...record, device: undefined }],
    ['no table', { ...record, table: 3 }],
    ['text', 'ipipou0'],
  ])('takes %s for no record', (_what, value) => {
    expect(parseRecord(value)).toBeUndefined();
  });

  it('forgets a path that is not whole, and peers and addresses that are none', () => {
    const [, laptop] = record.peers;
    const path = { ...laptop?.path, remote: { ip: '1.2.3', port: 4 } };
    const peers = [{ ...laptop, path }, { id: 'x' }, 7, { device: 'ipipou0' }];
    const madeAlts = ['172.29.0.1', '172.29.0', 5];
    expect(parseRecord({ ...record, peers, madeAlts })).toEqual({
      ...record,
      peers: [{ ...laptop, path: undefined }],
      madeAlts: ['172.29.0.1'],
    });
  });

  it('never throws on any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        parseRecord(value);
        parseRecord({ ...record, peers: value, madeAlts: value });
        parseRecord({ ...record, peers: [{ id: 'a', device: 'b', path: value, alt: value }] });
      }),
    );
  });
});
