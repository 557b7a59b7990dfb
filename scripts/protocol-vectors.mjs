// The vectors of docs/PROTOCOL.md: a whole handshake with keys that are fixed, and what is said under its keys. Written by
// `npm run docs`; test/unit/handshake/page.test.ts reads them from the page and does it all again.
import { publicKeyOf } from '../.cache/modules/adapters/crypto.js';
import { dhPairOf, noiseCrypto } from '../.cache/modules/adapters/crypto-noise.js';
import { parseOuterIp } from '../.cache/modules/core/addr.js';
import { sealControl } from '../.cache/modules/core/handshake/control.js';
import { createCookie, readCookie } from '../.cache/modules/core/handshake/cookies.js';
import { createInit, readInit, readInitStatic } from '../.cache/modules/core/handshake/init.js';
import { clientKeysOf, serverKeysOf, tagKeysOf } from '../.cache/modules/core/handshake/keys.js';
import {
  encodeInitPayload,
  encodeResponsePayload,
} from '../.cache/modules/core/handshake/payloads.js';
import { createReset, resetTokenOf } from '../.cache/modules/core/handshake/reset.js';
import { createResponse } from '../.cache/modules/core/handshake/response.js';
import { tagged } from '../.cache/modules/core/tag/tag.js';

const BEGIN = '<!-- vectors: npm run docs -->';
const END = '<!-- end of vectors -->';

/** `length` bytes that count from `first` on. */
const counting = (first, length) => Uint8Array.from({ length }, (_, index) => first + index);
const end = (ip, port) => ({ ip: parseOuterIp(ip), port });
const taken = (heard) => {
  if (!heard.ok) throw new Error(heard.reason);
  return heard.value;
};
/** All that is random is given. */
const drawing = (bytes) => ({
  ...noiseCrypto,
  random(length) {
    if (length !== bytes.length) throw new Error(`${length} random bytes`);
    return bytes;
  },
});

/** Names and bytes, in the order of the page. */
function vectors() {
  const secret = new TextEncoder().encode('topsecret');
  const seeds = { client: counting(0x00, 32), server: counting(0x20, 32) };
  const ephemerals = { client: counting(0x40, 32), server: counting(0x60, 32) };
  const [client, server] = [dhPairOf(seeds.client), dhPairOf(seeds.server)];
  const clientKeys = clientKeysOf(noiseCrypto, client, server.publicKey, secret);
  const serverKeys = serverKeysOf(noiseCrypto, server);
  const indexes = { client: 0x01_0203, server: 0x0a_0b0c };
  const source = end('192.0.2.7', 40_000);
  const reached = end('2001:db8::1', 10_000);

  const initPayload = {
    ...{ counter: 1_700_000_000_000n, capabilities: 1, integrity: 'full', lowestVersion: 2 },
    ...{ mtu: 1480, source: end('10.0.0.2', 10_000), epoch: 3, destination: reached },
    keepalive: 25,
  };
  const withInit = (cookie) => {
    const crypto = drawing(ephemerals.client);
    return createInit(crypto, clientKeys, { index: indexes.client, payload: initPayload }, cookie);
  };
  const { packet: init, pending } = withInit();
  const maker = { secret: counting(0x80, 16), now: 0 };
  const nonce = counting(0x90, 16);
  const cookiePacket = createCookie(drawing(nonce), serverKeys, maker, source, init);
  const cookie = taken(readCookie(clientKeys, pending, cookiePacket));

  const responsePayload = {
    ...{ challenge: counting(0xa0, 8), observed: source, epoch: 3, reached, integrity: 'full' },
    ...{ rekeyAfter: 900, mtu: 1464, capabilities: 1 },
    resetToken: resetTokenOf(serverKeys, indexes.server, source),
  };
  const introduction = taken(readInitStatic(noiseCrypto, serverKeys, init));
  const heard = taken(readInit(noiseCrypto, introduction, clientKeys.psk));
  const response = createResponse(drawing(ephemerals.server), heard, {
    ...{ index: indexes.server, payload: responsePayload },
  });
  const serverSession = response.session;
  const clientSession = {
    ...serverSession,
    ...{ sendKey: serverSession.receiveKey, receiveKey: serverSession.sendKey },
    ...{ sendIndex: indexes.server, receiveIndex: indexes.client, role: 'client' },
  };
  const control = sealControl(noiseCrypto, clientSession, [
    { kind: 'path-response', challenge: responsePayload.challenge },
    { kind: 'ping', id: 7 },
  ]);
  const attest = sealControl(noiseCrypto, control.session, [
    { kind: 'attest', epoch: 0xffff_ffff, packets: 1000n, bytes: 1_400_000n },
  ]).packet;
  const keys = tagKeysOf(noiseCrypto, serverSession);
  const inner = Uint8Array.from([
    ...[0x45, 0, 0, 100, 0, 1, 0, 0, 64, 1, 0x66, 0x32, 10, 0, 0, 1, 10, 0, 0, 2],
    ...counting(0, 80),
  ]);
  const tag = (level, counter) =>
    tagged({ level, index: indexes.server, counter }, keys.client, inner);

  return {
    'shared secret': secret,
    'seed of the client': seeds.client,
    "the client's ed25519 public key": publicKeyOf(seeds.client),
    "the client's X25519 public key": client.publicKey,
    'seed of the server': seeds.server,
    "the server's ed25519 public key": publicKeyOf(seeds.server),
    "the server's X25519 public key": server.publicKey,
    'ephemeral secret of the client': ephemerals.client,
    'ephemeral secret of the server': ephemerals.server,
    psk: clientKeys.psk,
    'mac1 key': serverKeys.mac1,
    'cookie key': serverKeys.cookie,
    'reset key': serverKeys.reset,
    'payload of INIT': encodeInitPayload(initPayload),
    INIT: init,
    'secret of cookies': maker.secret,
    'COOKIE to 192.0.2.7, port 40000, for that INIT, in period 0': cookiePacket,
    cookie,
    'the same INIT with that cookie': withInit(cookie).packet,
    'response key': heard.responseKey,
    'payload of RESPONSE': encodeResponsePayload(responsePayload),
    RESPONSE: response.packet,
    'ck at the end': serverSession.chainingKey,
    'control key of the client': serverSession.receiveKey,
    'control key of the server': serverSession.sendKey,
    'CONTROL of the client, counter 0: PATH_RESPONSE, PING 7': control.packet,
    'CONTROL of the client, counter 1: ATTEST 4294967295, 1000 packets, 1400000 bytes': attest,
    'RESET to 192.0.2.7, port 40000': createReset(serverKeys, source, control.packet),
    'SHA-256 of the tag key of the client': noiseCrypto.sha256(keys.client),
    'SHA-256 of the tag key of the server': noiseCrypto.sha256(keys.server),
    'inner packet': inner,
    'the same with a tag of the client, header, counter 1': tag('header', 1),
    'the same with a tag of the client, full, counter 4294967295': tag('full', 0xffff_ffff),
  };
}

/** The page with the vectors between its markers renewed. */
export function replaceVectors(page) {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error('docs/PROTOCOL.md has no place for vectors');
  const lines = Object.entries(vectors()).flatMap(([name, bytes]) => [
    name,
    ...(
      Buffer.from(bytes)
        .toString('hex')
        .match(/.{1,96}/g) ?? []
    ).map((line) => `  ${line}`),
  ]);
  return `${page.slice(0, begin)}${BEGIN}\n\n\`\`\`text\n${lines.join('\n')}\n\`\`\`\n\n${page.slice(end)}`;
}
