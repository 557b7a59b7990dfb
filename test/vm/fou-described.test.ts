import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUTH_V1_LENGTHS } from '../../src/core/auth/trailer.ts';
import { ipBatch } from '../../src/adapters/lab/namespaces.ts';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { millis } from '../../src/core/units.ts';
import type { TunnelStatus } from '../../src/ports/control.ts';
import { DESCRIBED, Hosts, changed, type Daemon } from '../rig/daemon.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { addressesSettled, expectNoPing, expectPing, iperf, whatIsThere } from '../rig/traffic.ts';

/*
 * The description's two configs, verbatim, on the kernel's FOU. The topology is drawn at the head of
 * src/adapters/lab/topology.ts; two clients are behind one NAT address here.
 */
let lab: Topology;
let hosts: Hosts;
const inner = innerAddresses(0);
const second = innerAddresses(1);

beforeAll(async () => {
  lab = await up({ clients: 2 });
  hosts = await Hosts.in(lab);
  await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

describe('the described configs on fou', () => {
  let server: Daemon;
  let client: Daemon;
  let before: readonly string[];

  beforeAll(async () => {
    before = [await whatIsThere(lab, lab.server), await whatIsThere(lab, lab.client())];
    await expectNoPing(lab, lab.server, lab.clientAddress());
    server = await hosts.start(lab.server, DESCRIBED.server);
    await server.ready();
  });

  it('keep what is meant for the client inside before it is there', async () => {
    const wayTo = async () => lab.exec(lab.server, ['ip', 'route', 'get', inner.client]);
    await ipBatch(lab.server, ['route add default dev eth0']);
    expect(await wayTo()).toMatchObject({ stdout: '' });
    await ipBatch(lab.server, ['route del default dev eth0']);
  });

  it('bring the tunnel up, on fou, with a verified reply', async () => {
    client = await hosts.start(lab.client(), DESCRIBED.client);
    const there = await client.until('replied to', (status) => status.repliesVerified > 0);
    expect(there).toMatchObject({ plane: 'fou', phase: 'established', mtu: 1472 });
    expect(await server.established()).toMatchObject({
      plane: 'fou',
      path: { remote: { ip: lab.natAddress(), port: 10_000 } },
    });
  });

  it('let the server reach the client that it could not reach before, and back', async () => {
    await expectPing(lab, lab.server, inner.client);
    await expectPing(lab, lab.client(), inner.server);
  });

  it('carry TCP both ways', async () => {
    expect(await iperf(lab, lab.client(), lab.server, inner.server)).toBeGreaterThan(1e6);
    expect(await iperf(lab, lab.client(), lab.server, inner.server, true)).toBeGreaterThan(1e6);
  });

  it('show what is going on, in text and as JSON, without secrets', async () => {
    const json = await hosts.run(lab.server, ['show', '--json']);
    expect(json.code).toBe(0);
    const parsed: unknown = JSON.parse(json.stdout);
    expect(JSON.stringify(parsed)).toContain('"plane":"fou"');
    const text = await hosts.run(lab.server, ['show']);
    expect(text.stdout).toContain('203.0.113.2:10000');
    for (const secret of ['topsecret', 'RuBZkT23']) {
      expect(json.stdout + text.stdout + server.program.output()).not.toContain(secret);
    }
  });

  it('serve a second client behind the same address at the same time', async () => {
    const serverTwo = await hosts.start(
      lab.server,
      changed(DESCRIBED.server, 'number 1', 'fou-local-port 10001', '-tunl-ip'),
      'ipipou1',
    );
    await serverTwo.ready();
    const clientTwo = await hosts.start(
      lab.client(1),
      changed(DESCRIBED.client, 'fou-remote 203.0.113.1:10001', `tunl-ip ${second.client}`),
    );
    await clientTwo.until('replied to', (status) => status.repliesVerified > 0);
    const status = await serverTwo.established();
    expect(status.localAlt).toBe('172.29.0.1');
    await Promise.all([
      expectPing(lab, lab.server, inner.client),
      expectPing(lab, lab.server, second.client),
      expectPing(lab, lab.client(1), second.server),
    ]);
    expect(await iperf(lab, lab.client(1), lab.server, second.server)).toBeGreaterThan(1e6);
    expect(await iperf(lab, lab.client(1), lab.server, second.server, true)).toBeGreaterThan(1e6);
    expect([await serverTwo.stop(), await clientTwo.stop()]).toEqual([0, 0]);
    await expectPing(lab, lab.server, inner.client);
  });

  it('re-authenticate on SIGUSR1 and survive other user signals', async () => {
    const sent = (await client.ready()).authPacketsSent;
    client.program.signal('SIGUSR2');
    client.program.signal('SIGUSR1');
    await client.until('sent again', (status) => status.authPacketsSent > sent);
  });

  it('end on SIGTERM with the machine as it was', async () => {
    expect([await client.stop(), await server.stop()]).toEqual([0, 0]);
    expect(await whatIsThere(lab, lab.server)).toBe(before[0]);
    expect(await whatIsThere(lab, lab.client())).toBe(before[1]);
    const tracked = await lab.exec(lab.server, ['conntrack', '-L', '-p', 'udp']);
    expect(tracked.stdout).not.toContain('port=10000');
  });
});

describe('schemes, timers and encapsulation on fou', () => {
  /** Both sides up with these changes; the server's status once the client has its reply. */
  async function pair(
    serverChanges: readonly string[],
    clientChanges: readonly string[],
    check: (server: Daemon, client: Daemon, status: TunnelStatus) => Promise<void>,
  ): Promise<void> {
    const [server, client] = await Promise.all([
      hosts.start(lab.server, changed(DESCRIBED.server, ...serverChanges)),
      hosts.start(lab.client(), changed(DESCRIBED.client, ...clientChanges)),
    ]);
    try {
      await client.until('replied to', (status) => status.repliesVerified > 0);
      await check(server, client, await server.established());
    } finally {
      await Promise.all([server.stop(), client.stop()]);
    }
  }

  it.each([
    {
      what: 'a token',
      server: ['-auth-remote-pubkey-b64', '-auth-secret', 'auth-token Excellent words'],
      client: ['-auth-key-b64', '-auth-secret', 'auth-token Excellent words'],
      checksum: 'encap-csum',
    },
    {
      what: 'nothing but the address and port',
      server: [
        ...['-auth-remote-pubkey-b64', '-auth-secret', 'auth-by-remote-ip'],
        ...['auth-by-remote-port', 'fou-remote 203.0.113.2:10000'],
      ],
      client: ['-auth-key-b64', '-auth-secret'],
      checksum: 'encap-csum',
    },
    {
      what: 'nothing at all',
      server: ['-auth-remote-pubkey-b64', '-auth-secret'],
      client: ['-auth-key-b64', '-auth-secret'],
      checksum: 'no-encap-csum',
    },
    {
      what: 'keys on both sides, with a signed reply',
      server: ['auth-key-b64 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=', 'session v1'],
      client: ['auth-remote-pubkey-b64 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=', 'session v1'],
      checksum: 'no-encap-csum',
    },
  ])(
    'authenticate with $what, encapsulate with $checksum',
    async ({ server, client, checksum }) => {
      await pair([...server, checksum], [...client, checksum], async () => {
        await expectPing(lab, lab.server, inner.client);
        const link = await lab.exec(lab.server, ['ip', '-d', 'link', 'show', 'ipipou0']);
        expect(link.stdout.includes(' encap-csum ')).toBe(checksum === 'encap-csum');
      });
    },
  );

  it('refuse a wrong secret', async () => {
    await using server = await hosts.start(lab.server, DESCRIBED.server);
    await server.ready();
    await using client = await hosts.start(
      lab.client(),
      changed(DESCRIBED.client, 'auth-secret other'),
    );
    await server.until('refusing', (status) => (status.refused['signature'] ?? 0) > 0);
    expect((await client.ready()).repliesVerified).toBe(0);
    await expectNoPing(lab, lab.client(), inner.server);
  });

  it('forget a client that was silent for longer than its lifetime', async () => {
    await pair(
      ['auth-lifetime 1', 'connection-idle 2'],
      ['keepalive 0'],
      async (server, client) => {
        await expectPing(lab, lab.server, inner.client);
        await client.kill();
        await lab.exec(lab.client(), ['ip', 'link', 'del', 'ipipou0']);
        await server.until('forgotten', (status) => status.path === undefined);
        const link = await lab.exec(lab.server, ['ip', 'link', 'show', 'ipipou0']);
        expect(link.code).not.toBe(0);
      },
    );
    await hosts.run(lab.client(), ['down', 'ipipou0']);
  });

  it('set the MTU that is asked for, and the TTL of authentication packets', async () => {
    // `len` counts the headers of Ethernet, IPv4 and UDP.
    const ofLength = AUTH_V1_LENGTHS.map((length) => `len = ${length + 14 + 20 + 8}`).join(' or ');
    const filter = `udp and dst port 10000 and (${ofLength})`;
    const dump = lab.spawn(lab.client(), ['tcpdump', '-nlvi', 'eth0', '-c1', filter]);
    await dump.waitFor(/listening on/);
    await pair(['mtu 1200'], ['mtu 1300', 'auth-packet-ttl 17'], async (server, client) => {
      expect((await server.ready()).mtu).toBe(1200);
      expect((await client.ready()).mtu).toBe(1300);
      await dump.waitFor(/ttl 17, /, millis(20_000));
      expect(dump.output()).toMatch(/udp sum ok|10000 > /);
    });
  });

  it('keep to the alternative address when told to, and leave a firewall its word and its rules', async () => {
    const firewall =
      'add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; add rule inet filter input udp dport 10000 accept; add rule inet filter input iifname "ipipou0" accept';
    expect(await lab.exec(lab.server, ['nft', firewall])).toMatchObject({ code: 0 });
    await pair(
      ['force-fou-local-ip-alt', 'fou-local-ip-alt 172.29.9.9'],
      [],
      async (_server, _client, status) => {
        expect(status.localAlt).toBe('172.29.9.9');
        await expectPing(lab, lab.client(), inner.server);
      },
    );
    const addresses = await lab.exec(lab.server, ['ip', '-o', 'addr']);
    expect(addresses.stdout).not.toContain('172.29.9.9');
    const rules = await lab.exec(lab.server, ['nft', 'list', 'ruleset']);
    expect(rules.stdout).toContain('udp dport 10000 accept');
    await lab.exec(lab.server, ['nft', 'delete', 'table', 'inet', 'filter']);
  });
});
