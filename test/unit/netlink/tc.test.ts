import { describe, expect, it } from 'vitest';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeFilter,
  decodeQdisc,
  encodeDelBpfFilter,
  encodeDelClsact,
  encodeGetFilters,
  encodeNewClsact,
  encodeReplaceBpfFilter,
  ETH_P_ALL,
  ETH_P_IP,
} from '../../../src/core/netlink/tc.ts';
import { succeed } from '../../../src/core/result.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { holdsAgainstBadBytes } from './decoder-checks.ts';
import { hex } from './hex.ts';

const HEADER = 20;
const index = ifIndex(3);
const place = {
  index,
  direction: 'ingress',
  priority: 10_000,
  handle: 1,
  protocol: ETH_P_IP,
} as const;

/** Linux 6.18: the answer to `tc filter show dev v0 ingress` (iproute2 6.1), by strace. */
const FILTER = hex(`00000000 03000000 01000000 f2ffffff 08001027
  0800 0100 62706600
  0800 0b00 00000000
  3800 0200 0d00 0700 742e6f3a5b74635d00 000000
    0800 0b00 74000000
    0c00 0a00 f03f3c893109830e
    0800 0800 01000000  0800 0900 08000000`);

describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it('gives a device clsact as `tc qdisc add dev v0 clsact` of 6.1 does', () => {
    expect(encodeNewClsact(index)).toEqual({
      operation: 'RTM_NEWQDISC',
      type: 36,
      flags: 0x600,
      payload: hex('00000000 03000000 0000ffff f1ffffff 00000000 0b00 0100 636c7361637400 00'),
    });
  });

  it('takes it away as `tc qdisc del dev v0 clsact` does', () => {
    expect(encodeDelClsact(index)).toEqual({
      operation: 'RTM_DELQDISC',
      type: 37,
      flags: 0,
      payload: hex('00000000 03000000 0000ffff f1ffffff 00000000 0b00 0100 636c7361637400 00'),
    });
  });

  it('puts a program in place as `tc filter replace … prio 10000 handle 1 … bpf da` does', () => {
    const call = encodeReplaceBpfFilter({ ...place, program: 6, name: 't.o:[tc]' });
    expect(call).toMatchObject({ operation: 'RTM_NEWTFILTER', type: 44, flags: 0x400 });
    expect(call.payload).toEqual(
      hex(`00000000 03000000 01000000 f2ffffff 08001027 0800 0100 62706600
        2400 0280 0800 0600 06000000 0d00 0700 742e6f3a5b74635d00 000000 0800 0800 01000000`),
    );
  });

  it('removes one filter as `tc filter del` does', () => {
    expect(encodeDelBpfFilter(place)).toEqual({
      operation: 'RTM_DELTFILTER',
      type: 45,
      flags: 0,
      payload: hex('00000000 03000000 01000000 f2ffffff 08001027 0800 0100 62706600'),
    });
  });

  it('asks for the filters of one hook', () => {
    expect(encodeGetFilters(index, 'ingress').payload).toEqual(
      hex('00000000 03000000 00000000 f2ffffff 00000000'),
    );
    expect(encodeGetFilters(index, 'egress').payload).toEqual(
      hex('00000000 03000000 00000000 f3ffffff 00000000'),
    );
  });
});

describe('decoding', () => {
  it.runIf(HOST_IS_LITTLE_ENDIAN)('reads a BPF filter', () => {
    expect(decodeFilter(FILTER)).toEqual(
      succeed({ ...place, kind: 'bpf', bpf: { name: 't.o:[tc]', programId: 116 } }),
    );
  });

  it.each([
    { ...place, priority: 65_535 },
    { ...place, direction: 'egress', protocol: ETH_P_ALL } as const,
  ])('reads what it has encoded: $priority $direction', (spec) => {
    const { payload } = encodeReplaceBpfFilter({ ...spec, program: 6, name: 'ipipou' });
    expect(decodeFilter(payload)).toEqual(
      succeed({ ...spec, kind: 'bpf', bpf: { name: 'ipipou', programId: undefined } }),
    );
  });

  it('knows other kinds by their name only, and filters of other qdiscs by having no direction', () => {
    const { payload } = encodeNewClsact(index);
    expect(decodeFilter(payload)).toMatchObject(
      succeed({ kind: 'clsact', direction: undefined, bpf: undefined }),
    );
    expect(decodeQdisc(payload)).toEqual(succeed({ index, kind: 'clsact' }));
  });

  describe('of filters', () => {
    const { payload } = encodeReplaceBpfFilter({ ...place, program: 6, name: 'ipipou' });
    holdsAgainstBadBytes(decodeFilter, payload, HEADER);
  });

  describe('of qdiscs', () => {
    holdsAgainstBadBytes(decodeQdisc, encodeNewClsact(index).payload, HEADER);
  });
});
