import { noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { parseOuterIp, type Endpoint } from '../../../src/core/addr.ts';
import type { ControlSession } from '../../../src/core/handshake/control-session.ts';
import {
  createInit,
  readInit,
  readInitStatic,
  type HeardInit,
} from '../../../src/core/handshake/init.ts';
import { clientKeysOf, serverKeysOf } from '../../../src/core/handshake/keys.ts';
import type { InitPayload, ResponsePayload } from '../../../src/core/handshake/payloads.ts';
import type { Heard } from '../../../src/core/handshake/refusal.ts';
import { createResponse, readResponse } from '../../../src/core/handshake/response.ts';
import { generateDhPair } from '../../../src/core/noise/types.ts';
import { port, seconds } from '../../../src/core/units.ts';

/** A client and a server for the tests of session 2's packets. */

export const secret = new TextEncoder().encode('topsecret');
export const client = generateDhPair(noiseCrypto);
export const server = generateDhPair(noiseCrypto);
export const serverKeys = serverKeysOf(noiseCrypto, server);

export function clientKeys(own = client, psk = secret) {
  const keys = clientKeysOf(noiseCrypto, own, server.publicKey, psk);
  if (!keys) throw new Error('a key of low order');
  return keys;
}

export function endpoint(ip: string, number: number): Endpoint {
  const address = parseOuterIp(ip);
  if (!address) throw new Error(ip);
  return { ip: address, port: port(number) };
}

export const source = endpoint('192.0.2.7', 40_000);

export const initPayload: InitPayload = {
  counter: 1_700_000_000_000n,
  capabilities: 1,
  integrity: 'full',
  lowestVersion: 2,
  mtu: 1480,
  source: endpoint('10.0.0.2', 10_000),
  epoch: 3,
  destination: endpoint('2001:db8::1', 10_000),
  keepalive: seconds(25),
};

export const responsePayload: ResponsePayload = {
  challenge: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  observed: source,
  epoch: 3,
  reached: endpoint('2001:db8::1', 10_000),
  integrity: 'header',
  rekeyAfter: seconds(900),
  mtu: 1400,
  capabilities: 1,
  resetToken: Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1),
};

export function taken<T>(heard: Heard<T>): T {
  if (!heard.ok) throw new Error(heard.reason);
  return heard.value;
}

export function init(index = 0x11_2233, cookie?: Uint8Array) {
  return createInit(noiseCrypto, clientKeys(), { index, payload: initPayload }, cookie);
}

export function hear(packet: Uint8Array, psk = clientKeys().psk): HeardInit {
  return taken(readInit(noiseCrypto, taken(readInitStatic(noiseCrypto, serverKeys, packet)), psk));
}

export function respond(packet: Uint8Array, index = 0x44_5566) {
  return createResponse(noiseCrypto, hear(packet), { index, payload: responsePayload });
}

/** Both sides after a whole handshake. */
export function sessions(): { readonly client: ControlSession; readonly server: ControlSession } {
  const { packet, pending } = init();
  const response = respond(packet);
  const read = taken(readResponse(noiseCrypto, pending, response.packet));
  return { client: read.session, server: response.session };
}

/** A packet with each of its bits flipped. */
export function* flipped(packet: Uint8Array): Generator<readonly [number, Uint8Array]> {
  for (let bit = 0; bit < packet.length * 8; bit += 1) {
    const at = bit >> 3;
    yield [bit, Uint8Array.from(packet).with(at, (packet[at] ?? 0) ^ (1 << (bit & 7)))];
  }
}
