import { askDaemon, type Granted } from '../../app/management/ask-daemon.ts';
import { writeEdits } from '../../app/config-saver.ts';
import {
  deriveInvitation,
  freshBytes,
  freshSecret,
  generateKeyPair,
} from '../../adapters/crypto.ts';
import { formatBase64 } from '../../core/base64.ts';
import type { PeerOption } from '../../core/config/edit-peers.ts';
import { dropPeer } from '../../core/config/edit-peers.ts';
import { notingRemoval, notingSet } from '../../core/config/edit-text.ts';
import { addPeer, refuseMember } from '../../core/config/invite-peer.ts';
import { formatTime } from '../../core/config/options-invite.ts';
import type { PeerConfig, PeerId } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import { formatCode, SEED_BYTES } from '../../core/invite/code.ts';
import { clientFile } from '../../core/invite/files.ts';
import { seconds, type Seconds } from '../../core/units.ts';
import { misuse, readGiven, type Given } from '../arguments.ts';
import { warningsText } from '../changes-text.ts';
import type { Command, CommandContext } from '../command.ts';
import { loadConfig } from '../load-config.ts';
import type { Machine } from '../machine.ts';
import { addressOf, findServer, serverKeyOf, type Server } from '../setup/find-server.ts';
import { readSpan } from '../setup/read-span.ts';
import { readAs } from '../setup/values.ts';
import { whileWorking } from '../waiting.ts';
import { SUMMARIES } from './summaries.ts';

/** How long a code is good, seconds, where nothing is said. */
const EXPIRES = '1h';

const SHAPE = {
  valued: { expose: 'services', expires: 'a time', server: 'a tunnel' },
  flags: ['print', 'list', 'revoke'],
  names: [0, 1],
  what: "the new peer's name",
} as const;

export const inviteCommand: Command = {
  name: 'invite',
  summary: SUMMARIES.invite,
  usage: `ipipou invite NAME [--expose SERVICES] [--expires TIME] [--server NAME|FILE|DEVICE]
ipipou invite NAME --print [--expose SERVICES] [--server NAME|FILE|DEVICE]
ipipou invite --list [--server NAME|FILE|DEVICE]
ipipou invite NAME --revoke [--server NAME|FILE|DEVICE]

Adds the peer NAME with the next free addresses to a server's file and, where it runs, to the
running tunnel, and prints the line that joins the client: ipipou join CODE. Who has the code can
take that peer's place, once, until it expires (--expires 30m, 12h, 7d; an hour without): send it by
a way that others do not see. --expose tcp/443,udp/27015 exposes services of the client at this
server's address. --server is needed where there are several. With --print the client's whole file
is printed instead, its private key in it. --list tells of invitations that nobody has taken,
--revoke removes one.`,
  endsAtOnce: true,
  async run(args, context) {
    const given = readGiven('invite', args, SHAPE);
    const { flags, values } = given;
    const [name] = given.names;
    const machine = await context.machine();
    const server = await findServer(values.get('server'), machine);
    if (flags.has('list')) return list(server, machine, context);
    if (name === undefined) throw misuse('invite', "expected the new peer's name");
    if (flags.has('revoke')) return revoke(name, server, machine, context);
    return flags.has('print')
      ? print(name, given, server, machine, context)
      : invite(name, given, server, machine, context);
  },
};

async function invite(
  name: string,
  { values }: Given,
  server: Server,
  machine: Machine,
  context: CommandContext,
): Promise<ExitCode> {
  const exposing = readExposed(values.get('expose'));
  const now = Math.floor(machine.clock.now().unix / 1000);
  const until = seconds(now + readSpan('expires', values.get('expires') ?? EXPIRES));
  const seed = freshBytes(SEED_BYTES);
  const { publicKey, secret } = deriveInvitation(seed);
  const place = await addressOf(server, machine);
  const serverKey = serverKeyOf(server);
  const { innerIps: clientIps, exposed } = await add(name, server, machine, context, [
    ['auth-remote-pubkey-b64', formatBase64(publicKey)],
    ['invited-until', formatTime(until)],
    ['auth-secret', secret],
    ...exposing,
  ]);
  const serverIps = server.config.inner.ips;
  const code = formatCode({
    ...place,
    serverKey,
    seed,
    until,
    clientIps,
    serverIps,
    tunnel: server.config.name,
    exposed: exposed !== undefined,
  });
  context.stderr(
    `${name}: ${clientIps.join(', ')}, may join ${place.remote} until ${formatTime(until)}. ` +
      'On the client, as root, once:\n',
  );
  context.stdout(`ipipou join ${code}\n`);
  return EXIT.ok;
}

async function print(
  name: string,
  { values }: Given,
  server: Server,
  machine: Machine,
  context: CommandContext,
): Promise<ExitCode> {
  if (values.has('expires')) throw misuse('invite', 'a file does not expire: no --expires');
  const exposing = readExposed(values.get('expose'));
  const { remote } = await addressOf(server, machine);
  const serverKey = serverKeyOf(server);
  const { privateSeed, publicKey } = generateKeyPair();
  const secret = freshSecret();
  const { innerIps: clientIps, exposed } = await add(name, server, machine, context, [
    ['auth-remote-pubkey-b64', formatBase64(publicKey)],
    // This key is the client's own, whoever was invited before.
    ['invited-until', ''],
    ['auth-secret', secret],
    ...exposing,
  ]);
  const privateKey = formatBase64(privateSeed);
  const serverIps = server.config.inner.ips;
  const file = { number: 0, remote, clientIps, serverIps, privateKey, serverKey, secret };
  const heading = `Client ${name} of ${remote}. Holds its private key: mode 600.`;
  context.stdout(clientFile({ ...file, exposed: exposed !== undefined }, heading));
  return EXIT.ok;
}

/** As the option of a section has it. */
function readExposed(text: string | undefined): readonly PeerOption[] {
  if (text === undefined) return [];
  readAs('expose', 'expose', text);
  return [['expose', text]];
}

/** Adds the peer to the file and, where it runs, to the tunnel; the peer as it is now. */
async function add(
  peer: string,
  { path, entry, config, base, loaded }: Server,
  machine: Machine,
  context: CommandContext,
  options: readonly PeerOption[],
): Promise<PeerConfig> {
  if (entry !== undefined) {
    const request = { request: 'add-peer', peer, options } as const;
    const granted: Granted = await whileWorking(askDaemon(entry, machine, request), context);
    context.stderr(warningsText(granted));
    // What it had before, also what was set at run time, is in the file by now.
    const { resolved } = await loadConfig(['--config', path]);
    return peerOf('config' in resolved ? resolved.config.peers : [], peer, path);
  }
  const edit = addPeer(config.peers, base, peer, options);
  const edits = notingSet(new Map(), edit.peer, edit.options);
  await writeEdits(machine.configs, loaded.origin, edits, edit.peers);
  context.stderr(`warning: the server does not run: ipipou up ${config.name}\n`);
  return peerOf(edit.peers, peer, path);
}

function peerOf(peers: readonly PeerConfig[], peer: string, path: string): PeerConfig {
  const found = peers.find(({ id }) => id === peer);
  if (found !== undefined) return found;
  throw new IpipouError('generic', `somebody has taken peer ${peer} out of ${path} again`);
}

async function revoke(
  peer: string,
  { entry, config, base, loaded }: Server,
  machine: Machine,
  context: CommandContext,
): Promise<ExitCode> {
  if (entry !== undefined) {
    await whileWorking(askDaemon(entry, machine, { request: 'revoke', peer }), context);
  } else {
    refuseMember(config.peers, peer);
    const { peers } = dropPeer(config.peers, base, peer);
    const edits = notingRemoval(new Map(), peer as PeerId);
    await writeEdits(machine.configs, loaded.origin, edits, peers);
  }
  context.stdout(`${peer}: its invitation is void\n`);
  return EXIT.ok;
}

function list({ config }: Server, machine: Machine, { stdout }: CommandContext): ExitCode {
  const now = machine.clock.now().unix / 1000;
  const state = (until: Seconds): string => (until <= now ? 'expired' : 'open');
  for (const { id, invitedUntil, innerIps } of config.peers) {
    if (invitedUntil === undefined) continue;
    const end = formatTime(invitedUntil);
    stdout(`${id}: ${state(invitedUntil)}, until ${end}, ${innerIps.join(', ')}\n`);
  }
  return EXIT.ok;
}
