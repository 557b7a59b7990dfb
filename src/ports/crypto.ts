/** The session core says what it needs (core may not import ports); adapters implement it from here. */
export type { SessionCrypto } from '../core/session/types.ts';
export type { NoiseCrypto } from '../core/noise/types.ts';
