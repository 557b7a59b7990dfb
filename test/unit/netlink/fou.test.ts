import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OuterIp } from '../../../src/core/addr.ts';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeFou,
  encodeAddFou,
  encodeDelFou,
  encodeGetFou,
} from '../../../src/core/netlink/fou.ts';
import { decodeFamily, encodeGetFamily } from '../../../src/core/netlink/generic.ts';
import { succeed } from '../../../src/core/result.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { holdsAgainstBadBytes } from './decoder-checks.ts';
import { hex } from './hex.ts';
import { treeOf } from './tree.ts';

const HEADER = 4;
const FAMILY = 0x20;
const bound = {
  family: 'ipv4' as const,
  port: 10007,
  local: '192.0.2.1' as OuterIp,
  device: ifIndex(3),
};

/* All literal bytes: Linux 6.1.0-56-amd64, ip of iproute2 6.1 and its answers, by strace; d0 is link 3. */

/** Answer to CTRL_CMD_GETFAMILY of `fou`. */
const FAMILY_ANSWER = hex(`01020000 0800 0200 666f7500  0600 0100 20000000  0800 0300 01000000
  0800 0400 00000000  0800 0500 0b000000
  4000 0600 1400 0100 0800 0100 01000000 0800 0200 0b000000
            1400 0200 0800 0100 02000000 0800 0200 0b000000
            1400 0300 0800 0100 03000000 0800 0200 0e000000`);

/** `ip fou show` after `ip fou add port 10007 ipproto 4 local 192.0.2.1 dev d0`. */
const BOUND = hex(`03010000 0500 0200 02000000  0600 0100 27170000  0600 0a00 00000000
  0500 0300 04000000  0500 0400 01000000  0800 0b00 03000000  0800 0600 c0000201  0800 0800 00000000`);

describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it('asks for the family', () => {
    expect(encodeGetFamily('fou')).toEqual({
      operation: 'CTRL_CMD_GETFAMILY',
      type: 0x10,
      flags: 0,
      payload: hex('03010000 0800 0200 666f7500'),
    });
  });

  it('adds what `ip fou add port 10007 ipproto 4 local 192.0.2.1 dev d0` adds', () => {
    const call = encodeAddFou(FAMILY, { ...bound, ipproto: 4 });
    const ip = hex(`01010000 0600 0100 27170000  0500 0400 01000000  0500 0200 02000000
      0500 0300 04000000  0800 0600 c0000201  0800 0b00 03000000`);
    expect(call).toMatchObject({ operation: 'FOU_CMD_ADD', type: FAMILY, flags: 0 });
    expect(call.payload.subarray(0, HEADER)).toEqual(ip.subarray(0, HEADER));
    expect(treeOf(call.payload.subarray(HEADER))).toEqual(treeOf(ip.subarray(HEADER)));
  });

  it('adds a listener on all addresses, literally', () => {
    expect(
      encodeAddFou(FAMILY, { family: 'ipv4', port: 10000, ipproto: 4, type: 'direct' }).payload,
    ).toEqual(
      hex('01010000 0600 0100 27100000 0500 0200 02000000 0500 0300 04000000 0500 0400 01000000'),
    );
  });

  it('names no protocol with GUE', () => {
    expect(
      encodeAddFou(FAMILY, { family: 'ipv4', port: 10000, ipproto: 0, type: 'gue' }).payload,
    ).toEqual(hex('01010000 0600 0100 27100000 0500 0200 02000000 0500 0400 02000000'));
  });

  it('removes what `ip fou del port 10007 local 192.0.2.1 dev d0` removes', () => {
    const call = encodeDelFou(FAMILY, bound);
    const ip = hex(`02010000 0600 0100 27170000  0500 0400 01000000  0500 0200 02000000
      0800 0600 c0000201  0800 0b00 03000000`);
    expect(call).toMatchObject({ operation: 'FOU_CMD_DEL', type: FAMILY, flags: 0 });
    expect(call.payload.subarray(0, HEADER)).toEqual(ip.subarray(0, HEADER));
    // The type is no part of a listener's identity.
    expect({ ...treeOf(call.payload.subarray(HEADER)), 4: '01' }).toEqual(
      treeOf(ip.subarray(HEADER)),
    );
  });

  it('asks as `ip fou show`', () => {
    expect(encodeGetFou(FAMILY).payload).toEqual(hex('03010000'));
  });

  it('names a connected listener by its peer', () => {
    const peered = { family: 'ipv4' as const, port: 1, peer: '192.0.2.2' as OuterIp, peerPort: 2 };
    expect(treeOf(encodeDelFou(FAMILY, peered).payload.subarray(HEADER))).toEqual({
      1: '0001',
      2: '02',
      8: 'c0000202',
      10: '0002',
    });
  });
});

describe.runIf(HOST_IS_LITTLE_ENDIAN)('decodeFamily', () => {
  it('reads the family’s number', () => {
    expect(decodeFamily(FAMILY_ANSWER)).toEqual(succeed(FAMILY));
  });

  it('refuses an answer without one, or to another question', () => {
    expect(decodeFamily(hex('01020000')).ok).toBe(false);
    expect(decodeFamily(FAMILY_ANSWER.with(0, 2)).ok).toBe(false);
  });

  holdsAgainstBadBytes(decodeFamily, FAMILY_ANSWER, HEADER);
});

describe.runIf(HOST_IS_LITTLE_ENDIAN)('decodeFou', () => {
  it('reads a listener of one address and device', () => {
    expect(decodeFou(BOUND)).toEqual(
      succeed({
        ...bound,
        ipproto: 4,
        type: 'direct',
        peer: undefined,
        peerPort: undefined,
      }),
    );
  });

  it('reads a listener of all addresses', () => {
    const bytes = hex(`03010000 0500 0200 02000000  0600 0100 27100000  0600 0a00 00000000
      0500 0300 04000000  0500 0400 01000000  0800 0b00 00000000
      0800 0600 00000000  0800 0800 00000000`);
    expect(decodeFou(bytes)).toMatchObject(
      succeed({ port: 10000, local: undefined, device: undefined }),
    );
  });

  it('reads what is encoded, whatever the port', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 65535 }), fc.nat(255), (port, ipproto) => {
        const { payload } = encodeAddFou(FAMILY, { family: 'ipv4', port, ipproto });
        expect(decodeFou(payload.with(0, 3))).toMatchObject(succeed({ port, ipproto }));
      }),
    );
  });

  it('tells other families and types', () => {
    expect(decodeFou(hex('03010000 0500 0200 0a000000 0600 0100 27100000'))).toMatchObject(
      succeed({ family: 'ipv6', type: 'other' }),
    );
  });

  it('reads a GUE listener of IPv6, on all addresses and on one', () => {
    // `ip fou show` after `ip -6 fou add port 10000 gue`, as on 6.1.
    const all = hex(`03010000 0500 0200 0a000000  0600 0100 27100000  0600 0a00 00000000
      0500 0300 00000000  0500 0400 02000000  0800 0b00 00000000
      1400 0700 00000000000000000000000000000000  1400 0900 00000000000000000000000000000000`);
    const gue = { family: 'ipv6', port: 10000, type: 'gue', local: undefined, peer: undefined };
    expect(decodeFou(all)).toMatchObject(succeed(gue));
    const one = { family: 'ipv6', port: 7, local: '2001:db8::1' as OuterIp } as const;
    const { payload } = encodeAddFou(FAMILY, { ...one, ipproto: 0, type: 'gue' });
    expect(treeOf(payload.subarray(HEADER))).toEqual({
      1: '0007',
      2: '0a',
      4: '02',
      7: '20010db8000000000000000000000001',
    });
    expect(decodeFou(payload.with(0, 3))).toMatchObject(succeed({ ...one, type: 'gue' }));
  });

  it('refuses a listener without a port, or of no family', () => {
    expect(decodeFou(hex('03010000 0500 0200 02000000')).ok).toBe(false);
    expect(decodeFou(hex('03010000 0600 0100 27100000')).ok).toBe(false);
  });

  holdsAgainstBadBytes(decodeFou, BOUND, HEADER);
});
