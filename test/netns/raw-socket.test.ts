import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checked, errnoName } from '../../src/adapters/ffi/errno.ts';
import { bind, close, errno, recv, socket } from '../../src/adapters/ffi/libc.ts';
import { ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { openRawUdp, type RawUdp } from '../../src/adapters/raw-socket.ts';
import { defaultTtl } from '../../src/adapters/system/default-ttl.ts';
import { familyOf, parseOuterIp, type Endpoint, type Path } from '../../src/core/addr.ts';
import { KernelError } from '../../src/core/errors.ts';
import { port } from '../../src/core/units.ts';
import { AF_INET, addressFamily, encodeSockaddr } from '../../src/core/wire/sockaddr.ts';
import { decodeUdp, type UdpDatagram } from '../../src/core/wire/udp.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { holds } from '../rig/patience.ts';

/*
 *   namespace NAME:   raw socket, from 127.0.0.1:10000 ──lo──▶ 127.0.0.2:10001, a UDP socket
 *                     (127.0.0.1:10000 is held by another socket all the while), and the same of
 *                     [fd00::1]:10000 and [fd00::2]:10001
 */
const NAME = `raw-${process.pid}-a`;

const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_UDP = 17;

function endpoint(ip: string, number: number): Endpoint {
  const address = parseOuterIp(ip);
  if (address === undefined) throw new Error(ip);
  return { ip: address, port: port(number) };
}

const path: Path = { local: endpoint('127.0.0.1', 10000), remote: endpoint('127.0.0.2', 10001) };

const path6: Path = { local: endpoint('fd00::1', 10000), remote: endpoint('fd00::2', 10001) };

/** What a socket has for us now; undefined when it has nothing. */
function received(fd: number): Uint8Array | undefined {
  const room = new Uint8Array(2048);
  const length = recv(fd, room, room.length, 0);
  if (length >= 0) return room.subarray(0, length);
  expect(errnoName(errno())).toBe('EAGAIN');
  return undefined;
}

function boundUdp(at: Endpoint): number {
  const family = addressFamily(familyOf(at.ip));
  const fd = checked(socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0), 'socket', 'test');
  const address = encodeSockaddr(at);
  checked(bind(fd, address, address.length), 'bind', 'test');
  return fd;
}

describe('openRawUdp', () => {
  let raw: RawUdp;
  let holder: number;
  let listener: number;
  let holder6: number;
  let listener6: number;
  let witness: number;

  beforeAll(async () => {
    await ipBatch(undefined, [`netns add ${NAME}`]);
    const addresses = ['fd00::1', 'fd00::2'].map((ip) => `addr add ${ip}/128 dev lo nodad`);
    await ipBatch(NAME, ['link set lo up', ...addresses]);
    inNamespace(NAME, () => {
      raw = openRawUdp();
      holder = boundUdp(path.local);
      listener = boundUdp(path.remote);
      holder6 = boundUdp(path6.local);
      listener6 = boundUdp(path6.remote);
      const type = SOCK_RAW | SOCK_NONBLOCK;
      witness = checked(socket(AF_INET, type, IPPROTO_UDP), 'socket', 'test');
    });
  });

  afterAll(async () => {
    raw.close();
    for (const fd of [holder, listener, holder6, listener6, witness]) close(fd);
    await removeNamespaces([NAME]);
  });

  /** The next UDP packet of the namespace, as it is on the device. */
  async function seen(): Promise<UdpDatagram> {
    const packet = await holds(() => received(witness));
    const decoded = decodeUdp(packet);
    if (!decoded.ok) throw new Error(decoded.reason);
    return decoded.value;
  }

  test('sends from a port that another socket holds, with checksums the kernel accepts', async () => {
    raw.send({ path, payload: Uint8Array.of(1, 2, 3), ttl: 7 });
    expect(await holds(() => received(listener))).toEqual(Uint8Array.of(1, 2, 3));
    expect(await seen()).toMatchObject({ source: path.local, destination: path.remote, ttl: 7 });
  });

  test('sends by IPv6 from a port that another socket holds, whatever the device was before', async () => {
    for (const device of [undefined, 'lo', undefined]) {
      raw.send({ path: path6, payload: Uint8Array.of(4, 5), ttl: 7, device });
      expect(await holds(() => received(listener6))).toEqual(Uint8Array.of(4, 5));
    }
    raw.send({ path: path6, payload: new Uint8Array(0), ttl: 7, probe: true });
    expect(await holds(() => received(listener6))).toHaveLength(0);
  });

  test('sends an empty payload', async () => {
    raw.send({ path, payload: new Uint8Array(0), ttl: 64 });
    expect(await holds(() => received(listener))).toHaveLength(0);
    expect((await seen()).payload).toHaveLength(0);
  });

  test('sends by the given device, and by any one again after that', async () => {
    for (const device of ['lo', undefined, 'lo']) {
      raw.send({ path, payload: Uint8Array.of(9), ttl: 64, device });
      expect(await holds(() => received(listener))).toEqual(Uint8Array.of(9));
      await seen();
    }
  });

  test('says which device is missing', () => {
    const send = () => raw.send({ path, payload: Uint8Array.of(9), ttl: 64, device: 'nosuch0' });
    expect(send).toThrow(KernelError);
    expect(send).toThrow('raw socket on nosuch0: SO_BINDTODEVICE: ENODEV');
    raw.send({ path, payload: Uint8Array.of(8), ttl: 64 });
    expect(received(listener)).toEqual(Uint8Array.of(8));
    expect(received(witness)).toBeDefined();
  });

  test('says what could not be sent where there is no route', () => {
    const away: Path = { local: path.local, remote: endpoint('203.0.113.1', 10000) };
    let thrown: unknown;
    try {
      raw.send({ path: away, payload: Uint8Array.of(9), ttl: 64 });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      exit: 'sendAuth',
      operation: 'sendto',
      errno: 'ENETUNREACH',
      subject: 'packet 127.0.0.1:10000 to 203.0.113.1:10000',
    });
  });

  test('says what is too long for the device, by IPv6', () => {
    const long = { path: path6, payload: new Uint8Array(65_527), ttl: 64, probe: true };
    expect(() => raw.send(long)).toThrow(
      'packet [fd00::1]:10000 to [fd00::2]:10001: sendto: EMSGSIZE',
    );
  });

  test('knows the default TTL of its namespace', () => {
    expect(inNamespace(NAME, () => defaultTtl())).toBe(64);
  });
});
