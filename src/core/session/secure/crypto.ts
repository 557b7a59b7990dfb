import type { ClientKeys, ServerKeys } from '../../handshake/keys.ts';
import type { NoiseCrypto } from '../../noise/types.ts';

/** What session 2 works with, where both sides' keys are configured. Each is made when it is first asked for. */
export interface SecureCrypto {
  readonly noise: NoiseCrypto;
  readonly serverKeys: () => ServerKeys;
  /** Towards the other side; undefined where its public key is no good. */
  readonly clientKeys: () => ClientKeys | undefined;
  /** The other side's X25519 public key; undefined where it has none. */
  readonly peer: () => Uint8Array | undefined;
  readonly psk: () => Uint8Array;
}
