import { expect, test } from 'vitest';
import { decodePublicKey } from '../../src/core/public-key.ts';
import type { PeerConfig, Proof } from '../../src/core/config/tunnel-config.ts';
import { planePeer } from '../../src/core/plane-peer.ts';
import { seconds } from '../../src/core/units.ts';
import { inner } from '../rig/addresses.ts';

const BYTES = Uint8Array.from({ length: 32 }, (_, at) => at);
const KEY = decodePublicKey(BYTES);

const keys = (peerPublicKey: typeof KEY | undefined): Proof => ({
  kind: 'ed25519',
  ...{ privateSeed: undefined, peerPublicKey, secret: new Uint8Array() },
  maxTimeDiscrepancy: seconds(0),
});

function known(proof: Proof): ReturnType<typeof planePeer> {
  return planePeer({
    id: 'a',
    innerIps: [inner('10.0.0.1')],
    allowedIps: 'any',
    proof,
  } as unknown as PeerConfig);
}

test('a plane is told where a peer may send from, and the hint of its key and its address, nothing else', () => {
  const peer = known(keys(KEY));
  expect(Object.keys(peer)).toEqual(['id', 'innerIps', 'allowedIps', 'hint', 'remote']);
  expect(peer.hint).toEqual(BYTES.slice(0, 8));
  expect(peer.hint?.buffer.byteLength).toBe(8);
});

test.each<[string, Proof]>([
  ['without a key', keys(undefined)],
  ['with a token', { kind: 'token', token: new Uint8Array(8) }],
  ['without a proof', { kind: 'none' }],
])('a peer %s has no hint', (_, proof) => {
  expect(known(proof).hint).toBeUndefined();
});
