import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRawUdp } from '../../src/adapters/raw-socket.ts';
import {
  NAT_ADDRESSES,
  SERVER_ADDRESS,
  up,
  type Topology,
} from '../../src/adapters/lab/topology.ts';
import type { Endpoint } from '../../src/core/addr.ts';
import { EXIT } from '../../src/core/exit-codes.ts';
import { millis, port } from '../../src/core/units.ts';
import { describeAttacks } from '../rig/attack-cases.ts';
import { labScene } from '../rig/lab-scene.ts';
import { DESCRIBED, Hosts, changed, type Daemon } from '../rig/daemon.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { innerAddresses } from '../rig/addresses.ts';
import {
  expectNoPing,
  expectNothingLost,
  expectPing,
  innerEcho,
  received,
  whatIsThere,
} from '../rig/traffic.ts';
import { patience } from '../rig/patience.ts';

/*
 * Who does not come in, and what stays when the daemon is gone. The router plays the stranger: it has
 * the client's public address. The topology is drawn at the head of src/adapters/lab/topology.ts.
 */
let lab: Topology;
let hosts: Hosts;
let server: Daemon;
let client: Daemon;
const inner = innerAddresses(0);
const [natAddress] = NAT_ADDRESSES;
const tunnelPort = port(10_000);

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  server = await hosts.start(lab.server, DESCRIBED.server);
  await server.ready();
  client = await hosts.start(lab.client(), changed(DESCRIBED.client, 'keepalive 5'));
  await client.until('replied to', (status) => status.repliesVerified > 0);
});

afterAll(async () => {
  await client.stop();
  await server.stop();
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

/** Sends an inner echo request in UDP from `source` to the server's tunnel port, past any socket. */
function inject(namespace: string, source: Endpoint, count = 5): void {
  const raw = inNamespace(namespace, () => openRawUdp());
  for (let i = 0; i < count; i++) {
    raw.send({
      path: { local: source, remote: { ip: SERVER_ADDRESS, port: tunnelPort } },
      payload: innerEcho(inner.client, inner.server),
      ttl: 64,
    });
  }
  raw.close();
}

/** Packets that come out of the server's tunnel device while `action` runs and a ping follows it. */
async function comesOut(action: () => void | Promise<void>): Promise<number> {
  const before = await received(lab, lab.server, 'ipipou0');
  await action();
  // One packet through the same queue-less path behind them: when it is answered, they have passed.
  await expectPing(lab, lab.client(), inner.server);
  return (await received(lab, lab.server, 'ipipou0')) - before - 1;
}

async function expectStrangersShutOut(): Promise<void> {
  const fromOtherPort = () => inject(lab.router, { ip: natAddress, port: port(5555) });
  expect(await comesOut(fromOtherPort), 'from the client address, another port').toBe(0);
  const fromOtherAddress = () => inject(lab.router, { ip: NAT_ADDRESSES[1], port: tunnelPort });
  expect(await comesOut(fromOtherAddress), 'from another address, the client port').toBe(0);
}

async function addBareIpip(): Promise<void> {
  const argv = ['ip', 'link', 'add', 'bare', 'type', 'ipip'];
  await lab.exec(lab.router, [...argv, 'local', natAddress, 'remote', SERVER_ADDRESS]);
  await lab.exec(lab.router, [
    'ip',
    'addr',
    'add',
    inner.client,
    'peer',
    inner.server,
    'dev',
    'bare',
  ]);
  await lab.exec(lab.router, ['ip', 'link', 'set', 'bare', 'up']);
}

describe('with the daemon', () => {
  it('sees what is injected on the admitted path, so that the other tests mean something', async () => {
    const fromClient = () => inject(lab.client(), { ip: lab.clientAddress(), port: tunnelPort }, 5);
    expect(await comesOut(fromClient)).toBe(5);
  });

  it('lets nothing out of the tunnel that comes from another port or address', async () => {
    await expectStrangersShutOut();
    const { refused } = await server.ready();
    expect(Object.values(refused).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  });

  it('takes no bare IPIP from the admitted address', async () => {
    await addBareIpip();
    const out = await comesOut(async () => expectNoPing(lab, lab.router, inner.server));
    expect(out).toBe(0);
    await lab.exec(lab.router, ['ip', 'link', 'del', 'bare']);
  });

  it('answers a flood of junk with nothing, and still refreshes', async () => {
    const raw = inNamespace(lab.router, () => openRawUdp());
    const target = { ip: SERVER_ADDRESS, port: tunnelPort };
    const junk = new Uint8Array(73).fill(0x99);
    const dump = lab.spawn(lab.router, [
      ...['tcpdump', '-nli', 'wan', 'src host 203.0.113.1 and udp and dst port 5555'],
    ]);
    await dump.waitFor(/listening on/);
    for (let i = 0; i < 2000; i++) {
      raw.send({
        path: { local: { ip: natAddress, port: port(5555) }, remote: target },
        payload: junk,
        ttl: 64,
      });
    }
    raw.close();
    const verified = (await client.ready()).repliesVerified;
    client.program.signal('SIGUSR1');
    await client.until('refreshed', (status) => status.repliesVerified > verified);
    const ended = await dump.stop('SIGINT');
    expect(ended.stderr).toContain('0 packets captured');
  });
});

/** The rules, without the sources that have been seen lately. */
async function rules(): Promise<string> {
  const { stdout } = await lab.exec(lab.server, ['nft', '-s', 'list', 'ruleset']);
  return stdout.replaceAll(/(flags dynamic[^{}]*?)\s*elements = \{[^}]*\}/g, '$1');
}

describe('when others change what is ours', () => {
  it.each([
    ['flush ruleset', ['nft', 'flush', 'ruleset']],
    ['delete the table', ['nft', 'delete', 'table', 'ip', 'ipipou']],
    ['flush a chain', ['nft', 'flush', 'chain', 'ip', 'ipipou', 'p10000_guard']],
    ['empty a set', ['nft', 'flush', 'set', 'ip', 'ipipou', 'p10000_admitted']],
    ['add a rule', ['nft', 'insert', 'rule', 'ip', 'ipipou', 'p10000_guard', 'accept']],
  ])('puts the rules back after %s', async (_what, argv) => {
    const before = await rules();
    expect(before).toContain('p10000_guard');
    expect(await lab.exec(lab.server, argv)).toMatchObject({ code: 0 });
    await expect.poll(rules, { timeout: patience(10_000) }).toBe(before);
    await expectStrangersShutOut();
  });

  it.each([
    ['the device is removed', ['ip', 'link', 'del', 'ipipou0']],
    ['the device is put down', ['ip', 'link', 'set', 'ipipou0', 'down']],
    ['the address is removed', ['ip', 'addr', 'flush', 'dev', 'ipipou0']],
  ])('puts it back when %s', async (_what, argv) => {
    expect(await lab.exec(lab.server, argv)).toMatchObject({ code: 0 });
    await expect
      .poll(
        async () =>
          (await lab.exec(lab.server, ['ip', '-o', 'addr', 'show', 'dev', 'ipipou0', 'up'])).stdout,
        { timeout: 10_000 },
      )
      .toContain(`${inner.server} peer ${inner.client}/32`);
    await expectPing(lab, lab.server, inner.client);
  });
});

describe('when the daemon was killed', () => {
  it('goes on forwarding its client and keeps strangers out', async () => {
    await server.kill();
    await expectPing(lab, lab.server, inner.client);
    await expectStrangersShutOut();
  });

  it('shows that it is gone and that the kernel goes on', async () => {
    const shown = await hosts.run(lab.server, ['show']);
    expect(shown.stdout).toMatch(/not running|dead/);
    expect(shown.stdout).toContain('203.0.113.2:10000');
  });

  it('is not harmed by a start that fails', async () => {
    const broken = changed(DESCRIBED.server, 'fou-dev nope0');
    const file = await hosts.writeConfig(lab.server, 'broken', broken);
    expect(await hosts.run(lab.server, ['--config', file])).toMatchObject({ code: EXIT.link });
    await expectPing(lab, lab.server, inner.client);
    await expectStrangersShutOut();
  });

  it('starts again without losing a packet', async () => {
    const ping = lab.spawn(lab.client(), ['ping', '-i0.02', '-w30', inner.server]);
    await ping.waitFor(/icmp_seq=5 /);
    server = await hosts.start(lab.server, DESCRIBED.server);
    await server.established();
    await expectNothingLost(ping);
    expect(server.program.output()).toMatch(/adopted/);
    await expectStrangersShutOut();
  });

  it('is taken down by `down` when no daemon is left to do it', async () => {
    await server.kill();
    expect(await hosts.run(lab.server, ['down', 'ipipou0'])).toMatchObject({ code: 0 });
    const left = await whatIsThere(lab, lab.server);
    expect(left).not.toMatch(/ipipou0|10000/);
    server = await hosts.start(lab.server, DESCRIBED.server);
    await server.ready();
    client.program.signal('SIGUSR1');
    await server.established();
  });

  it('starts over leftovers that no run directory tells of', async () => {
    await server.kill();
    await lab.exec(lab.server, ['rm', '-rf', `${hosts.folder}/run`]);
    server = await hosts.start(lab.server, DESCRIBED.server);
    await server.ready();
    client.program.signal('SIGUSR1');
    await server.established(millis(30_000));
    await expectPing(lab, lab.server, inner.client);
  });
});

describe('session 2', () => {
  describeAttacks('fou', labScene(), ['none']);
});
