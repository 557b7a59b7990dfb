import { generateKeyPair, publicKeyOf } from '../adapters/crypto.ts';
import { formatBase64, parseBase64 } from '../core/base64.ts';
import { KEY_BYTES } from '../core/public-key.ts';
import { formatKeyPair } from '../core/config/text/keygen.ts';
import { IpipouError } from '../core/errors.ts';

/** A new pair, as `keygen` and `--auth-keygen` print it. */
export function keyPairText(labelled: boolean): string {
  return formatKeyPair(generateKeyPair(), labelled);
}

/** The public key's line for a private key's; throws with exit `arguments`, never showing the key. */
export function publicKeyText(privateText: string): string {
  const seed = parseBase64(privateText.trim());
  if (seed?.length === KEY_BYTES) return `${formatBase64(publicKeyOf(seed))}\n`;
  const what = seed === undefined ? 'no base64' : `${seed.length} bytes of base64`;
  throw new IpipouError(
    'arguments',
    `pubkey: standard input is ${what}; expected one private key, ${KEY_BYTES} bytes in base64`,
    { hint: 'ipipou keygen prints one on its first line' },
  );
}
