import { beforeEach, describe, expect, test } from 'vitest';
import { changed, DESCRIBED, type Daemon } from './daemon.ts';
import { NAME, SEEN, SEEN6, WORLD, WORLD6, type FullTunnelScene } from './full-tunnel-scene.ts';
import { succeeds } from './patience.ts';
import { expectPing, whatIsThere } from './traffic.ts';
import { millis } from '../../src/core/units.ts';
import { ip } from './addresses.ts';

export const fullServer = (plane: string, ...more: readonly string[]): string[] =>
  changed(
    DESCRIBED.server,
    ...[`dataplane ${plane}`, '-fou-dev', 'tunl-ip 172.28.0.0,fd28::', 'masquerade'],
    'tunl-peer-ip 172.28.0.1,fd28::1',
    ...more,
  );

export const fullClient = (plane: string, ...more: readonly string[]): string[] =>
  changed(
    DESCRIBED.client,
    ...[`dataplane ${plane}`, '-fou-local', 'keepalive 1', 'dead-peer-timeout 2'],
    'tunl-ip 172.28.0.1,fd28::1',
    'tunl-peer-ip 172.28.0.0,fd28::',
    'allowed-ips 0.0.0.0/0,::/0',
    'table auto',
    ...more,
  );

/** A client whose default route is the tunnel, on a data plane. `patient`: the plane is emulated. */
export function describeFullTunnel(plane: string, scene: FullTunnelScene): void {
  const { base, sure, seenAs, connect, container } = scene;

  /** A server and a client that have met. */
  async function both(
    ...more: readonly string[]
  ): Promise<{ readonly server: Daemon; readonly client: Daemon }> {
    const { lab, start } = base;
    const server = await start(lab.server, fullServer(plane));
    const client = await start(lab.client(), fullClient(plane, ...more));
    await client.established();
    await server.established();
    return { server, client };
  }

  const throughTunnel = async (): Promise<void> => {
    await succeeds(async () => expect(await seenAs(base.lab.client())).toBe(SEEN), 20_000);
  };

  describe(`everything by ${plane}`, () => {
    beforeEach(connect);

    test('goes through the tunnel, and leaves nothing behind', async () => {
      const { lab, hosts } = base;
      const before = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      const { server, client } = await both();
      await throughTunnel();
      await succeeds(async () => expect(await seenAs(lab.client(), WORLD6)).toBe(SEEN6));
      expect(await seenAs(container())).toBe(SEEN);
      // What the host has routes to stays outside: its networks.
      await expectPing(lab, lab.client(), ip('192.168.0.1'));
      await expectPing(lab, lab.client(), ip('192.168.9.1'));
      expect(await sure(lab.client(), ['ip', 'route', 'get', '203.0.113.1'])).toContain('dev eth0');
      const shown = (await hosts.run(lab.client(), ['show', 'ipipou0'])).stdout;
      expect(shown).toMatch(
        /around it +0\.0\.0\.0\/0, ::\/0 by routing table \d+, but 203\.0\.113\.1$/m,
      );
      expect((await hosts.run(lab.server, ['show', 'ipipou0'])).stdout).toMatch(/masqueraded/);
      // Told: the filter of the outer device.
      expect(client.program.output()).toMatch(/conf\.eth0\.rp_filter.*value=2 before=0/);
      expect(client.program.output()).toMatch(/led into the tunnel/);
      expect(await client.stop()).toBe(0);
      expect(await server.stop()).toBe(0);
      const after = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
      expect(after).toEqual(before);
    });

    test('leaves the outer path open whatever becomes of the routes and the server', async () => {
      const { lab } = base;
      const name = lab.client();
      await both();
      await throughTunnel();
      // A lease that is renewed takes the default route away and brings it back.
      await sure(name, ['ip', 'route', 'del', 'default', 'dev', 'eth0']);
      await throughTunnel();
      expect(await sure(name, ['ip', 'route', 'get', '203.0.113.1'])).toContain('dev eth1');
      await sure(name, ['ip', 'route', 'replace', 'default', 'via', '192.168.0.1', 'metric', '50']);
      await throughTunnel();
      expect(await sure(name, ['ip', 'route', 'get', '203.0.113.1'])).toContain('dev eth0');
      // No uplink at all.
      await sure(name, ['ip', 'route', 'flush', 'exact', 'default']);
      expect(await seenAs(name)).toMatch('no answer');
      await connect();
      await throughTunnel();
      await sure(name, ['ip', 'link', 'set', 'eth0', 'down']);
      await throughTunnel();
      // Another network.
      await connect();
      await lab.changeClientAddress();
      await connect();
      await throughTunnel();
    });

    test('follows a server whose name has another address', async () => {
      const { lab } = base;
      await lab.setNames({ [NAME]: [ip('203.0.113.1')] });
      const { client } = await both(`fou-remote ${NAME}:10000`);
      await throughTunnel();
      await lab.setNames({ [NAME]: [ip('203.0.113.7')] });
      // Whatever the plane, nobody is there now.
      await sure(lab.router, ['ip', 'route', 'add', 'blackhole', '203.0.113.1']);
      try {
        await client.until('elsewhere', ({ path }) => path?.remote.ip === '203.0.113.7');
        await throughTunnel();
        expect(await sure(lab.client(), ['ip', 'route', 'get', '203.0.113.7'])).toContain(
          'dev eth0',
        );
      } finally {
        await sure(lab.router, ['ip', 'route', 'del', 'blackhole', '203.0.113.1']);
      }
    });

    test('over IPv6 outside as well', async () => {
      const { lab } = base;
      await both('fou-remote [2001:db8::1]:10000');
      await throughTunnel();
      await succeeds(async () => expect(await seenAs(lab.client(), WORLD6)).toBe(SEEN6));
      expect(await sure(lab.client(), ['ip', '-6', 'route', 'get', '2001:db8::1'])).toContain(
        'dev eth0',
      );
    });

    test('is put back when others take it away, and survives kill -9', async () => {
      const { lab, hosts } = base;
      const name = lab.client();
      const before = await whatIsThere(lab, name);
      const { client } = await both();
      await throughTunnel();
      const [, table = ''] = /table (\d+)/.exec(client.program.output()) ?? [];
      for (const family of ['-4', '-6']) {
        await sure(name, ['ip', family, 'rule', 'del', 'table', table]);
        await sure(name, ['ip', family, 'rule', 'del', 'priority', '32600']);
      }
      await throughTunnel();
      for (const doomed of [['throw', '203.0.113.1'], ['default']]) {
        await sure(name, ['ip', 'route', 'del', ...doomed, 'table', table]);
        await throughTunnel();
      }
      await sure(name, ['ip', 'route', 'flush', 'table', table]);
      await throughTunnel();
      expect(client.program.output()).toContain('put back what was changed from outside');

      await client.kill();
      if (plane !== 'tun') await throughTunnel();
      const again = await base.start(name, fullClient(plane));
      await again.established();
      await throughTunnel();
      expect(await sure(name, ['ip', 'rule'])).toContain(`lookup ${table}`);
      // Another config has what it wants, and nothing of the one before.
      await again.kill();
      const other = await base.start(name, fullClient(plane, 'table 7777'));
      await other.established();
      expect(await sure(name, ['ip', 'rule'])).not.toContain(`lookup ${table}`);
      expect(await sure(name, ['ip', 'route', 'show', 'table', '7777'])).toMatch(
        /default dev ipipou0/,
      );
      await other.kill();
      expect(await hosts.run(name, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
      expect(await whatIsThere(lab, name)).toEqual(before);
    });
  });
}

/** Whatever becomes of the tunnel, nothing leaves beside it. */
export function describeKillSwitch(plane: string, scene: FullTunnelScene): void {
  const { base, sure, seenAs, connect, container, watchLeaks } = scene;
  const TABLE = ['nft', 'list', 'table', 'inet', 'ipipou-kill-ipipou0'];

  /** Everything that a host may want to send, again and again, until the lab is taken down or it is stopped. */
  async function chatter(): Promise<AsyncDisposable> {
    const { lab } = base;
    const hosts = [WORLD, WORLD6, '192.168.0.1', '192.168.9.1', '203.0.113.1', '2001:db8:1::1'];
    const programs = [
      ...hosts.map((host) => lab.spawn(lab.client(), ['ping', '-qi0.2', host])),
      ...[WORLD, '192.168.0.1'].map((host) => lab.spawn(container(), ['ping', '-qi0.2', host])),
      lab.spawn(lab.client(), ['ping', '-qi0.2', '-I', 'eth1', WORLD]),
    ];
    return {
      async [Symbol.asyncDispose]() {
        await Promise.all(programs.map((program) => program.stop('SIGINT')));
      },
    };
  }

  const throughTunnel = async (): Promise<void> => {
    await succeeds(async () => expect(await seenAs(base.lab.client())).toBe(SEEN), 20_000);
  };

  describe(`kill switch with ${plane}`, () => {
    beforeEach(connect);

    test('keeps everything in, while the tunnel starts, runs, is killed, roams and is dead', async () => {
      const { lab, hosts, start } = base;
      const name = lab.client();
      // A link that was down has its routes in another order.
      const sorted = async () => (await whatIsThere(lab, name)).split('\n').toSorted();
      const before = await sorted();
      const server = await start(lab.server, fullServer(plane));
      const config = fullClient(plane, 'kill-switch strict');
      const client = await start(name, config);
      await succeeds(async () => sure(name, TABLE));
      const leaks = await watchLeaks();
      {
        await using _ = await chatter();
        await client.established();
        await throughTunnel();
        await client.kill();
        if (plane === 'tun') expect(await seenAs(name)).toBe('no answer');
        else await throughTunnel();
        const again = await start(name, config);
        await again.established();
        await throughTunnel();
        await lab.changeClientAddress();
        await connect();
        await throughTunnel();
        await sure(name, ['ip', 'link', 'set', 'eth0', 'down']);
        await throughTunnel();
        await connect();
        await server.stop();
        expect(await seenAs(name)).toBe('no answer');
        const shown = (await hosts.run(name, ['show', 'ipipou0'])).stdout;
        expect(shown).toMatch(/around it +kill switch: [1-9]\d* packets were kept from leaving/);
        await again.kill();
        expect(await seenAs(name)).toBe('no answer');
        expect(await leaks.end()).toEqual([]);
        // Who watches would have seen it.
        const open = await watchLeaks();
        expect(await hosts.run(name, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
        await seenAs(name);
        expect(await open.end()).not.toEqual([]);
      }
      await lab.changeClientAddress();
      await connect();
      expect(await sorted()).toEqual(before);
    });

    test('stays when the tunnel cannot be, and lets the networks at home be', async () => {
      const { lab, hosts, start } = base;
      const name = lab.client();
      const before = await whatIsThere(lab, name);
      await sure(name, ['ip', 'link', 'add', 'ipipou0', 'type', 'bridge']);
      const failed = await start(name, fullClient(plane, 'kill-switch lan'));
      expect((await failed.program.finished).code).not.toBe(0);
      expect(failed.program.output()).toContain('nothing leaves until the tunnel runs again');
      await sure(name, ['ip', 'link', 'del', 'ipipou0']);
      await sure(name, TABLE);
      const server = await start(lab.server, fullServer(plane));
      const client = await start(name, fullClient(plane, 'kill-switch lan'));
      await client.established();
      await throughTunnel();
      await expectPing(lab, name, ip('192.168.0.1'));
      await expectPing(lab, container(), ip('192.168.0.1'));
      await sure(name, ['nft', 'delete', 'table', 'inet', 'ipipou-kill-ipipou0']);
      await succeeds(async () => sure(name, TABLE));
      expect(await client.stop()).toBe(0);
      expect(await server.stop()).toBe(0);
      expect(await hosts.run(name, ['down', 'ipipou0'])).not.toMatchObject({ code: 0 });
      expect(await whatIsThere(lab, name)).toEqual(before);
    });
  });
}

/** The whole of it in one go, for a guest that is emulated: everything takes `slowness` times as long. */
export function describeFullTunnelOnce(
  plane: string,
  { base, sure, seenAs, connect, watchLeaks }: FullTunnelScene,
  slowness: number,
): void {
  const patiently = millis(30_000 * slowness);
  const throughTunnel = async (): Promise<void> => {
    await succeeds(
      async () => expect(await seenAs(base.lab.client(), WORLD, slowness)).toBe(SEEN),
      patiently,
    );
  };

  test(
    `everything by ${plane}: never cut, nothing beside it, nothing left`,
    async () => {
      const { lab, hosts, start } = base;
      const name = lab.client();
      await connect();
      const rules = async (): Promise<string> =>
        (await sure(name, ['sh', '-c', 'ip rule; ip -6 rule; ip route; nft list tables'])).trim();
      const before = await rules();
      const server = await start(lab.server, fullServer(plane));
      await server.ready(patiently);
      const config = fullClient(plane, 'dead-peer-timeout 60', 'kill-switch strict');
      const client = await start(name, config);
      await client.established(patiently);
      const leaks = await watchLeaks();
      await throughTunnel();
      // A lease is renewed; the rules and the table go, and come back.
      await sure(name, ['ip', 'route', 'del', 'default', 'dev', 'eth0']);
      await throughTunnel();
      const [, table = ''] = /table (\d+)/.exec(client.program.output()) ?? [];
      await sure(name, ['ip', 'rule', 'del', 'table', table]);
      await sure(name, ['ip', 'route', 'flush', 'table', table]);
      await throughTunnel();
      expect(client.program.output()).toContain('put back what was changed from outside');
      await client.kill();
      await throughTunnel();
      const again = await start(name, config);
      await again.established(patiently);
      expect(await sure(name, ['ip', 'rule'])).toContain(`lookup ${table}`);
      await throughTunnel();
      await again.kill();
      expect(await leaks.end()).toEqual([]);
      expect(await hosts.run(name, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
      await connect();
      expect(await rules()).toBe(before);
    },
    240_000 * slowness,
  );
}
