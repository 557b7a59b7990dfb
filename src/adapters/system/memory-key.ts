import { createHash } from 'node:crypto';
import { encodePublicKey, type PublicKey } from '../../core/public-key.ts';
import { replayKey } from '../../core/auth/schemes.ts';
import type { PeerConfig } from '../../core/config/tunnel-config.ts';

/**
 * What a peer's memory is found by. Of a public key, the key: whatever the peer, its section or the
 * device is called, what protects from replays of its packets is the same. Without one there is nothing
 * to replay, and memory is about who was admitted: the name, and where it must come from.
 */
export function memoryKey({ id, proof, auth, remoteHost, remotePort }: PeerConfig): string {
  const key = replayKey(proof);
  if (key) return keyOf(digestOfKey(key));
  const host = auth.byRemoteIp ? ` ${remoteHost}` : '';
  const port = auth.byRemotePort ? ` :${remotePort}` : '';
  return proof.kind === 'none' ? `none ${id}${host}${port}` : `${proof.kind} ${id}`;
}

/** The key of a public key's digest. */
export function keyOf(digest: string): string {
  return `ed25519 ${digest}`;
}

/** The start of a public key's SHA-256, 16 hexadecimal digits. */
export function digestOfKey(key: PublicKey): string {
  return createHash('sha256').update(encodePublicKey(key)).digest('hex').slice(0, 16);
}
