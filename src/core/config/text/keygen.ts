import { formatBase64 } from '../../base64.ts';

/** An ed25519 key pair: the private seed and the public key, 32 bytes each. */
export type KeyPair = { readonly privateSeed: Uint8Array; readonly publicKey: Uint8Array };

/** What `auth-keygen` prints: the private key's line, then the public key's. */
export function formatKeyPair(pair: KeyPair, labelled: boolean): string {
  const label = (text: string) => (labelled ? `${text} key (ed25519, 32 bytes): ` : '');
  const lines = [
    `${label('Private')}${formatBase64(pair.privateSeed)}`,
    `${label('Public')}${formatBase64(pair.publicKey)}`,
  ];
  return `${lines.join('\n')}\n`;
}
