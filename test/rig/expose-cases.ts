import { describe, expect, test } from 'vitest';
import { changed, DESCRIBED } from './daemon.ts';
import { succeeds } from './patience.ts';
import { whatIsThere } from './traffic.ts';
import {
  nobody,
  SERVER,
  SERVER6,
  themselves,
  VISITORS,
  VISITORS6,
  type VisitorScene,
} from './visitor-scene.ts';

export const serverConfig = (plane: string, ...more: readonly string[]): string[] =>
  changed(
    DESCRIBED.server,
    `dataplane ${plane}`,
    'tunl-ip 172.28.0.0,fd28::',
    'tunl-peer-ip 172.28.0.1,fd28::1',
    'allowed-ips 172.20.0.0/24',
    ...more,
  );

export const clientConfig = (plane: string, ...more: readonly string[]): string[] =>
  changed(
    DESCRIBED.client,
    `dataplane ${plane}`,
    'tunl-ip 172.28.0.1,fd28::1',
    'tunl-peer-ip 172.28.0.0,fd28::',
    'keepalive 1',
    'return-path tunnel',
    ...more,
  );

const everything =
  'expose tcp/443, tcp/2222:443, udp/27010-27020, tcp/8080, tcp/8444:172.20.0.2:444';

/** What is `reached` of a client's is so again when it comes by another port, and then from another address. */
export async function roams(
  lab: VisitorScene['base']['lab'],
  reached: () => Promise<void>,
): Promise<void> {
  await lab.remapNat();
  await succeeds(reached);
  await lab.changeClientAddress();
  await succeeds(reached);
}

/** What visitors see on a data plane, while it works and when it is disturbed. */
export function describeExposed(
  plane: string,
  { base, visitor, sure, serve, visit, both }: VisitorScene,
): void {
  describe(`dataplane ${plane}`, () => {
    test('services are reached, and see who visits them', async () => {
      const { lab, hosts } = base;
      const before = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      const daemons = await both(serverConfig(plane, everything), clientConfig(plane));

      expect(await visit('tcp/443', { from: VISITORS, seconds: 30 })).toEqual(themselves(VISITORS));
      expect(await visit('udp/27015', { from: VISITORS, seconds: 30 })).toEqual(
        themselves(VISITORS),
      );
      expect(await visit('tcp/2222')).toEqual(themselves(VISITORS.slice(0, 2)));
      // At another address of the server's, and in IPv6.
      expect(await visit('tcp/443', { to: '198.51.100.1' })).toEqual(
        themselves(VISITORS.slice(0, 2)),
      );
      expect(await visit('tcp/443', { to: SERVER6, from: VISITORS6 })).toEqual(
        themselves(VISITORS6),
      );
      expect(await visit('udp/27015', { to: SERVER6, from: VISITORS6 })).toEqual(
        themselves(VISITORS6),
      );
      // In a container whose port is published, and on a host behind the client.
      expect(await visit('tcp/8080')).toEqual(themselves(VISITORS.slice(0, 2)));
      expect(await visit('tcp/8444')).toEqual(themselves(VISITORS.slice(0, 2)));
      // From the server itself, and from home by the public address.
      expect(await visit('tcp/443', { namespace: lab.server, from: [SERVER] })).toEqual({
        [SERVER]: SERVER,
      });
      const home = lab.clientAddress();
      expect(await visit('tcp/443', { namespace: lab.client(), from: [home] })).toEqual({
        [home]: lab.natAddress(),
      });
      // Nothing else.
      expect(await visit('tcp/80', { seconds: 2 })).toEqual(nobody(VISITORS.slice(0, 2)));

      const shown = (await hosts.run(lab.server, ['show', 'ipipou0'])).stdout;
      expect(shown).toMatch(/exposed +tcp\/443: \d+ connections, \d+\.\d MiB in \d+ packets$/m);
      expect(shown).toContain(`udp/27010-27020: ${VISITORS.length + VISITORS6.length} connections`);
      expect(daemons.server.program.output()).toContain('net.ipv4.ip_forward value=1 before=0');
      expect(daemons.client.program.output()).toContain(
        'what comes by the tunnel is answered by it',
      );

      expect(await daemons.server.stop()).toBe(0);
      expect(await daemons.client.stop()).toBe(0);
      const after = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      expect(after).toEqual(before);
    });

    test('what others flush is put back, and a killed server goes on', async () => {
      const { lab, hosts } = base;
      const before = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      const daemons = await both(serverConfig(plane, everything), clientConfig(plane));
      await sure(lab.server, ['nft', 'delete', 'table', 'inet', 'ipipou-expose-ipipou0']);
      await sure(lab.client(), ['nft', 'delete', 'table', 'inet', 'ipipou-return-ipipou0']);
      const [, table = ''] = /table=(\d+)/.exec(daemons.client.program.output()) ?? [];
      await sure(lab.client(), ['ip', 'route', 'flush', 'table', table]);
      await sure(lab.client(), ['ip', 'rule', 'del', 'priority', '14800']);
      await succeeds(async () =>
        expect(await visit('tcp/443', { seconds: 1 })).toEqual(themselves(VISITORS.slice(0, 2))),
      );
      expect(daemons.server.program.output()).toContain('put back what was changed from outside');
      expect(daemons.client.program.output()).toContain('put back what was changed from outside');

      await Promise.all([daemons.server.kill(), daemons.client.kill()]);
      if (plane !== 'tun') {
        expect(await visit('tcp/443')).toEqual(themselves(VISITORS.slice(0, 2)));
      }
      // A start with less takes over, and cleans up what is no longer wanted.
      const again = await both(serverConfig(plane, 'expose tcp/2222:443'), clientConfig(plane));
      expect(await visit('tcp/2222')).toEqual(themselves(VISITORS.slice(0, 2)));
      expect(await visit('tcp/443', { seconds: 2 })).toEqual(nobody(VISITORS.slice(0, 2)));
      await Promise.all([again.server.kill(), again.client.kill()]);
      for (const namespace of [lab.server, lab.client()]) {
        expect(await hosts.run(namespace, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
      }
      const after = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      expect(after).toEqual(before);
    });

    test('an address of the internet is the client’s own, in and out', async () => {
      const { lab, hosts } = base;
      const before = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      const [ip, ip6] = ['198.51.100.200', '2001:db8:51::200'];
      const option = `public-ip ${ip}, ${ip6}`;
      const daemons = await both(serverConfig(plane, option), clientConfig(plane, option));
      const outside = await serve(visitor, '446');
      const works = async (): Promise<void> => {
        expect(await visit('tcp/443', { to: ip })).toEqual(themselves(VISITORS.slice(0, 2)));
        expect(await visit('udp/27015', { to: ip })).toEqual(themselves(VISITORS.slice(0, 2)));
        expect(await visit('tcp/443', { to: ip6, from: VISITORS6 })).toEqual(themselves(VISITORS6));
        const own = { namespace: lab.client(), from: [ip], to: VISITORS[0] ?? '' };
        expect(await visit('tcp/446', own)).toEqual({ [ip]: ip });
        const own6 = { namespace: lab.client(), from: [ip6], to: VISITORS6[0] ?? '' };
        expect(await visit('tcp/446', own6)).toEqual({ [ip6]: ip6 });
      };
      await works();
      const shown = (await hosts.run(lab.server, ['show', 'ipipou0'])).stdout;
      expect(shown).toMatch(/exposed +public-ip 198\.51\.100\.200: \d+ connections, /);
      expect((await hosts.run(lab.client(), ['show', 'ipipou0'])).stdout).toContain(
        `public address ${ip6}`,
      );

      await sure(lab.server, ['ip', 'neigh', 'del', 'proxy', ip, 'dev', 'v0']);
      await sure(lab.server, ['nft', 'delete', 'table', 'inet', 'ipipou-expose-ipipou0']);
      await sure(lab.client(), ['ip', 'addr', 'del', `${ip}/32`, 'dev', 'ipipou0']);
      await succeeds(async () => {
        expect(await sure(lab.server, ['ip', 'neigh', 'show', 'proxy'])).toContain(ip);
        expect(await visit('tcp/443', { to: ip, seconds: 1 })).toEqual(
          themselves(VISITORS.slice(0, 2)),
        );
      });

      await Promise.all([daemons.server.kill(), daemons.client.kill()]);
      if (plane !== 'tun') await works();
      const again = await both(serverConfig(plane, option), clientConfig(plane, option));
      await works();
      await outside.stop();
      expect(await again.server.stop()).toBe(0);
      expect(await again.client.stop()).toBe(0);
      expect(await sure(lab.server, ['ip', 'neigh', 'show', 'proxy'])).toBe('');
      expect(await sure(lab.server, ['sysctl', '-n', 'net.ipv6.conf.v0.proxy_ndp'])).toBe('0\n');
      const after = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      expect(after).toEqual(before);
    });
  });
}
