import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { publicKeyOf } from '../../../src/adapters/crypto.ts';
import { dhPairOf, noiseCrypto } from '../../../src/adapters/crypto-noise.ts';
import { edwardsYOf, montgomeryOf } from '../../../src/core/curve25519.ts';
import { openControl, sealControl } from '../../../src/core/handshake/control.ts';
import { createCookie, hasMac2, readCookie } from '../../../src/core/handshake/cookies.ts';
import { createInit, readInit, readInitStatic } from '../../../src/core/handshake/init.ts';
import { clientKeysOf, serverKeysOf, tagKeysOf } from '../../../src/core/handshake/keys.ts';
import { decodeInitPayload, decodeResponsePayload } from '../../../src/core/handshake/payloads.ts';
import { createReset, isReset } from '../../../src/core/handshake/reset.ts';
import { createResponse, readResponse } from '../../../src/core/handshake/response.ts';
import type { NoiseCrypto } from '../../../src/core/noise/types.ts';
import { isTaggedRight, tagged } from '../../../src/core/tag/tag.ts';
import { millis } from '../../../src/core/units.ts';
import { flipped, source, taken } from './ends.ts';

const page = readFileSync(new URL('../../../docs/PROTOCOL.md', import.meta.url), 'utf8');

/** The vectors of the page: a name, and below it, indented, its bytes. */
function readVectors(): ReadonlyMap<string, Uint8Array> {
  const [, block = ''] = /```text\n([^`]*)```\n\n<!-- end of vectors -->/.exec(page) ?? [];
  const parts = [...block.matchAll(/^(\S.*)\n((?: {2}[0-9a-f]+\n)+)/gm)];
  return new Map(
    parts.map(([, name = '', lines = '']) => [
      name,
      Uint8Array.from(Buffer.from(lines.replaceAll(/\s/g, ''), 'hex')),
    ]),
  );
}

const vectors = readVectors();
const used = new Set<string>();

/** Of that name; a name that is a beginning will do. */
function vector(name: string): Uint8Array {
  const all = [...vectors];
  const found =
    all.find(([whole]) => whole === name) ?? all.find(([whole]) => whole.startsWith(`${name} `));
  if (!found) throw new Error(`docs/PROTOCOL.md has no ${name}`);
  used.add(found[0]);
  return found[1];
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('nothing');
  return value;
}

const drawing = (bytes: Uint8Array): NoiseCrypto => ({ ...noiseCrypto, random: () => bytes });
const client = dhPairOf(vector('seed of the client'));
const server = dhPairOf(vector('seed of the server'));
const secret = vector('shared secret');
const clientKeys = known(clientKeysOf(noiseCrypto, client, server.publicKey, secret));
const serverKeys = serverKeysOf(noiseCrypto, server);
const index = { client: 0x01_0203, server: 0x0a_0b0c };
const initPayload = known(decodeInitPayload(vector('payload of INIT')));
const responsePayload = known(decodeResponsePayload(vector('payload of RESPONSE')));

const init = (cookie?: Uint8Array) =>
  createInit(
    drawing(vector('ephemeral secret of the client')),
    clientKeys,
    { index: index.client, payload: initPayload },
    cookie,
  );
const heard = () =>
  taken(
    readInit(
      noiseCrypto,
      taken(readInitStatic(noiseCrypto, serverKeys, vector('INIT'))),
      vector('psk'),
    ),
  );
const session = () => taken(readResponse(noiseCrypto, init().pending, vector('RESPONSE'))).session;

describe('the vectors of docs/PROTOCOL.md (else: npm run docs)', () => {
  it('keys', () => {
    for (const [side, pair] of [
      ['client', client],
      ['server', server],
    ] as const) {
      const edwards = publicKeyOf(vector(`seed of the ${side}`));
      expect(vector(`the ${side}'s ed25519 public key`)).toEqual(edwards);
      const publicKey = vector(`the ${side}'s X25519 public key`);
      expect(pair.publicKey).toEqual(publicKey);
      expect(montgomeryOf(edwards)).toEqual(publicKey);
      expect(edwardsYOf(publicKey)).toEqual(edwards.with(31, (edwards[31] ?? 0) & 0x7f));
    }
    expect(clientKeys.psk).toEqual(vector('psk'));
    expect(clientKeys.mac1).toEqual(vector('mac1 key'));
    expect(serverKeys.mac1).toEqual(vector('mac1 key'));
    expect(serverKeys.reset).toEqual(vector('reset key'));
    expect(serverKeys.cookie).toEqual(vector('cookie key'));
  });

  it('INIT', () => {
    expect(init().packet).toEqual(vector('INIT'));
    expect(heard()).toMatchObject({ payload: initPayload, index: index.client });
    expect(heard().responseKey).toEqual(vector('response key'));
  });

  it('COOKIE', () => {
    const maker = { secret: vector('secret of cookies'), now: millis(0) };
    const packet = vector('COOKIE');
    const crypto = drawing(packet.subarray(8, 24));
    expect(createCookie(crypto, serverKeys, maker, source, vector('INIT'))).toEqual(packet);
    const cookie = taken(readCookie(clientKeys, init().pending, packet));
    expect(cookie).toEqual(vector('cookie'));
    expect(init(cookie).packet).toEqual(vector('the same INIT'));
    expect(hasMac2(maker, source, vector('the same INIT'))).toBe(true);
  });

  it('RESPONSE, and the keys that it gives', () => {
    const crypto = drawing(vector('ephemeral secret of the server'));
    const payload = responsePayload;
    const response = createResponse(crypto, heard(), { index: index.server, payload });
    expect(response.packet).toEqual(vector('RESPONSE'));
    const ours = session();
    expect(ours.sendIndex).toBe(index.server);
    expect(ours.sendKey).toEqual(vector('control key of the client'));
    expect(ours.receiveKey).toEqual(vector('control key of the server'));
    expect(ours.chainingKey).toEqual(vector('ck at the end'));
    const keys = tagKeysOf(noiseCrypto, ours);
    for (const side of ['client', 'server'] as const) {
      expect(noiseCrypto.sha256(keys[side])).toEqual(
        vector(`SHA-256 of the tag key of the ${side}`),
      );
    }
  });

  it('CONTROL and RESET', () => {
    const ours = session();
    const messages = [
      { kind: 'path-response', challenge: responsePayload.challenge },
      { kind: 'ping', id: 7 },
    ] as const;
    const packet = vector('CONTROL of the client, counter 0:');
    const sealed = sealControl(noiseCrypto, ours, messages);
    expect(sealed.packet).toEqual(packet);
    const attest = {
      kind: 'attest',
      epoch: 0xffff_ffff,
      packets: 1000n,
      bytes: 1_400_000n,
    } as const;
    const next = vector('CONTROL of the client, counter 1:');
    expect(sealControl(noiseCrypto, sealed.session, [attest]).packet).toEqual(next);
    const theirs = { ...ours, receiveKey: ours.sendKey, receiveIndex: ours.sendIndex };
    expect(taken(openControl(noiseCrypto, theirs, packet)).messages).toEqual(messages);
    expect(createReset(serverKeys, source, packet)).toEqual(vector('RESET'));
    expect(isReset(ours, responsePayload.resetToken, vector('RESET'))).toBe(true);
  });

  it('tags of both levels', () => {
    const { client: key } = tagKeysOf(noiseCrypto, session());
    const inner = vector('inner packet');
    for (const [level, counter] of [
      ['header', 1],
      ['full', 0xffff_ffff],
    ] as const) {
      const packet = vector(`the same with a tag of the client, ${level}, counter ${counter}`);
      expect(tagged({ level, index: index.server, counter }, key, inner)).toEqual(packet);
      for (const [bit, other] of flipped(packet)) {
        const covered = level === 'full' || bit < (16 + 64) * 8;
        expect(isTaggedRight(key, other), `${level}, bit ${bit}`).toBe(!covered);
      }
    }
  });

  it('are all of them', () => {
    expect([...vectors.keys()].filter((name) => !used.has(name))).toEqual([]);
    expect(vectors.size).toBeGreaterThan(30);
  });
});
