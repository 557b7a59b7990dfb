import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { publicKeyText } from '../key-text.ts';
import { SUMMARIES } from './summaries.ts';

export const pubkeyCommand: Command = {
  name: 'pubkey',
  summary: SUMMARIES.pubkey,
  usage: `ipipou pubkey < FILE

Reads a private key (base64, 32 bytes) from standard input and prints its public key.`,
  endsAtOnce: true,
  async run(args, context) {
    readGiven('pubkey', args, { names: [0, 0] });
    context.stdout(publicKeyText(await context.stdin()));
    return EXIT.ok;
  },
};
