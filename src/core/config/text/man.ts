import { EXIT, type ExitName } from '../../exit-codes.ts';
import { formatUsage, groupOptions } from './describe.ts';
import type { CommandHelp } from './help.ts';
import { example, formatEntry, paragraph, roff } from './roff.ts';

const EXIT_WORDS: Readonly<Record<ExitName, string>> = {
  ok: 'Done.',
  generic: 'Anything not named below.',
  arguments: 'Wrong options, on the command line or in a file. Nothing was changed.',
  notEstablished:
    'A peer that should be there has not proved itself (status, up --wait), or a server could not be joined (join).',
  troubled:
    'All peers are there, but something is wrong (status); or there are warnings alone (doctor NAME).',
  modprobe: 'A kernel module could not be loaded.',
  queue: 'The queue (NFQUEUE) failed.',
  nftables: 'nftables refused.',
  address: 'An IP address could not be set.',
  link: 'A network device could not be made or changed.',
  fou: 'A FOU listener could not be made or removed.',
  createTunnel: 'The tunnel could not be made.',
  updateTunnel: 'The tunnel could not be pointed to a new address.',
  sendAuth: 'An authentication packet could not be sent.',
  notImplemented: 'Sound input that this version does not support.',
  cleanUp: 'Not everything could be removed at the end.',
};

/** The page ipipou(8), in the man macros. `version` stands in its footer. */
export function formatManPage(version = '', commands: readonly CommandHelp[] = []): string {
  const lines = [
    `.TH IPIPOU 8 "" "${roff(version === '' ? 'ipipou' : `ipipou ${version}`)}" ""`,
    '.SH NAME',
    'ipipou \\- authenticated IP-in-UDP tunnels that the kernel forwards',
    '.SH SYNOPSIS',
    '.B ipipou',
    '.RI [ OPTION ]...',
    ...(commands.length === 0 ? [] : ['.br', '.B ipipou', '.I COMMAND', '.RI [ ARGUMENT ]...']),
    '.SH DESCRIPTION',
    ...paragraph(
      'Hosts behind NAT become reachable through a tunnel that carries IPv4 and IPv6 in UDP. The client ' +
        "proves who it is with a packet from the tunnel's own port; the server points the tunnel to " +
        'where it came from. From then on the kernel carries the packets (on the plane tun, a thread of ' +
        'the program). Inner traffic is not encrypted.',
    ),
    ...(commands.length === 0 ? [] : ['.SH COMMANDS']),
    ...commands.flatMap(formatCommand),
    '.SH OPTIONS',
    'Defaults are in brackets; N is the value of',
    '.BR \\-\\-number .',
    ...groupOptions().flatMap(({ title, note, options }) => [
      `.SS ${roff(title)}`,
      ...(note === undefined ? [] : paragraph(note)),
      ...options.flatMap((option) => formatEntry(option, formatUsage(option))),
    ]),
    '.SH CONFIG FILES',
    ...FORMAT,
    'The page ipipou.conf(5) has examples.',
    ...PEERS_PAGE,
    '.SH SIGNALS',
    '.TP',
    '.BR SIGTERM ", " SIGINT',
    'Take the tunnel down and exit.',
    '.TP',
    '.B SIGUSR1',
    'Client: authenticate again.',
    '.TP',
    '.B SIGHUP',
    ...paragraph(
      'Read the config again and make the peers those of its files; a client authenticates again, ' +
        'too. A faulty file changes nothing.',
    ),
    '.TP',
    '.B SIGQUIT',
    ...paragraph(
      'Exit at once and leave the tunnel as it is: what the kernel forwards (fou, bpf) goes on, and ' +
        'the next run takes it over. So systemctl restart loses no packet.',
    ),
    '.SH EXIT STATUS',
    ...(Object.keys(EXIT_WORDS) as ExitName[]).flatMap((name) => [
      '.TP',
      `.B ${EXIT[name]}`,
      ...paragraph(EXIT_WORDS[name]),
    ]),
    '.SH FILES',
    '.TP',
    '.I /etc/ipipou/NAME.conf',
    'Options of the tunnel NAME.',
    ...PLACES.flatMap(({ folder, file, what }) => [
      '.TP',
      `.I ${roff(`${folder}/${file}`)}`,
      ...paragraph(what),
    ]),
    '.SH ENVIRONMENT',
    ...PLACES.flatMap(({ folder, variable, instead }) => [
      '.TP',
      `.B ${variable}`,
      ...paragraph(`A folder in place of ${folder}${instead ?? ''}.`),
    ]),
    '.TP',
    '.B NO_COLOR',
    ...paragraph('No colours on a terminal.'),
    '.SH EXAMPLES',
    ...example("A server, with the client's public key:", SERVER_EXAMPLE),
    '.PP',
    ...example('Its client:', CLIENT_EXAMPLE),
    '.PP',
    ...example('New keys, with labels:', ['ipipou --auth-keygen -v']),
    '.SH SEE ALSO',
    '.BR ipipou.conf (5),',
    '.BR ip\\-fou (8),',
    '.BR nft (8)',
  ];
  return `${lines.join('\n')}\n`;
}

type Place = Readonly<Record<'folder' | 'file' | 'variable' | 'what', string>> & {
  /** What goes before the variable. */
  readonly instead?: string;
};

/** Where a tunnel keeps what, and the variable that names another place. */
const PLACES: readonly Place[] = [
  {
    folder: '/run/ipipou',
    file: 'NETNS/DEVICE/',
    variable: 'IPIPOU_RUN_DIR',
    what: 'What runs now: its record, and two sockets: control.sock, for root, and status.sock, for the status-group as well.',
  },
  {
    folder: '/var/lib/ipipou',
    file: 'DEVICE-ROLE.journal',
    variable: 'IPIPOU_STATE_DIR',
    instead: '; under systemd StateDirectory= goes before it',
    what: 'What a tunnel remembers of its peers across restarts: what stops replays, and who was admitted.',
  },
  {
    folder: '/var/log/ipipou',
    file: 'DEVICE.log',
    variable: 'IPIPOU_LOG_DIR',
    what: 'The log of a tunnel that was started by up; with .1 behind it, that of the run before.',
  },
  {
    folder: '/etc/systemd/system',
    file: 'ipipou@.service',
    variable: 'IPIPOU_UNIT_DIR',
    what: 'The unit of a tunnel, which service install writes; beside it ipipou.target.',
  },
];

/** A command: its synopsis, then what `help` says of it. */
function formatCommand({ summary, usage }: CommandHelp): readonly string[] {
  const [synopsis = '', ...rest] = usage.split('\n\n');
  const text = rest.map((part) =>
    /^ /m.test(part)
      ? ['.PP', '.nf', ...part.split('\n').map(roff), '.fi']
      : ['.IP', ...paragraph(part.replaceAll('\n', ' '))],
  );
  const [first = '', ...more] = synopsis.replaceAll(/\n +/g, ' ').split('\n');
  return [
    '.TP',
    `.B ${roff(first.replaceAll('`', ''))}`,
    ...more.flatMap((line) => ['.TQ', `.B ${roff(line.replaceAll('`', ''))}`]),
    ...paragraph(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`),
    ...text.flat(),
  ];
}

export const SERVER_EXAMPLE = [
  'server',
  'fou-dev eth0',
  'auth-remote-pubkey-b64 PUBLIC-KEY',
  'auth-secret SECRET',
  'auth-lifetime 3600',
  'reply-on-auth-ok',
];

export const CLIENT_EXAMPLE = [
  'client',
  'fou-local @eth0',
  'fou-remote server.example:10000',
  'tunl-ip 172.28.0.1',
  'auth-key-b64 PRIVATE-KEY',
  'auth-secret SECRET',
  'keepalive 27',
];

/** How a config file is written. */
export const FORMAT = paragraph(
  'One option a line, without hyphens; its value behind one space is the rest of the line. ' +
    'Blanks, tabs and hyphens before an option are ignored, and so are empty lines and lines ' +
    'that begin with #. What later files say wins over earlier ones, and the command line ' +
    'over all; within one file, or on the command line, a thing may be said once.',
);

/** Sections, and how peers change while the tunnel runs. */
export const PEERS_PAGE = [
  '.SH PEERS',
  ...paragraph(
    'A line with peer and a name begins the section of one more peer; the options after it, up to ' +
      'the next such line or the end of the file, are its own. Options marked per peer may stand ' +
      'there; those marked inherited, given before the first section, are the defaults of all. What ' +
      'stands before the first section describes a peer, called default, if there is no section, ' +
      'or if it says who that peer is (by key, token or remote address) or, on a client, where ' +
      'its server is.',
  ),
  '.PP',
  ...paragraph(
    'On a server a section needs tunl-peer-ip and a proof: the public key of the client, a token, ' +
      'or auth-by-remote-ip. A packet from inside is taken from the peer whose allowed-ips hold its ' +
      'source; one to the inside goes to the peer with the longest prefix that holds its ' +
      "destination. Routes to these prefixes are the tunnel's.",
  ),
  '.PP',
  ...paragraph(
    'ipipou set changes one peer of a running tunnel, ipipou syncconf makes its peers those of a ' +
      'file, and ipipou reload those of its own. None touches the traffic of peers that stay as ' +
      'they are. What ipipou set is given as arguments, others can see: of secrets give the file ' +
      'that holds them as @PATH, or - for standard input.',
  ),
  '.PP',
  ...example('A server of two clients:', [
    'server',
    'auth-secret SECRET',
    'auth-lifetime 3600',
    'peer laptop',
    'auth-remote-pubkey-b64 PUBLIC-KEY',
    'tunl-peer-ip 172.28.0.1',
    'peer office',
    'auth-remote-pubkey-b64 ANOTHER-PUBLIC-KEY',
    'tunl-peer-ip 172.28.0.2',
    'allowed-ips 10.1.0.0/16',
  ]),
  '.PP',
  ...example('Another client, while it runs:', [
    'ipipou set ipipou0 peer phone tunl-peer-ip 172.28.0.3 auth-token @/root/token',
  ]),
];
