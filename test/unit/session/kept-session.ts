import { FRESH_WINDOW } from '../../../src/core/handshake/control-session.ts';
import type { KeptSession } from '../../../src/core/session/secure/state.ts';
import { millis } from '../../../src/core/units.ts';
import type { Integrity } from '../../../src/core/tag/types.ts';

/** What a run has left, which had sent as many packets as it says. */
export function keptSession(nextCounter: number, level: Integrity = 'none'): KeptSession {
  const control = {
    role: 'server',
    sendKey: new Uint8Array(32).fill(1),
    receiveKey: new Uint8Array(32).fill(2),
    chainingKey: new Uint8Array(32).fill(3),
    sendIndex: 0x01_02_03,
    receiveIndex: 0x0a_0b_0c,
    nextCounter,
    window: FRESH_WINDOW,
  } as const;
  const current = { control, level, since: millis(0), keptUntil: 0 };
  return { current, former: undefined, epoch: 0 };
}
