import { rmSync } from 'node:fs';
import { joinServer, type JoinResult } from '../../app/join.ts';
import { deriveInvitation, generateKeyPair } from '../../adapters/crypto.ts';
import { openExchange } from '../../adapters/udp/exchange.ts';
import { parseOuterIp, type OuterIp } from '../../core/addr.ts';
import { formatBase64 } from '../../core/base64.ts';
import { formatTime } from '../../core/config/options-invite.ts';
import type { Proof, TunnelConfig } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';

import { parseCode, type Invitation } from '../../core/invite/code.ts';
import { clientFile, formatRemote } from '../../core/invite/files.ts';
import { decodePublicKey } from '../../core/public-key.ts';
import { Joining } from '../../core/session/joining.ts';
import { seconds } from '../../core/units.ts';
import { misuse, readGiven } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import type { Machine } from '../machine.ts';
import { freeNumber } from '../setup/neighbours.ts';
import { startForGood } from '../setup/start-for-good.ts';
import { newConfigPlace, refuseExisting, writeSound } from '../setup/write-config.ts';
import { waitForPeers } from '../start-tunnel.ts';
import { SUMMARIES } from './summaries.ts';

/** Seconds that the tunnel has to be there in. */
const WAIT = 30;

export const joinCommand: Command = {
  name: 'join',
  summary: SUMMARIES.join,
  usage: `ipipou join CODE|- [--name NAME|FILE]

Makes this host the client that \`ipipou invite\` on a server has made the code for: makes a key,
which never leaves this host, registers it at the server, writes /etc/ipipou/NAME.conf (mode 600;
NAME as the server's is called, unless it is given), starts the tunnel, by systemd where that runs,
and waits until the server has answered. When the server cannot be joined nothing is left, and the
reason is told. A code is good for one client. Others see the arguments of a command: with - the
code is read from standard input.`,
  async run(args, context) {
    const shape = { valued: { name: 'a name' }, names: [1, 1] as const, what: 'a code' };
    const given = readGiven('join', args.map(hideDash), shape);
    const [word = ''] = given.names;
    const reading = parseCode(word === STDIN ? await context.stdin() : word);
    if (!reading.ok) throw misuse('join', `this is no code: ${reading.why}`);
    const { invitation } = reading;
    const { path } = newConfigPlace('join', given.values.get('name') ?? invitation.tunnel);
    refuseExisting(path);
    const machine = await context.machine();
    await join(invitation, path, machine, context);
    const device = await start(path, context);
    return waitForPeers(device, WAIT, context);
  },
};

/** A word that is no flag, and no code. */
const STDIN = ':stdin';

function hideDash(argument: string): string {
  return argument === '-' ? STDIN : argument;
}

/** Writes the client's file and has the server take its key, or leaves nothing. */
async function join(
  invitation: Invitation,
  path: string,
  machine: Machine,
  context: CommandContext,
): Promise<void> {
  const { privateSeed, publicKey } = generateKeyPair();
  const { host, port, clientIps, serverIps, serverKey, exposed } = invitation;
  const remote = formatRemote(host, port);
  const { privateSeed: invitationSeed, secret } = deriveInvitation(invitation.seed);
  const addresses = await addressesOf(invitation, machine, context);
  const text = clientFile(
    {
      number: await freeNumber(path, machine.runs),
      ...{ remote, clientIps, serverIps, serverKey, secret, exposed },
      privateKey: formatBase64(privateSeed),
    },
    `Made by \`ipipou join\`, for ${remote}.`,
  );
  // On the disk before the server knows the key, which is nowhere else.
  const config = writeSound(path, text);
  const result = await joinServer(
    new Joining({
      invitation: signerOf({ ...proofOf(config), privateSeed: invitationSeed }, machine),
      own: signerOf(proofOf(config), machine),
      publicKey,
    }),
    { addresses, port },
    { open: openExchange, clock: machine.clock, signal: context.signal },
  );
  if (result.kind === 'joined') {
    context.stdout(`${path}: joined ${remote}, with the key ${decodePublicKey(publicKey)}\n`);
    return;
  }
  rmSync(path, { force: true });
  throw whyNot(result, invitation, machine);
}

async function addressesOf(
  { host }: Invitation,
  machine: Machine,
  { signal }: CommandContext,
): Promise<readonly OuterIp[]> {
  const literal = parseOuterIp(host);
  if (literal !== undefined) return [literal];
  return machine.resolver.resolve(host, ['ipv4', 'ipv6'], signal);
}

type Signed = Extract<Proof, { readonly kind: 'ed25519' }>;

function proofOf({ peers }: TunnelConfig): Signed {
  const [peer] = peers;
  if (peer?.proof.kind !== 'ed25519') throw new TypeError('a client without a key');
  return { ...peer.proof, maxTimeDiscrepancy: seconds(0) };
}

function signerOf(proof: Signed, machine: Machine) {
  return { proof, crypto: machine.sessionCrypto(proof) };
}

function whyNot(
  result: Exclude<JoinResult, { readonly kind: 'joined' }>,
  { host, port, until }: Invitation,
  machine: Machine,
): IpipouError {
  const remote = formatRemote(host, port);
  const nothing = 'nothing was changed here';
  if (result.kind === 'aborted') return new IpipouError('generic', `interrupted: ${nothing}`);
  if (result.kind === 'refused') {
    const { reason, seconds: by } = result.notice;
    const side = by > 0 ? 'ahead of' : 'behind';
    const words =
      reason === 'clock'
        ? `this host's clock is ${Math.abs(by)} s ${side} the server's`
        : `the server refuses the code (${reason})`;
    const hint =
      reason === 'clock' ? 'set the clock, then join again' : 'ipipou invite, on the server';
    return new IpipouError('notEstablished', `${remote}: ${words}: ${nothing}`, { hint });
  }
  const expired = until <= machine.clock.now().unix / 1000;
  const network = result.error === undefined ? '' : ` (${result.error})`;
  return new IpipouError(
    'notEstablished',
    expired
      ? `${remote} does not answer${network}: the code has expired at ${formatTime(until)}: ${nothing}`
      : `${remote} does not answer${network}: ${nothing}`,
    {
      hint: expired
        ? 'ipipou invite, on the server, makes another'
        : 'the code was used or revoked, or its server does not run, or is not reached: UDP port ' +
          `${port} of its firewall; ipipou show, there, tells`,
    },
  );
}

/** Starts what has joined. The file stays whatever comes: the code is used up, and the key is there alone. */
async function start(path: string, context: CommandContext): Promise<string> {
  try {
    return await startForGood(path, context);
  } catch (error) {
    context.stderr(`${path} stays: the server knows its key; ipipou up ${path} tries again\n`);
    throw error;
  }
}
