import { verify as nodeVerify, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSessionCrypto, publicKeyOf } from '../../../src/adapters/crypto.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { isInnerPacket, startsLikeData } from '../../../src/core/wire/inner-packet.ts';
import { EXTENSION } from '../../../src/core/auth/extensions.ts';
import { field, HINT_LENGTH, hintOf, pathMtuOf } from '../../../src/core/auth/trailer.ts';
import {
  AUTH_V1_LENGTH,
  buildAuth,
  decodeAuth,
  encodeAuth,
  fingerprint,
  reversedReply,
  SALT_TRIES,
} from '../../../src/core/auth/v1.ts';
import { millis, seconds } from '../../../src/core/units.ts';

type Vector = {
  readonly case: string;
  readonly udp_payload: string;
  readonly captured_unix: number;
  readonly from_client_key: boolean;
  readonly from_server_key: boolean;
  readonly reverse_of_previous: boolean;
};

const fixture = new URL('../../fixtures/auth-v1.json', import.meta.url);
const { packets } = JSON.parse(readFileSync(fixture, 'utf8')) as {
  readonly packets: readonly Vector[];
};

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const secret = utf8('topsecret');
const clientSeed = Buffer.from('RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=', 'base64');
const clientPublic = Buffer.from('eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=', 'base64');
const serverSeed = Uint8Array.from({ length: 32 }, (_unused, index) => index);
const maxTimeDiscrepancy = seconds(300);

const proofOf = (privateSeed: Uint8Array | undefined, publicKey: Uint8Array | undefined) => {
  const peerPublicKey = publicKey && decodePublicKey(publicKey);
  return { kind: 'ed25519', privateSeed, peerPublicKey, secret, maxTimeDiscrepancy } as const;
};

/**
 * The first implementation's verifier, in its own words: at least 73 bytes; the first 64 are the
 * signature; what is left of the payload and then the secret is what was signed.
 */
function firstImplementationAccepts(payload: Uint8Array, publicKey: Uint8Array): boolean {
  if (payload.length < 73) return false;
  const x = Buffer.from(publicKey).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const message = Buffer.concat([payload.slice(64), secret]);
  return nodeVerify(null, message, key, payload.slice(0, 64));
}

const labelled = packets.map((vector, index) => ({
  name: `${vector.case}, packet ${index}`,
  payload: hex(vector.udp_payload),
  previous: hex(packets[index - 1]?.udp_payload ?? ''),
  vector,
}));

describe('packets of the first implementation', () => {
  it.each(labelled)('$name: verifies under the keys of its label', ({ payload, vector }) => {
    for (const [publicKey, expected] of [
      [clientPublic, vector.from_client_key],
      [publicKeyOf(serverSeed), vector.from_server_key],
    ] as const) {
      const proof = proofOf(undefined, publicKey);
      const occasion = {
        crypto: openSessionCrypto(proof),
        now: millis(vector.captured_unix * 1000),
      };
      const look = schemeOf(proof).takeRequest(undefined, payload, occasion);
      expect(look.ok && look.prove().ok).toBe(expected);
      expect(firstImplementationAccepts(payload, publicKey)).toBe(expected);
    }
  });

  it.each(labelled)('$name: is a reversal as labelled', ({ payload, previous, vector }) => {
    const reversed = Buffer.from(payload).equals(reversedReply(previous));
    expect(reversed).toBe(vector.reverse_of_previous);
  });

  const signed = labelled.filter(({ vector }) => vector.from_client_key || vector.from_server_key);
  it.each(signed)('$name: says when it was made', ({ payload, vector }) => {
    expect(decodeAuth(payload)?.time).toBe(vector.captured_unix);
    const scheme = schemeOf(proofOf(undefined, clientPublic));
    const crypto = openSessionCrypto(proofOf(undefined, clientPublic));
    const at = (unix: number) =>
      scheme.takeRequest(undefined, payload, { crypto, now: millis(unix * 1000) });
    const late = { ok: false, reason: 'clock', difference: -301 };
    expect(at(vector.captured_unix + 300).ok).toBe(true);
    expect(at(vector.captured_unix + 301)).toEqual(late);
    expect(at(vector.captured_unix - 301)).toEqual({ ...late, difference: 301 });
  });

  it('has a packet of each kind', () => {
    expect(packets.filter((vector) => vector.from_client_key)).not.toHaveLength(0);
    expect(packets.filter((vector) => vector.from_server_key)).not.toHaveLength(0);
    expect(packets.filter((vector) => vector.reverse_of_previous)).not.toHaveLength(0);
    const pings = packets.filter((vector) => vector.case === 'fou-ipip-ping');
    expect(pings.map((vector) => isInnerPacket(hex(vector.udp_payload)))).toEqual(
      pings.map(() => true),
    );
    expect(pings).not.toHaveLength(0);
  });

  it('is written again, byte for byte, from the fields that it carries', () => {
    const [first] = packets;
    if (!first) throw new Error('no vectors');
    const payload = hex(first.udp_payload);
    const { sign } = openSessionCrypto(proofOf(clientSeed, undefined));
    if (!sign) throw new Error('no key');
    const fields = { unixSeconds: seconds(first.captured_unix), salt: payload.slice(69, 73) };
    expect(encodeAuth({ secret }, fields, sign)).toEqual(payload);
  });
});

describe('encodeAuth', () => {
  const sign = (message: Uint8Array): Uint8Array => new Uint8Array(64).fill(message.length);

  it('writes signature, five bytes of time and salt', () => {
    const salt = hex('a1a2a3a4');
    const packet = encodeAuth({ secret }, { unixSeconds: seconds(0x0102030405), salt }, sign);
    expect(Buffer.from(packet).toString('hex')).toBe(`${'12'.repeat(64)}0102030405a1a2a3a4`);
  });

  it('writes the fields of the trailer behind, closed by a byte of padding', () => {
    const fields = {
      unixSeconds: seconds(1),
      salt: hex('a1a2a3a4'),
      extensions: [{ type: EXTENSION.hint, value: hex('0102030405060708') }],
    };
    const packet = encodeAuth({ secret }, fields, sign);
    const trailer = '01 0008 0102030405060708 00'.replaceAll(' ', '');
    expect(Buffer.from(packet.subarray(64)).toString('hex')).toBe(`0000000001a1a2a3a4${trailer}`);
    expect(packet[0], 'signed with the rest').toBe(9 + 12 + secret.length);
  });

  it('signs time, salt and secret', () => {
    let signed = new Uint8Array();
    encodeAuth(
      { secret },
      { unixSeconds: seconds(1795387450), salt: hex('01020304') },
      (message) => {
        signed = Uint8Array.from(message);
        return new Uint8Array(64);
      },
    );
    expect(Buffer.from(signed).toString('hex')).toBe(
      `006b03703a01020304${Buffer.from(secret).toString('hex')}`,
    );
  });
});

describe('buildAuth', () => {
  const crypto = openSessionCrypto(proofOf(clientSeed, undefined));
  const { sign, random } = crypto;
  if (!sign) throw new Error('no key');

  it('makes packets that the first implementation accepts and nobody takes for data, either way round', () => {
    for (let i = 0; i < 200; i++) {
      const packet = buildAuth({ secret }, seconds(1795387450 + i), { sign, random });
      expect(packet).toHaveLength(AUTH_V1_LENGTH);
      expect(startsLikeData(packet[0])).toBe(false);
      expect(startsLikeData(reversedReply(packet)[0])).toBe(false);
      expect(firstImplementationAccepts(packet, clientPublic)).toBe(true);
    }
  });

  it('makes them so with a hint, too, whatever the key', () => {
    for (let byte = 0; byte < 256; byte++) {
      const hint = new Uint8Array(HINT_LENGTH).fill(byte);
      const trailer = { extensions: [{ type: EXTENSION.hint, value: hint }] };
      const packet = buildAuth({ secret }, seconds(1795387450), { sign, random }, trailer);
      expect(packet).toHaveLength(85);
      expect(startsLikeData(packet[0])).toBe(false);
      expect(startsLikeData(reversedReply(packet)[0])).toBe(false);
      expect(hintOf(packet)).toEqual(hint);
      expect(firstImplementationAccepts(packet, clientPublic)).toBe(true);
    }
  });

  it('pads them to any length that is more, with what is signed and otherwise ignored', () => {
    const extensions = [field.pathMtu(1252)];
    for (let length = 0; length <= 1472; length += 7) {
      const packet = buildAuth({ secret }, seconds(1), { sign, random }, { extensions, length });
      expect(packet).toHaveLength(Math.max(AUTH_V1_LENGTH + 6, length));
      expect(pathMtuOf(packet)).toBe(1252);
      expect(hintOf(packet)).toBeUndefined();
      expect(startsLikeData(reversedReply(packet)[0])).toBe(false);
      expect(firstImplementationAccepts(packet, clientPublic)).toBe(true);
    }
  });

  it('gives up drawing salts after a bounded number of signatures', () => {
    let signatures = 0;
    const stubborn = (): Uint8Array => {
      signatures++;
      return new Uint8Array(64).fill(0x45);
    };
    const packet = buildAuth({ secret }, seconds(1), { sign: stubborn, random });
    expect(signatures).toBe(SALT_TRIES);
    expect(packet).toHaveLength(AUTH_V1_LENGTH);
  });
});

describe('decodeAuth', () => {
  it('refuses every length below 73 and takes every one from there', () => {
    for (let length = 0; length <= 120; length++) {
      expect(decodeAuth(new Uint8Array(length)) !== undefined).toBe(length >= 73);
    }
  });

  it('never throws and sees the bytes after the signature as signed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (payload) => {
        const packet = decodeAuth(payload);
        if (!packet) return payload.length < 73;
        const whole = [...packet.signature, ...packet.signed];
        return (
          packet.time < 2 ** 40 &&
          packet.signature.length === 64 &&
          whole.every((byte, index) => byte === payload[index])
        );
      }),
    );
  });

  it('reads what encodeAuth wrote', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 40 - 1 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        (time, salt) => {
          const signature = new Uint8Array(64).fill(7);
          const fields = { unixSeconds: seconds(time), salt };
          const packet = decodeAuth(encodeAuth({ secret }, fields, () => signature));
          expect(packet?.time).toBe(time);
          expect(packet?.signed.slice(5)).toEqual(salt);
        },
      ),
    );
  });
});

describe('fingerprint', () => {
  it('depends on the first half of the signature only', () => {
    const packet = new Uint8Array(73).fill(9);
    const altered = packet.slice();
    altered[40] = 1;
    const other = packet.slice();
    other[3] = 1;
    const print = (bytes: Uint8Array): string | undefined => {
      const decoded = decodeAuth(bytes);
      return decoded && fingerprint(decoded);
    };
    expect(print(altered)).toBe(print(packet));
    expect(print(other)).not.toBe(print(packet));
    expect(print(packet)).toMatch(/^[A-Za-z0-9+/]{32}$/);
  });
});
