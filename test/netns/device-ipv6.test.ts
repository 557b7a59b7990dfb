/* Topology: the drawings at the heads of test/rig/plane-pair.ts and test/rig/two-hosts.ts. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { inner } from '../rig/addresses.ts';
import {
  A_TO_B,
  eventually,
  INNER_A,
  INNER_B,
  pairForEach,
  type PlanePair,
} from '../rig/plane-pair.ts';

const OWN = inner('fd28::1');
const OTHER = inner('fd28::');
const BOTH = {
  ips: [INNER_A, OWN],
  peers: [{ id: DEFAULT_PEER, innerIps: [INNER_B, OTHER], allowedIps: 'any' }],
} as const;

describe.each(['tun', 'bpf'] as const)(
  'the device of a tunnel of both families, on %s',
  (plane) => {
    let pair: PlanePair;
    pairForEach(plane, (made) => {
      pair = made;
    });

    const inA = (...argv: readonly string[]): Promise<string> =>
      pair.cable.sure(pair.cable.a, ...argv);
    const addresses = async (): Promise<readonly string[]> => {
      const lines = (await inA('ip', '-o', 'addr', 'show', 'dev', 'ipipou0')).trim().split('\n');
      return lines.map((line) => /inet6? (.*?)\s*(?:\\|ipipou0)/.exec(line)?.[1]?.trim() ?? line);
    };
    const routes = async (): Promise<string> => inA('ip', '-6', 'route', 'show', 'proto', '148');

    test('has both addresses, and no others', async () => {
      await pair.openA(BOTH);
      expect(await addresses()).toEqual([
        `${INNER_A} peer ${INNER_B}/32 scope global`,
        `${OWN}/128 scope global nodad noprefixroute`,
      ]);
      const conf = '/proc/sys/net/ipv6/conf/ipipou0';
      expect(await inA('cat', `${conf}/accept_ra`, `${conf}/disable_ipv6`)).toBe('0\n0\n');
      expect(await routes()).toMatch(/^fd28:: dev ipipou0 metric 1024/);
    });

    test('has them also where IPv6 is off by default', async () => {
      await inA('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
      await pair.openA(BOTH);
      expect(await addresses()).toHaveLength(2);
    });

    test('has them again when something took them away', async () => {
      await pair.openA(BOTH);
      await inA('sysctl', '-qw', 'net.ipv6.conf.ipipou0.disable_ipv6=1');
      await eventually(async () => {
        expect(await addresses()).toHaveLength(2);
        expect(await routes()).toMatch(/^fd28:: dev ipipou0/);
      });
      expect(pair.a.events).toContainEqual(expect.objectContaining({ event: 'disturbed' }));
    });

    test('keeps what IPv6 needs on the smallest way, where routes have less and no IPv6', async () => {
      await pair.openA(BOTH);
      await pair.a.admit(A_TO_B);
      await pair.a.limitMtu(1200);
      const link = await inA('ip', 'link', 'show', 'ipipou0');
      expect(Number(/mtu (\d+)/.exec(link)?.[1])).toBeGreaterThanOrEqual(1280);
      expect(await inA('ip', 'route', 'show', INNER_B)).toMatch(/mtu 1200/);
      expect(await routes()).toMatch(/^unreachable fd28:: dev lo metric 4000010000/);
      expect(pair.a.events).toContainEqual(
        expect.objectContaining({
          event: 'log',
          fields: expect.objectContaining({ prefix: 'fd28::/128' }),
        }),
      );
      await pair.a.limitMtu(1280);
      expect(await routes()).toMatch(/^fd28:: dev ipipou0/);
      await pair.a.limitMtu(1200);
      await pair.a.close('remove');
      expect(await routes()).toBe('');
    });
  },
);
