import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_IS_LITTLE_ENDIAN } from '../../../src/core/bytes.ts';
import {
  decodeRule,
  encodeDelRule,
  encodeGetRules,
  encodeNewRule,
  sameRule,
  type RuleSpec,
} from '../../../src/core/netlink/rule.ts';
import { succeed } from '../../../src/core/result.ts';
import { inner, ip } from '../../rig/addresses.ts';
import { holdsAgainstBadBytes } from './decoder-checks.ts';
import { hex } from './hex.ts';

const HEADER = 12;
const PLAIN = { mark: undefined, source: undefined } as const;
const spec: RuleSpec = {
  ...{ family: 'ipv4', priority: 14_800, table: 14_801, protocol: 148 },
  mark: { value: 0x0100_0000, mask: 0x3f00_0000 },
  source: { ip: inner('172.28.0.1'), length: 32 },
};

/* As linux/fib_rules.h has it; the kernel's own view is taken by test/netns/expose.test.ts. */
describe.runIf(HOST_IS_LITTLE_ENDIAN)('encoding', () => {
  it('adds `ip rule add from 172.28.0.1 fwmark 0x1000000/0x3f000000 lookup 14801 pref 14800`', () => {
    expect(encodeNewRule(spec)).toEqual({
      operation: 'RTM_NEWRULE',
      type: 32,
      flags: 0x600,
      payload: hex(`02002000 00000001 00000000
        0800 0200 ac1c0001  0800 0600 d0390000  0800 0a00 00000001  0800 1000 0000003f
        0800 0f00 d1390000  0500 1500 94 000000`),
    });
    expect(encodeNewRule({ ...spec, ...PLAIN, table: 254, suppressLength: 0 }).payload).toEqual(
      hex(`02000000 fe000001 00000000
        0800 0600 d0390000  0800 0e00 00000000  0800 0f00 fe000000  0500 1500 94 000000`),
    );
    expect(encodeDelRule(spec)).toMatchObject({ type: 33, flags: 0 });
  });

  it('asks for the rules of a family', () => {
    expect(encodeGetRules('ipv6')).toMatchObject({
      type: 34,
      payload: hex('0a000000 00000000 00000000'),
    });
  });
});

describe('decoding', () => {
  it('reads what was encoded', () => {
    const aRule = fc.record({
      family: fc.constantFrom('ipv4' as const, 'ipv6' as const),
      priority: fc.nat(),
      table: fc.nat(),
      protocol: fc.nat(255),
      mark: fc.option(
        fc.record({ value: fc.nat(), mask: fc.integer({ min: 1, max: 0xffff_ffff }) }),
        {
          nil: undefined,
        },
      ),
      own: fc.boolean(),
      suppressLength: fc.option(fc.nat(128), { nil: undefined }),
    });
    fc.assert(
      fc.property(aRule, ({ own, ...rest }) => {
        const [text, length] =
          rest.family === 'ipv4' ? (['192.0.2.1', 32] as const) : (['2001:db8::1', 128] as const);
        const rule = {
          ...rest,
          source: own ? { ip: ip(text), length } : undefined,
        };
        const decoded = decodeRule(encodeNewRule(rule).payload);
        expect(decoded).toEqual(succeed(rule));
        expect(decoded.ok && sameRule(decoded.value, rule)).toBe(true);
      }),
    );
  });

  holdsAgainstBadBytes(decodeRule, encodeNewRule(spec).payload, HEADER);
});
