import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ipBatch } from '../../src/adapters/lab/namespaces.ts';
import { SERVER_ADDRESS, up, type Topology } from '../../src/adapters/lab/topology.ts';
import { openRawUdp } from '../../src/adapters/raw-socket.ts';
import { addToIp, type InnerIp } from '../../src/core/addr.ts';
import { millis, port, seconds } from '../../src/core/units.ts';
import { inner, ip } from '../rig/addresses.ts';
import { Hosts, type Daemon } from '../rig/daemon.ts';
import { drops } from '../rig/drops.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import {
  deadline,
  expectAllPairs,
  expectNoPing,
  expectNothingLost,
  expectPing,
  innerEcho,
  received,
  whatIsThere,
} from '../rig/traffic.ts';
import { patience, succeeds } from '../rig/patience.ts';

/*
 * One daemon on one port, and clients that are stock kernels behind one public address. The topology is
 * drawn at the head of src/adapters/lab/topology.ts. Inside:
 *
 *   client 0: 172.28.0.1, 10.7.0.1 ══╗
 *   client 1: 172.28.0.2, 10.7.1.1 ══╬══ 172.28.0.0: server, which forwards between them
 *   …                              ══╝
 */
const CLIENTS = 8;
const clients = Array.from({ length: CLIENTS }, (_, index) => index);
const tunnelPort = port(10_000);
/** The port of each client's own end. */
const ownPorts = clients.map(() => tunnelPort);
const serverInner = inner('172.28.0.0');
let lab: Topology;
let hosts: Hosts;
let server: Daemon;

const config = [
  'server',
  'number 0',
  'fou-dev eth0',
  'fou-local-port 10000',
  'tunl-ip 172.28.0.0',
  'auth-lifetime 3600',
  // Stock clients send nothing by themselves, however long the tests before take.
  'connection-idle 3600',
  'dataplane fou',
  'verb 3',
  ...clients.flatMap((index) => [
    `peer c${index}`,
    `auth-token token of client ${index}`,
    `tunl-peer-ip ${innerIp(index)}`,
    `allowed-ips 10.7.${index}.0/24`,
  ]),
];

function innerIp(index: number): InnerIp {
  return addToIp(serverInner, index + 1);
}

function behind(index: number): InnerIp {
  return inner(`10.7.${index}.1`);
}

async function addStockClient(index: number): Promise<void> {
  const encap = `encap fou encap-csum encap-sport ${ownPorts[index]} encap-dport 10000`;
  await ipBatch(lab.client(index), [
    `fou add port ${ownPorts[index]} ipproto 4`,
    `link add name tun type ipip local ${lab.clientAddress(index)} remote ${SERVER_ADDRESS} ttl 64 ${encap}`,
    `addr add ${innerIp(index)}/32 dev tun`,
    `addr add ${behind(index)}/32 dev lo`,
    'link set tun up',
    'route add 172.28.0.0/24 dev tun',
    'route add 10.7.0.0/16 dev tun',
  ]);
}

/** Each of these clients proves itself from its tunnel's port, until the server carries so many. */
async function authenticate(indices: readonly number[], carried: number): Promise<void> {
  for (const index of indices) {
    const raw = inNamespace(lab.client(index), () => openRawUdp());
    raw.send({
      path: {
        local: { ip: lab.clientAddress(index), port: ownPorts[index] ?? tunnelPort },
        remote: { ip: SERVER_ADDRESS, port: tunnelPort },
      },
      payload: new TextEncoder().encode(`token of client ${index}`),
      ttl: 64,
    });
    raw.close();
  }
  const counted = ({ establishedCount }: { readonly establishedCount: number }) =>
    establishedCount === carried;
  await server.until(`carrying ${carried}`, counted, millis(60_000));
}

/**
 * These clients ping the next ones, so often that a gap of some milliseconds would be seen, until the
 * result is asked for: that nothing was lost. What dropped it is told.
 */
async function pingNext(indices: readonly number[]): Promise<() => Promise<void>> {
  const before = await allDrops(indices);
  const pinging = indices.map((index) =>
    lab.spawn(lab.client(index), ['ping', '-i0.01', innerIp((index + 1) % CLIENTS)]),
  );
  await Promise.all(pinging.map((ping) => ping.waitFor(/icmp_seq=5 /)));
  const told = async (): Promise<string> => {
    const more = [...(await allDrops(indices))].map(([what, count]) => {
      const difference = count - (before.get(what) ?? 0);
      return difference === 0 ? '' : `${what} ${difference}`;
    });
    return `dropped meanwhile: ${more.filter((text) => text !== '').join(', ')}`;
  };
  return async () => {
    for (const ping of pinging) await expectNothingLost(ping, told);
  };
}

/** Of all that packets of these clients and the next ones pass. */
async function allDrops(indices: readonly number[]): Promise<ReadonlyMap<string, number>> {
  const ends = indices.flatMap((index) => [index, (index + 1) % CLIENTS]);
  const namespaces = [lab.server, lab.router, ...new Set(ends.map((index) => lab.client(index)))];
  const counted = await Promise.all(namespaces.map((namespace) => drops(lab, namespace)));
  return new Map(counted.flatMap((counts) => [...counts]));
}

async function onServer(...argv: string[]): Promise<string> {
  return (await lab.exec(lab.server, argv)).stdout;
}

beforeAll(async () => {
  // Stock clients prove themselves once: the router is not to forget them, however long the tests take.
  const timeout = seconds(3600);
  lab = await up({ clients: CLIENTS, udpTimeouts: { unreplied: timeout, replied: timeout } });
  hosts = await Hosts.in(lab);
  await lab.exec(lab.server, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await Promise.all(clients.map((index) => addStockClient(index)));
  server = await hosts.start(lab.server, config);
  await server.ready(millis(150_000));
});

afterAll(async () => {
  await server.stop();
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

describe('routes', () => {
  it('of the last resort keep what is meant for a known peer inside', async () => {
    const routes = await onServer('ip', 'route', 'show', 'proto', '148');
    for (const index of clients) {
      expect(routes).toMatch(new RegExp(`unreachable ${innerIp(index)} metric \\d+`));
      expect(routes).toMatch(new RegExp(`unreachable 10.7.${index}.0/24 metric \\d+`));
    }
    const ping = await lab.exec(lab.server, ['ping', '-c1', '-W1', behind(3)]);
    expect(ping.code).not.toBe(0);
    expect(await onServer('ip', '-o', 'link', 'show', 'type', 'ipip')).not.toContain('ipipou0');
  });
});

describe('eight clients behind one public address', () => {
  it('are all admitted, each with a device and an outer address pair of its own', async () => {
    await authenticate(clients, CLIENTS);
    const links = await onServer('ip', '-d', '-o', 'link', 'show', 'type', 'ipip');
    const pairs = [...links.matchAll(/ipipou0-\d+@.*ipip ipip remote (\S+) local (\S+)/g)];
    expect(pairs).toHaveLength(CLIENTS);
    expect(new Set(pairs.map(([, remote, local]) => `${remote} ${local}`)).size).toBe(CLIENTS);
    expect(new Set(pairs.map(([, remote]) => remote))).toEqual(new Set([lab.natAddress()]));
    const routes = await onServer('ip', 'route', 'show', 'proto', '148');
    for (const index of clients)
      expect(routes).toMatch(new RegExp(`${innerIp(index)} dev ipipou0-`));
  });

  it('ping each other and send to each other, all pairs at once', async () => {
    const ends = clients.map((index) => ({
      namespace: lab.client(index),
      address: innerIp(index),
    }));
    await expectAllPairs(lab, ends);
  });

  it('ping the server and the networks behind each other, all at once', async () => {
    const results = await Promise.all(
      clients.map(async (index) => {
        const others = clients.filter((other) => other !== index);
        const targets = [serverInner, ...others.map(behind)];
        const script = `for to in ${targets.join(' ')}; do ping -qc2 -i0.2 ${deadline(15_000)} $to || exit 1; done`;
        return lab.exec(lab.client(index), ['sh', '-c', script], { timeout: patience(120_000) });
      }),
    );
    for (const result of results) expect(result).toMatchObject({ code: 0 });
  });
});

describe('a peer', () => {
  it('cannot send as another: what it forges is dropped and counted for it alone', async () => {
    const deviceOf = async (index: number) =>
      /dev (\S+)/.exec(await onServer('ip', 'route', 'get', innerIp(index)))?.[1] ?? '';
    await ipBatch(lab.client(0), [`addr add ${innerIp(1)}/32 dev lo`]);
    const before = await received(lab, lab.client(1), 'tun');
    const forged = ['ping', '-c5', '-i0.2', '-W1', '-I', innerIp(1), serverInner];
    expect((await lab.exec(lab.client(0), forged)).code).not.toBe(0);
    await ipBatch(lab.client(0), [`addr del ${innerIp(1)}/32 dev lo`]);
    expect((await server.peer('c0')).refused['inner-source']).toBe(5);
    expect((await server.peer('c1')).refused['inner-source']).toBe(0);
    // The answers would have gone to the one whose address it is.
    expect(await received(lab, lab.client(1), 'tun')).toBe(before);
    expect(await deviceOf(0)).not.toBe(await deviceOf(1));
    await expectPing(lab, lab.client(0), serverInner);
  });

  it('loses to another what that one is given of its networks, and gets it back', async () => {
    const target = ip('10.7.0.77');
    const others = ['set', 'ipipou0', 'peer', 'c3', 'allowed-ips'];
    const fromTarget = ['ping', '-c3', '-i0.2', '-W1', '-I', target, innerIp(1)];
    await ipBatch(lab.client(0), [`addr add ${target}/32 dev lo`]);
    await expectPing(lab, lab.server, target);
    const before = (await server.peer('c0')).refused['inner-source'] ?? 0;
    expect(await hosts.run(lab.server, [...others, `10.7.3.0/24, ${target}/32`])).toMatchObject({
      code: 0,
    });
    expect((await lab.exec(lab.client(0), fromTarget)).code).not.toBe(0);
    expect((await server.peer('c0')).refused['inner-source']).toBe(before + 3);
    expect(await hosts.run(lab.server, [...others, '10.7.3.0/24'])).toMatchObject({ code: 0 });
    await expectPing(lab, lab.server, target);
    await ipBatch(lab.client(0), [`addr del ${target}/32 dev lo`]);
  });

  it('is told to lack what another route of the host has, and gets it when that is gone', async () => {
    const words =
      '10.7.99.0/24 is not led to its peer: another route of this host has it, out of eth0';
    const told = async () => (await hosts.run(lab.server, ['status'])).stdout.includes(words);
    const others = ['set', 'ipipou0', 'peer', 'c3', 'allowed-ips'];
    await onServer('ip', 'route', 'add', '10.7.99.0/24', 'dev', 'eth0');
    const changed = await hosts.run(lab.server, [...others, '10.7.3.0/24, 10.7.99.0/24']);
    expect(changed).toMatchObject({ code: 0 });
    expect(await told()).toBe(true);
    expect((await server.peer('c3')).troubles).toMatchObject([{ kind: 'prefix-taken' }]);
    await onServer('ip', 'route', 'del', '10.7.99.0/24', 'dev', 'eth0');
    await succeeds(async () => expect(await told()).toBe(false));
    expect(await onServer('ip', 'route', 'show', '10.7.99.0/24')).toMatch(/dev ipipou0-/);
    expect(await hosts.run(lab.server, [...others, '10.7.3.0/24'])).toMatchObject({ code: 0 });
  });

  it('cannot speak to the port from inside as if it were another from outside', async () => {
    const raw = inNamespace(lab.client(0), () => openRawUdp());
    const before = await received(lab, lab.server, 'ipipou0-2');
    const path = {
      local: { ip: lab.natAddress(), port: tunnelPort },
      remote: { ip: ip(serverInner), port: tunnelPort },
    };
    for (let count = 0; count < 5; count++) {
      raw.send({ path, payload: innerEcho(innerIp(1), serverInner), ttl: 64, device: 'tun' });
    }
    raw.close();
    await expectPing(lab, lab.client(0), serverInner);
    expect(await received(lab, lab.server, 'ipipou0-2')).toBe(before);
  });
});

describe('when the way to a peer has become smaller', () => {
  const narrow = (mtu: number) =>
    lab.exec(lab.router, ['ip', 'link', 'set', 'br0', 'mtu', `${mtu}`]);

  it('tells who sends packets that are too big', async () => {
    await narrow(1300);
    // The first is lost on the way, and the server learns of it by ICMP; the next ones are answered.
    const ping = ['ping', '-c3', '-i0.5', '-W1', '-Mdo', '-s1400', innerIp(1)];
    const told = await lab.exec(lab.client(0), ping);
    expect(told.stdout + told.stderr).toMatch(/mtu ?= ?1272/);
  });

  it('lowers the MSS of TCP that is forwarded to it', async () => {
    const filter = 'tcp[tcpflags] & tcp-syn != 0';
    const dump = lab.spawn(lab.client(1), ['tcpdump', '-nli', 'tun', '-c1', filter]);
    await dump.waitFor(/listening on/);
    await lab.exec(lab.client(2), ['busybox', 'nc', '-w1', innerIp(1), '5009']);
    expect((await dump.finished).stdout).toMatch(/mss 1232/);
    await narrow(1500);
  });
});

describe('when a peer moves or something is taken away', () => {
  it('re-points that peer and loses nothing of another', async () => {
    const ping = lab.spawn(lab.client(1), ['ping', '-i0.05', '-w60', serverInner]);
    await ping.waitFor(/icmp_seq=5 /);
    const before = (await server.peer('c0')).path;
    await ipBatch(lab.client(0), [
      'link del tun',
      'fou del port 10000',
      `addr del ${behind(0)}/32 dev lo`,
    ]);
    ownPorts[0] = port(10_100);
    await addStockClient(0);
    await authenticate([0], CLIENTS);
    await expectPing(lab, lab.client(0), innerIp(1));
    expect((await server.peer('c0')).path?.remote.port).not.toBe(before?.remote.port);
    await expectNothingLost(ping);
  });

  it.each([
    ['a route', ['ip', 'route', 'del', '10.7.2.0/24', 'proto', '148', 'metric', '0']],
    ['a device', ['ip', 'link', 'del', 'ipipou0-3']],
    ['an alternative address', ['ip', 'addr', 'del', '172.29.0.0/32', 'dev', 'lo']],
    ['an element', ['nft', 'flush', 'set', 'ip', 'ipipou', 'p10000_inner24']],
  ])('puts back %s', async (_what, argv) => {
    expect(await lab.exec(lab.server, argv)).toMatchObject({ code: 0, stderr: '' });
    for (const index of [1, 2, 3]) {
      await expect
        .poll(() => lab.exec(lab.server, ['ping', '-c1', '-W1', behind(index)]), {
          timeout: patience(20_000),
        })
        .toMatchObject({ code: 0 });
    }
  });
});

describe('when another tool adds a rule', () => {
  it('makes the rules anew and loses nothing', async () => {
    const nothingLost = await pingNext([2, 5]);
    const alien = ['nft', 'add', 'rule', 'ip', 'ipipou', 'p10000_foreign', 'continue'];
    expect(await lab.exec(lab.server, alien)).toMatchObject({ code: 0, stderr: '' });
    await expect
      .poll(() => onServer('nft', 'list', 'chain', 'ip', 'ipipou', 'p10000_foreign'), {
        timeout: patience(20_000),
      })
      .not.toContain('continue');
    await nothingLost();
  });
});

describe('after kill -9', () => {
  it('goes on with every peer, and the next run adopts them without losing a packet', async () => {
    const nothingLost = await pingNext([1, 4, 7]);
    await server.kill();
    server = await hosts.start(lab.server, config);
    await server.until(
      'adopting',
      ({ establishedCount }) => establishedCount === CLIENTS,
      millis(150_000),
    );
    await nothingLost();
  });

  it('evicts what a shorter config does not know, and loses nothing of the rest', async () => {
    const nothingLost = await pingNext([0, 4]);
    await server.kill();
    const shorter = config.slice(0, config.indexOf('peer c6'));
    server = await hosts.start(lab.server, shorter);
    await server.until(
      'adopting',
      ({ establishedCount }) => establishedCount === 6,
      millis(150_000),
    );
    await nothingLost();
    await expectPing(lab, lab.client(5), serverInner);
    await expectNoPing(lab, lab.client(6), serverInner);
    expect(await onServer('ip', 'route')).not.toMatch(new RegExp(`10.7.6.0|${innerIp(6)}\\b`));
    expect(await onServer('nft', 'list', 'table', 'ip', 'ipipou')).not.toMatch(/10\.7\.6\.0/);
  });

  it('leaves nothing behind when it ends in order', async () => {
    await server.stop();
    expect(await whatIsThere(lab, lab.server)).not.toMatch(/ipipou0|172\.2[89]\.|10\.7\.|10000/);
  });
});
