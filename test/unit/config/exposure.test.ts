import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatExposure,
  overlap,
  type Exposure,
  type ExposureLimits,
} from '../../../src/core/config/exposure.ts';
import { exposureList, parseExposure, sourceList } from '../../../src/core/config/exposure-list.ts';
import { formatMark, markValue } from '../../../src/core/config/syntax-reach.ts';
import { familyOf, parseInnerIp, parseOuterIp, type OuterIp } from '../../../src/core/addr.ts';
import { port } from '../../../src/core/units.ts';
import { PRIVATE_KEY, configError, resolveRun } from './resolve-texts.ts';

const aPort = fc.integer({ min: 1, max: 65_535 }).map(port);
const anIpv4 = fc
  .tuple(fc.integer({ min: 1, max: 223 }), fc.integer({ min: 0, max: 255 }))
  .map(([first, last]) => `${first}.0.2.${last}`);
const anIpv6 = fc.integer({ min: 1, max: 65_535 }).map((last) => `2001:db8::${last.toString(16)}`);

const aPrefix = fc.oneof(anIpv4, anIpv6).map((text) => {
  const ip = parseOuterIp(text);
  return { ip: ip as OuterIp, length: text.includes(':') ? 128 : 32 };
});
const someLimits: fc.Arbitrary<ExposureLimits> = fc
  .record({
    from: fc.option(
      fc.uniqueArray(aPrefix, { minLength: 1, maxLength: 3, selector: ({ ip }) => ip }),
    ),
    rate: fc.option(fc.oneof(fc.constant('none' as const), fc.integer({ min: 1, max: 9999 }))),
    connections: fc.option(fc.integer({ min: 1, max: 65_536 })),
  })
  .map(({ from, rate, connections }) => ({
    from: from ?? undefined,
    rate: rate ?? undefined,
    connections: connections ?? undefined,
  }));

/** Services of one family or of both. */
const aService: fc.Arbitrary<Exposure> = fc
  .record({
    ipv6: fc.boolean(),
    addresses: fc.tuple(fc.option(anIpv4), fc.option(anIpv4)),
    addresses6: fc.tuple(fc.option(anIpv6), fc.option(anIpv6)),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'all' as const),
    ports: fc.tuple(aPort, aPort),
    targetPort: fc.option(aPort),
    limits: someLimits,
  })
  .map(({ ipv6, addresses, addresses6, protocol, ports, targetPort, limits }) => {
    const [publicText, targetText] = ipv6 ? addresses6 : addresses;
    const first = port(protocol === 'all' ? 1 : Math.min(...ports));
    const last = port(protocol === 'all' ? 65_535 : Math.max(...ports));
    const elsewhere =
      first === last && targetPort !== first ? (targetPort ?? undefined) : undefined;
    return {
      publicIp: publicText === null ? undefined : parseOuterIp(publicText),
      ...{ protocol, first, last },
      targetIp: targetText === null ? undefined : parseInnerIp(targetText),
      targetPort: elsewhere,
      limits,
    };
  });

test('what is formatted is parsed to the same', () => {
  fc.assert(
    fc.property(aService, (service) => {
      expect(parseExposure(formatExposure(service))).toEqual(service);
    }),
  );
});

test('any text is a service, which formats to one that is the same, or none', () => {
  const near = fc
    .array(fc.constantFrom('tcp', 'udp', '/', ':', '-', '1', '65536', '10.0.0.1', '[fd00::1]', ' '))
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string(), near), (text) => {
      const service = parseExposure(text);
      if (service) expect(parseExposure(formatExposure(service))).toEqual(service);
    }),
  );
});

test('services overlap when a visitor could mean either, whichever is named first', () => {
  fc.assert(
    fc.property(aService, aService, (a, b) => {
      expect(overlap(a, a)).toBe(true);
      expect(overlap(a, b)).toBe(overlap(b, a));
      if (!overlap(a, b) || !a.publicIp || !b.publicIp) return;
      expect(familyOf(a.publicIp)).toBe(familyOf(b.publicIp));
    }),
  );
});

describe('services as they are written', () => {
  test.each([
    ['tcp/443', 'tcp/443'],
    ['tcp/443:443', 'tcp/443'],
    ['tcp/2222:22', 'tcp/2222:22'],
    ['udp/27015-27030', 'udp/27015-27030'],
    ['tcp/8443:192.168.1.10:443', 'tcp/8443:192.168.1.10:443'],
    ['udp/5-9:192.168.1.10', 'udp/5-9:192.168.1.10'],
    ['198.51.100.7:tcp/443', '198.51.100.7:tcp/443'],
    ['[2001:DB8:0::7]:tcp/443:[fd00::2]:80', '[2001:db8::7]:tcp/443:[fd00::2]:80'],
    ['tcp/80, tcp/443  udp/443', 'tcp/80 tcp/443 udp/443'],
    ['all', 'all'],
    ['tcp/22, all:192.168.1.10', 'tcp/22 all:192.168.1.10'],
    ['198.51.100.7:all, [2001:db8::7]:all', '198.51.100.7:all [2001:db8::7]:all'],
    [
      'tcp/443 from 203.0.113.0/24, 2001:db8::/32 rate 200 connections 1000, udp/53 rate none',
      'tcp/443 from 203.0.113.0/24 2001:db8::/32 rate 200 connections 1000 udp/53 rate none',
    ],
    ['tcp/443 connections 5 from 10.0.0.1 tcp/80', 'tcp/443 from 10.0.0.1/32 connections 5 tcp/80'],
    ['none', ''],
    ['', ''],
  ])('%s', (text, canonical) => {
    const reading = exposureList.read(text);
    expect(reading.ok && reading.value.map(formatExposure).join(' ')).toBe(canonical);
  });

  test.each([
    ...['tcp', 'tcp/', 'tcp/0', 'tcp/65536', 'tcp/9-5', 'icmp/1', 'TCP/1', 'tcp/1:', ':tcp/1'],
    ...[
      'udp/5-9:7',
      'udp/5-9:10.0.0.1:7',
      'tcp/1:fd00::1:2',
      '2001:db8::7:tcp/1',
      '[10.0.0.1]:tcp/1',
    ],
    ...[
      'all:7',
      'all/7',
      'all, all',
      '10.0.0.1:all 10.0.0.1:all:10.0.0.2',
      'from 10.0.0.1',
      'rate 5',
    ],
    ...['tcp/1 from', 'tcp/1 from all', 'tcp/1 rate', 'tcp/1 rate 0', 'tcp/1 connections none'],
    ...['tcp/1 from 10.0.0.1/8', 'tcp/1 rate tcp/2', 'tcp/1 limit 5'],
    ...['10.0.0.1:tcp/1:[fd00::1]', 'tcp/1:224.0.0.1', 'tcp/80-90, tcp/85', 'tcp/1:10.0.0.256:1'],
  ])('%s is refused', (text) => {
    expect(exposureList.read(text).ok).toBe(false);
  });

  test('sources are prefixes', () => {
    const read = (text: string) => sourceList.read(text);
    expect(read('203.0.113.0/24, 2001:db8::/32')).toMatchObject({ ok: true });
    expect(read('none')).toEqual({ ok: true, value: [] });
    expect(read('203.0.113.1/24').ok).toBe(false);
  });

  test('a mark lies within its mask', () => {
    const reading = markValue.read('0x100/0xff00');
    expect(reading.ok && formatMark(reading.value)).toBe('0x100/0xff00');
    expect(markValue.read('5')).toEqual({ ok: true, value: { value: 5, mask: 0xffff_ffff } });
    for (const text of ['0', '0x1ff/0xff', '0x100000000', '1/2/3', ''])
      expect(markValue.read(text).ok, text).toBe(false);
  });
});

const HEAD = 'server\ntunl-ip 172.28.0.0\nauth-secret s\n';
const HOME = `${HEAD}peer home\nauth-token a\ntunl-peer-ip 172.28.0.1\nallowed-ips 192.168.1.0/24\n`;
const OFFICE = 'peer office\nauth-token b\ntunl-peer-ip 172.28.0.2\n';

describe('what peers expose together', () => {
  test('is theirs', () => {
    const { config } = resolveRun(
      `${HOME}expose tcp/443:192.168.1.9\nexpose-from 10.0.0.0/8\n${OFFICE}`,
    );
    expect(config.peers[0]?.exposed).toMatchObject({ services: [{ targetIp: '192.168.1.9' }] });
    expect(config.peers[1]).not.toHaveProperty('exposed');
  });

  test.each([
    ['tcp/443:192.168.2.9', '192.168.2.9 is not behind the peer'],
    ['udp/9000-11000', "UDP port 10000 is the tunnel's own"],
    ['[2001:db8::7]:tcp/443', 'no IPv6 address inside the tunnel'],
    ['tcp/443', 'other ports than in line 8, which has tcp/400-500'],
  ])('must be right: %s', (services, words) => {
    const office = `${OFFICE}allowed-ips 10.3.0.0/16\nexpose ${services}\n`;
    const text = `${HOME}expose tcp/400-500\n${office}`;
    expect(configError(text).message).toContain(words);
  });

  test('an address of the internet is among those that its peer is allowed, or the client’s own', () => {
    const { config } = resolveRun(`${HOME}public-ip 198.51.100.7\n${OFFICE}`);
    expect(config.peers[0]).toMatchObject({ publicIps: ['198.51.100.7'] });
    expect(config.peers[0]?.allowedIps).toContainEqual({ ip: '198.51.100.7', length: 32 });
    const client = `tunl-ip 10.9.0.1\nfou-remote 192.0.2.1:10000\nauth-key-b64 ${PRIVATE_KEY}\n`;
    const { config: own } = resolveRun(`client\n${client}auth-secret s\npublic-ip 198.51.100.7`);
    expect(own.returnPath).toEqual({ table: undefined, mark: undefined });
    expect(own.peers[0]?.allowedIps).toBe('any');
  });

  test.each([
    ['public-ip 172.28.0.2', 'besides those inside the tunnel'],
    ['public-ip 2001:db8::7', 'no IPv6'],
    ['public-ip 224.0.0.1', 'addresses as in'],
  ])('a public address must be one: %s', (line, words) => {
    expect(configError(`${HOME}${OFFICE}${line}`).message).toContain(words);
  });

  test('a public address is one peer’s, and needs a section', () => {
    const both = `${HOME}public-ip 198.51.100.7\n${OFFICE}public-ip 198.51.100.7`;
    expect(configError(both).message).toContain('198.51.100.7');
    expect(configError(`${HEAD}auth-token t\npublic-ip 198.51.100.7`).message).toContain(
      'a section of its own',
    );
  });

  test('belongs to servers, and the return path to clients', () => {
    const client = `tunl-ip 10.9.0.1\nfou-remote 192.0.2.1:10000\nauth-key-b64 ${PRIVATE_KEY}\n`;
    expect(configError(`client\n${client}expose tcp/1`).message).toContain('is for a server');
    expect(configError(`${HEAD}auth-token t\nreturn-path tunnel`).message).toContain(
      'is for a client',
    );
    const { warnings } = resolveRun(
      `${client}auth-secret s\nallowed-ips 10.0.0.0/8\nreturn-path tunnel`,
    );
    expect(warnings.join('\n')).toContain('visitors come from anywhere');
  });
});
