import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { keyPairText } from '../key-text.ts';
import { SUMMARIES } from './summaries.ts';

export const keygenCommand: Command = {
  name: 'keygen',
  summary: SUMMARIES.keygen,
  usage: `ipipou keygen [-v]

Prints a new ed25519 pair in base64: the private key (auth-key-b64 of one side), then the public key
(auth-remote-pubkey-b64 of the other). With -v the lines are labelled.`,
  endsAtOnce: true,
  async run(args, context) {
    const { flags } = readGiven('keygen', args, { flags: ['v'], names: [0, 0] });
    context.stdout(keyPairText(flags.has('v')));
    return EXIT.ok;
  },
};
