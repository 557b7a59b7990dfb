import { dhPairOf, noiseCrypto as crypto } from '../src/adapters/crypto-noise.ts';
import { edwardsYOf } from '../src/core/curve25519.ts';
import { openControl, sealControl } from '../src/core/handshake/control.ts';
import { createCookie, hasMac2 } from '../src/core/handshake/cookies.ts';
import { createInit, hasMac1, readInit, readInitStatic } from '../src/core/handshake/init.ts';
import { clientKeysOf, serverKeysOf, tagKeysOf } from '../src/core/handshake/keys.ts';
import type { InitPayload, ResponsePayload } from '../src/core/handshake/payloads.ts';
import type { Heard } from '../src/core/handshake/refusal.ts';
import { createReset } from '../src/core/handshake/reset.ts';
import { createResponse, readResponse } from '../src/core/handshake/response.ts';
import { parseOuterIp } from '../src/core/addr.ts';
import { generateDhPair } from '../src/core/noise/types.ts';
import { millis, port, seconds } from '../src/core/units.ts';

/*
 * What session 2's packets cost, microseconds of one core: the best and the median of ROUNDS rounds. Every packet
 * is another one, as they come; what is kept of keys is what a daemon has. `forged`: by somebody who knows the
 * server's public key, up to where it is found that he has no key of a peer.
 *
 * usage: node .cache/bench/bench/handshake.js
 */

const ROUNDS = 9;
const COUNT = 200;

const client = dhPairOf(crypto.random(32));
const server = dhPairOf(crypto.random(32));
const secret = new TextEncoder().encode('topsecret');
const serverKeys = serverKeysOf(crypto, server);
const clientKeys = clientKeysOf(crypto, client, server.publicKey, secret);
const ip = parseOuterIp('192.0.2.7');
if (!clientKeys || !ip) throw new Error('impossible');
const keys = clientKeys;
const source = { ip, port: port(40_000) };

const initPayload: InitPayload = {
  ...{ counter: 1n, capabilities: 1, integrity: 'full', lowestVersion: 2, mtu: 1480, epoch: 1 },
  ...{ source, destination: source, keepalive: seconds(25) },
};
const responsePayload: ResponsePayload = {
  ...{ challenge: crypto.random(8), observed: source, epoch: 1, reached: source },
  ...{ integrity: 'full', rekeyAfter: seconds(900), mtu: 1400, capabilities: 1 },
  resetToken: crypto.random(8),
};

function taken<T>(heard: Heard<T>): T {
  if (!heard.ok) throw new Error(heard.reason);
  return heard.value;
}

const introduced = (packet: Uint8Array) => taken(readInitStatic(crypto, serverKeys, packet));
const ping = [{ kind: 'ping', id: 1 } as const];

function whole() {
  const { packet, pending } = createInit(crypto, keys, { index: 5, payload: initPayload });
  const init = taken(readInit(crypto, introduced(packet), keys.psk));
  const response = createResponse(crypto, init, { index: 6, payload: responsePayload });
  const { session } = taken(readResponse(crypto, pending, response.packet));
  return { pending, response, session };
}

/** Makes as many inputs as are needed, apart from the measurement. The median. */
function measure<T>(what: string, make: () => T, work: (input: T) => unknown): number {
  const costs: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const inputs = Array.from({ length: COUNT }, make);
    const { user, system } = process.cpuUsage();
    for (const input of inputs) work(input);
    const used = process.cpuUsage({ user, system });
    if (round > 0) costs.push((used.user + used.system) / COUNT);
  }
  const sorted = costs.toSorted((a, b) => a - b);
  const cells = [sorted[0] ?? 0, sorted[ROUNDS >> 1] ?? 0].map((value) => value.toFixed(1));
  console.log(what.padEnd(52) + cells.map((text) => text.padStart(9)).join(''));
  return sorted[ROUNDS >> 1] ?? 0;
}

console.log(''.padEnd(52) + ['best', 'median'].map((text) => text.padStart(9)).join(''));
const stranger = clientKeysOf(crypto, generateDhPair(crypto), server.publicKey, secret) ?? keys;
/** Says that it is the client, and is not. */
const liar = { ...stranger, own: { ...stranger.own, publicKey: client.publicKey } };
const initOf = (from: typeof keys) => () =>
  createInit(crypto, from, { index: 5, payload: initPayload }).packet;
const who = (packet: Uint8Array) => edwardsYOf(introduced(packet).client);

measure(
  'X25519, one operation, for comparison',
  () => client.secret,
  (own) => crypto.dh(own, server.publicKey),
);
const parts = [
  measure('server, INIT to RESPONSE', initOf(keys), (packet) => {
    const introduction = introduced(packet);
    edwardsYOf(introduction.client);
    const init = taken(readInit(crypto, introduction, keys.psk));
    createResponse(crypto, init, { index: 6, payload: responsePayload });
  }),
  measure(
    'server, the CONTROL that ends it, and its answer',
    () => {
      const { session, response } = whole();
      return { control: sealControl(crypto, session, ping).packet, session: response.session };
    },
    ({ control, session }) => {
      const opened = taken(openControl(crypto, session, control));
      sealControl(crypto, opened.session, ping);
    },
  ),
  measure('server, keys of tags', whole, ({ session }) => tagKeysOf(crypto, session)),
];
console.log(`handshakes a second: ${Math.round(1e6 / parts.reduce((sum, part) => sum + part))}`);
measure('client, INIT', () => keys, initOf(keys));
measure('client, RESPONSE', whole, ({ pending, response }) =>
  readResponse(crypto, pending, response.packet),
);

measure('forged INIT, without the key of the server', initOf(keys), (packet) =>
  readInitStatic(crypto, serverKeys, packet.fill(0, 168, 184)),
);
measure("forged INIT, nobody's key", initOf(stranger), who);
measure("forged INIT, with a peer's public key", initOf(liar), (packet) => {
  const introduction = introduced(packet);
  edwardsYOf(introduction.client);
  if (readInit(crypto, introduction, keys.psk).ok) throw new Error('taken');
});

const maker = { secret: crypto.random(16), now: millis(0) };
measure('mac1', initOf(keys), (packet) => hasMac1(serverKeys, packet));
measure('mac2', initOf(keys), (packet) => hasMac2(maker, source, packet));
measure('COOKIE', initOf(keys), (packet) =>
  createCookie(crypto, serverKeys, maker, source, packet),
);
const { session } = whole();
measure(
  'RESET',
  () => sealControl(crypto, session, ping).packet,
  (packet) => createReset(serverKeys, source, packet),
);
