/*
 * The tunnel's sockets of both families on one port.
 *
 *   NS   d0 192.0.2.1/24 2001:db8::1/64 2001:db8::11/64 <- veth -> d1 192.0.2.2/24 2001:db8::2/64   FAR
 */
import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { errnoName } from '../../src/adapters/ffi/errno.ts';
import { close, getsockname, recv } from '../../src/adapters/ffi/libc.ts';
import { sendControl } from '../../src/adapters/udp/control-sender.ts';
import { hasFamily, openTunnelSocket } from '../../src/adapters/udp/tunnel-socket.ts';
import {
  decodeOuterIpv4,
  decodeOuterIpv6,
  parseOuterIp,
  type Endpoint,
  type Family,
  type OuterIp,
} from '../../src/core/addr.ts';
import { encodeU32host, getU16be } from '../../src/core/bytes.ts';
import type { OuterConfig } from '../../src/core/config/tunnel-config.ts';
import { port } from '../../src/core/units.ts';
import { decodeIpv6Header } from '../../src/core/wire/ipv6.ts';
import { decodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { decodeSockaddr } from '../../src/core/wire/sockaddr.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { succeeds } from '../rig/patience.ts';

const NS = `ipipou-us-${process.pid}`;
const FAR = `${NS}-far`;
const PORT = port(10_000);
const OUTER: OuterConfig = {
  localIps: [],
  family: 'auto',
  localPort: PORT,
  device: undefined,
  localIpAlt: '127.9.9.9' as OuterIp,
  forceLocalIpAlt: false,
  udpChecksum: undefined,
};
const NO_TRAINS = { segmentation: false, aggregation: false };

const opened: number[] = [];

function open(family: Family, outer: Partial<OuterConfig> = {}): number {
  const { fd } = inNamespace(NS, () => openTunnelSocket({ ...OUTER, ...outer }, family, NO_TRAINS));
  opened.push(fd);
  return fd;
}

function end(text: string, number: number = PORT): Endpoint {
  const ip = parseOuterIp(text);
  if (ip === undefined) throw new Error(text);
  return { ip, port: port(number) };
}

function run(namespace: string, script: string): string {
  const command = ['netns', 'exec', namespace, 'bash', '-ec', script];
  return execFileSync('ip', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What of UDP a tap has seen since it was asked last; its checksums need not be filled in yet. */
function datagrams(tap: NamespaceSocket) {
  return tap.received().flatMap((packet) => {
    const ipv6 = decodeIpv6Header(packet, decodeOuterIpv6);
    const ipv4 = decodeIpv4Header(packet, decodeOuterIpv4);
    const header = ipv6.ok ? ipv6.value : ipv4.ok ? ipv4.value : undefined;
    if (!header) return [];
    const isUdp = 'nextHeader' in header ? header.nextHeader === 17 : header.protocol === 17;
    const udp = packet.subarray('nextHeader' in header ? 40 : 20);
    if (!isUdp) return [];
    return [
      {
        source: { ip: header.source, port: getU16be(udp, 0) },
        destination: { ip: header.destination, port: getU16be(udp, 2) },
        length: udp.length - 8,
        checksum: getU16be(udp, 6) !== 0,
        hops: 'nextHeader' in header ? header.hopLimit : header.ttl,
      },
    ];
  });
}

beforeAll(() => {
  execFileSync('ip', ['netns', 'add', NS]);
  execFileSync('ip', ['netns', 'add', FAR]);
  run(NS, `ip link add d0 type veth peer name d1 netns ${FAR}; ip link set lo up`);
  for (const [namespace, device, host] of [
    [NS, 'd0', '1'],
    [FAR, 'd1', '2'],
  ] as const) {
    run(namespace, `ip addr add 192.0.2.${host}/24 dev ${device}`);
    run(namespace, `ip addr add 2001:db8::${host}/64 dev ${device} nodad`);
    run(namespace, `ip link set ${device} up`);
  }
  run(NS, 'ip addr add 2001:db8::11/64 dev d0 nodad');
});

afterEach(() => {
  for (const fd of opened.splice(0)) close(fd);
});

afterAll(() => {
  execFileSync('ip', ['netns', 'del', NS]);
  execFileSync('ip', ['netns', 'del', FAR]);
});

test('this kernel has both families', () => {
  expect([hasFamily('ipv4'), hasFamily('ipv6')]).toEqual([true, true]);
});

test('a socket of each family has the port, and is bound to no address of the other', () => {
  const names = [open('ipv4'), open('ipv6')].map((fd) => {
    const name = new Uint8Array(28);
    getsockname(fd, name, encodeU32host(name.length));
    return decodeSockaddr(name.subarray(0, name[0] === 10 ? 28 : 16));
  });
  expect(names).toEqual([
    { ok: true, value: { ip: '0.0.0.0', port: PORT } },
    { ok: true, value: { ip: '::', port: PORT } },
  ]);
  const shown = run(NS, `ss -ulnH sport = :${PORT}`).trim().split('\n');
  expect(new Set(shown.map((line) => line.split(/\s+/)[3]))).toEqual(
    new Set(['0.0.0.0:10000', '[::]:10000']),
  );
});

test.each([
  { family: 'ipv4', from: '192.0.2.1', to: '192.0.2.2' },
  { family: 'ipv6', from: '2001:db8::1', to: '2001:db8::2' },
  { family: 'ipv6', from: '2001:db8::11', to: '2001:db8::2' },
] as const)('what goes from $from comes from there', async ({ family, from, to }) => {
  const fd = open(family);
  using tap = NamespaceSocket.tapAll(FAR);
  const path = { local: end(from), remote: end(to, 10_001) };
  for (const ttl of [undefined, 7]) {
    expect(sendControl(fd, { path, payload: Uint8Array.of(1, 2, 3), ttl })).toBe(0);
  }
  const seen: unknown[] = [];
  await succeeds(() => {
    seen.push(...datagrams(tap).filter(({ destination }) => destination.port === 10_001));
    expect(seen).toMatchObject([
      { source: path.local, destination: path.remote, hops: 64, checksum: true },
      { source: path.local, destination: path.remote, hops: 7, checksum: true },
    ]);
  });
});

test('a source address that the host has not is refused', () => {
  const path = { local: end('2001:db8::99'), remote: end('2001:db8::2') };
  const code = sendControl(open('ipv6'), { path, payload: Uint8Array.of(1), ttl: undefined });
  expect(errnoName(code)).toBe('EINVAL');
});

test('of IPv6 a packet heeds the MTU of the path, and a probe only that of the device', async () => {
  const fd = open('ipv6');
  run(NS, 'ip -6 route add 2001:db8::2/128 dev d0 mtu 1300');
  try {
    using tap = NamespaceSocket.tapAll(FAR);
    const path = { local: end('2001:db8::1'), remote: end('2001:db8::2', 10_001) };
    const payload = new Uint8Array(1300 - 48 + 1);
    const packet = { path, payload, ttl: undefined };
    expect(errnoName(sendControl(fd, packet))).toBe('EMSGSIZE');
    expect(sendControl(fd, { ...packet, payload: payload.subarray(1) })).toBe(0);
    expect(sendControl(fd, { ...packet, probe: true })).toBe(0);
    expect(errnoName(sendControl(fd, packet))).toBe('EMSGSIZE');
    const beyond = { ...packet, payload: new Uint8Array(1500 - 48 + 1), probe: true };
    expect(errnoName(sendControl(fd, beyond))).toBe('EMSGSIZE');
    const lengths: number[] = [];
    await succeeds(() => {
      lengths.push(...datagrams(tap).map((seen) => seen.length));
      expect(lengths).toEqual([1252, 1253]);
    });
  } finally {
    run(NS, 'ip -6 route del 2001:db8::2/128');
  }
});

test('without checksums none is filled in', async () => {
  using tap = NamespaceSocket.tapAll(FAR);
  for (const [family, from, to] of [
    ['ipv4', '192.0.2.1', '192.0.2.2'],
    ['ipv6', '2001:db8::1', '2001:db8::2'],
  ] as const) {
    const { fd } = inNamespace(NS, () =>
      openTunnelSocket({ ...OUTER, udpChecksum: false }, family, NO_TRAINS),
    );
    opened.push(fd);
    const path = { local: end(from), remote: end(to, 10_001) };
    expect(sendControl(fd, { path, payload: Uint8Array.of(1), ttl: undefined })).toBe(0);
  }
  const seen: boolean[] = [];
  await succeeds(() => {
    seen.push(...datagrams(tap).map(({ checksum }) => checksum));
    expect(seen).toEqual([false, false]);
  });
});

test('over IPv6 what comes without a checksum is taken', async () => {
  const here = open('ipv6');
  const { fd: there } = inNamespace(FAR, () =>
    openTunnelSocket({ ...OUTER, udpChecksum: false }, 'ipv6', NO_TRAINS),
  );
  opened.push(there);
  const path = { local: end('2001:db8::2'), remote: end('2001:db8::1') };
  expect(sendControl(there, { path, payload: Uint8Array.of(7), ttl: undefined })).toBe(0);
  const received = new Uint8Array(16);
  await succeeds(() => expect(recv(here, received, received.length, 0)).toBe(1));
  expect(received[0]).toBe(7);
});

test('a port that is taken in one family alone is said so', () => {
  open('ipv6');
  expect(open('ipv4')).toBeGreaterThan(0);
  expect(() => open('ipv6')).toThrow(/UDP socket \[::\]:10000.*EADDRINUSE/);
});
