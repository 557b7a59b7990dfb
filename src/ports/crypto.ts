/** The three things the session core cannot do purely; injected, so that a simulation is repeatable. */
export interface SessionCrypto {
  /** ed25519 signature (64 bytes) over `message` with the own private seed; absent without a key. */
  readonly sign?: (message: Uint8Array) => Uint8Array;
  /** Whether `signature` is the peer's over `message`; absent without the peer's public key. */
  readonly verify?: (message: Uint8Array, signature: Uint8Array) => boolean;
  /** `length` fresh random bytes. */
  readonly random: (length: number) => Uint8Array;
}
