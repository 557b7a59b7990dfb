import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { noiseCrypto } from '../../src/adapters/crypto-noise.ts';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import { parseOuterIp } from '../../src/core/addr.ts';
import { openControl, sealControl } from '../../src/core/handshake/control.ts';
import type { ControlSession } from '../../src/core/handshake/control-session.ts';
import { createInit, hasMac1, readInit, readInitStatic } from '../../src/core/handshake/init.ts';
import { clientKeysOf, pskOf, serverKeysOf, tagKeysOf } from '../../src/core/handshake/keys.ts';
import { decodeMessages, encodeMessages } from '../../src/core/handshake/messages.ts';
import {
  decodeInitPayload,
  decodeResponsePayload,
  encodeInitPayload,
  encodeResponsePayload,
  type InitPayload,
  type ResponsePayload,
} from '../../src/core/handshake/payloads.ts';
import type { Heard } from '../../src/core/handshake/refusal.ts';
import { createResponse, readResponse } from '../../src/core/handshake/response.ts';
import { generateDhPair } from '../../src/core/noise/types.ts';
import { port, seconds } from '../../src/core/units.ts';
import { NamespaceSocket } from '../rig/namespace-sockets.ts';
import { patience, succeeds } from '../rig/patience.ts';
import { TwoHosts } from '../rig/two-hosts.ts';

/*
 * Session 2 with somebody else's Noise (Debian's python3-dissononce), and with a program that is written from
 * docs/PROTOCOL.md (test/rig/noise-peer.py), over a cable. Both ends of the handshake, a CONTROL each way, keys of tags.
 */

const PEER = fileURLToPath(new URL('../rig/noise-peer.py', import.meta.url));
const PYTHON = '/usr/bin/python3'; // Debian's, which its packages are for
const PORT = 10_000;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const end = (ip: string) => {
  const address = parseOuterIp(ip);
  if (!address) throw new Error(ip);
  return { ip: address, port: port(PORT) };
};
const here = end('10.9.0.1');
const there = end('10.9.0.2');

const ours = generateDhPair(noiseCrypto);
const theirs = generateDhPair(noiseCrypto);
const secret = new TextEncoder().encode('topsecret');
const psk = pskOf(noiseCrypto, secret);
const indexes = { ours: 0x01_0203, theirs: 0xff_ffff } as const;

const initPayload: InitPayload = {
  ...{ counter: 2n ** 40n, capabilities: 1, integrity: 'full', lowestVersion: 2, mtu: 1480 },
  ...{ source: here, epoch: 65_535, destination: there, keepalive: seconds(25) },
};
const responsePayload: ResponsePayload = {
  challenge: noiseCrypto.random(8),
  ...{ observed: here, epoch: 65_535, reached: undefined, integrity: 'header' },
  ...{ rekeyAfter: seconds(900), mtu: 1400, capabilities: 0, resetToken: noiseCrypto.random(8) },
};
const ping = { kind: 'ping', id: 7 } as const;
const pong = { kind: 'pong', id: 7 } as const;

type Told = {
  readonly remote?: string;
  readonly payload: string;
  readonly control: string;
  readonly tagKeys: readonly string[];
};

function taken<T>(heard: Heard<T>): T {
  if (!heard.ok) throw new Error(heard.reason);
  return heard.value;
}

/** What the other end has heard, once it is done. */
async function peer(hosts: TwoHosts, options: Record<string, unknown>): Promise<Told> {
  const words = {
    ...{ secret: hex(theirs.secret), psk: hex(psk), index: indexes.theirs },
    ...{ bind: [there.ip, PORT], to: [here.ip, PORT], ...options },
  };
  const argv = inside(hosts.b, [PYTHON, PEER, JSON.stringify(words)]);
  const { stdout } = await runChecked(argv, { timeout: patience(60_000) });
  return JSON.parse(stdout) as Told;
}

/** The next packet, unless the other end gives up; asks for it again, since nobody may listen yet. */
async function next(
  socket: NamespaceSocket,
  done: Promise<Told>,
  ask?: Uint8Array,
): Promise<Uint8Array> {
  const packet = succeeds(() => {
    if (ask) socket.send(there, ask);
    const [packet] = socket.received();
    if (!packet) throw new Error('no packet');
    return packet;
  });
  const first = await Promise.race([packet, done]);
  return first instanceof Uint8Array ? first : packet;
}

function expectSame(told: Told, session: ControlSession, messages: unknown): void {
  const { client, server } = tagKeysOf(noiseCrypto, session);
  expect(told.tagKeys).toEqual([hex(client), hex(server)]);
  expect(decodeMessages(bytes(told.control))).toEqual(messages);
}

test('a handshake that we begin with another implementation', async () => {
  await using hosts = await TwoHosts.make();
  using socket = NamespaceSocket.udp(hosts.a, here);
  const done = peer(hosts, {
    role: 'responder',
    payload: hex(encodeResponsePayload(responsePayload)),
    control: hex(encodeMessages([pong])),
  });
  const keys = clientKeysOf(noiseCrypto, ours, theirs.publicKey, secret);
  if (!keys) throw new Error('a key of low order');
  const init = createInit(noiseCrypto, keys, { index: indexes.ours, payload: initPayload });
  const response = await next(socket, done, init.packet);
  const read = taken(readResponse(noiseCrypto, init.pending, response));
  expect(read.payload).toEqual(responsePayload);
  const control = sealControl(noiseCrypto, { ...read.session, nextCounter: 2 ** 33 }, [ping]);
  socket.send(there, control.packet);
  const opened = taken(openControl(noiseCrypto, read.session, await next(socket, done)));
  expect(opened).toMatchObject({ counter: 5, messages: [pong] });
  const told = await done;
  expect(told.remote).toBe(hex(ours.publicKey));
  expect(decodeInitPayload(bytes(told.payload))).toEqual(initPayload);
  expectSame(told, read.session, [ping]);
});

test('a handshake that another implementation begins with us', async () => {
  await using hosts = await TwoHosts.make();
  using socket = NamespaceSocket.udp(hosts.a, here);
  const done = peer(hosts, {
    role: 'initiator',
    remote: hex(ours.publicKey),
    payload: hex(encodeInitPayload(initPayload)),
    control: hex(encodeMessages([ping])),
  });
  const init = await next(socket, done);
  const keys = serverKeysOf(noiseCrypto, ours);
  expect(hasMac1(keys, init)).toBe(true);
  const introduction = taken(readInitStatic(noiseCrypto, keys, init));
  expect(introduction.client).toEqual(theirs.publicKey);
  const heard = taken(readInit(noiseCrypto, introduction, psk));
  expect(heard.payload).toEqual(initPayload);
  const index = indexes.ours;
  const response = createResponse(noiseCrypto, heard, { index, payload: responsePayload });
  socket.send(there, response.packet);
  const opened = taken(openControl(noiseCrypto, response.session, await next(socket, done)));
  expect(opened).toMatchObject({ counter: 5, messages: [ping] });
  socket.send(there, sealControl(noiseCrypto, opened.session, [pong]).packet);
  const told = await done;
  expect(decodeResponsePayload(bytes(told.payload))).toEqual(responsePayload);
  expectSame(told, response.session, [pong]);
});
