import { expect, test } from 'vitest';
import { generateKeyPair } from '../../../src/adapters/crypto.ts';
import { setPeer } from '../../../src/app/peer-changes.ts';
import type { PeerConfig } from '../../../src/core/config/tunnel-config.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { seconds } from '../../../src/core/units.ts';
import { keptSession } from '../session/kept-session.ts';
import { setUp } from './driver-scene.ts';
import { peerConfig } from './fakes.ts';

const peerPublicKey = decodePublicKey(generateKeyPair().publicKey);

function configWith(privateSeed: Uint8Array, changes: Partial<PeerConfig> = {}): PeerConfig {
  const secret = new Uint8Array(24);
  const maxTimeDiscrepancy = seconds(300);
  const proof = {
    kind: 'ed25519',
    privateSeed,
    peerPublicKey,
    secret,
    maxTimeDiscrepancy,
  } as const;
  return { ...peerConfig(), ...changes, proof };
}

const OWN = generateKeyPair().privateSeed;

/** What the session of a peer with OWN begins anew with when its config changes. */
async function startAfter(change: PeerConfig) {
  const { driver, slot, core, clock } = await setUp();
  await setPeer(driver, configWith(OWN), clock);
  const { state } = slot;
  if (state?.role !== 'server') throw new Error('no server');
  const { current } = keptSession(1);
  slot.state = { ...state, secure: { ...state.secure, current } };
  core.events.length = 0;
  await setPeer(driver, change, clock);
  await driver.close();
  return { start: core.events.find(({ kind }) => kind === 'start'), current };
}

test('a session goes on when only a timer is another', async () => {
  const { timers } = peerConfig();
  const change = configWith(OWN.slice(), { timers: { ...timers, keepalive: seconds(9) } });
  const { start, current } = await startAfter(change);
  expect(start).toMatchObject({ kept: { current } });
});

test('a session does not go on under another key of this side', async () => {
  const { start } = await startAfter(configWith(generateKeyPair().privateSeed));
  expect(start).toMatchObject({ kind: 'start', kept: undefined });
});
