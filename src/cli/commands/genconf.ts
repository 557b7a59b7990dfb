import { join, resolve } from 'node:path';
import { existsSync } from 'node:fs';
import { freshSecret, generateKeyPair } from '../../adapters/crypto.ts';
import { writeNewConfig } from '../../adapters/system/config-store.ts';
import { addToIp } from '../../core/addr.ts';
import { formatBase64 } from '../../core/base64.ts';
import { FIRST_INNER_IP, FIRST_LOCAL_PORT } from '../../core/config/limits.ts';
import { parseDecimal } from '../../core/config/syntax.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { clientFile, formatRemote, sectionText, serverFile } from '../../core/invite/files.ts';
import { misuse, readGiven, type Given } from '../arguments.ts';
import type { Command } from '../command.ts';
import { firstOf } from '../setup/choose-host.ts';
import { readInside } from '../setup/read-inside.ts';
import { readAs, wrongValue } from '../setup/values.ts';
import { resolveNew } from '../setup/write-config.ts';
import { SUMMARIES } from './summaries.ts';

const CLIENTS_MAX = 1000;

const SHAPE = {
  valued: {
    address: "the server's address or name",
    clients: 'how many',
    dir: 'a folder',
    inner: 'a network inside the tunnel',
    port: 'a UDP port',
  },
  names: [0, 0],
} as const;

export const genconfCommand: Command = {
  name: 'genconf',
  summary: SUMMARIES.genconf,
  usage: `ipipou genconf --address HOST [--clients COUNT] [--dir DIR] [--port PORT] [--inner PREFIX]

Prints a server's config and that of its client, or of COUNT clients, which fit each other; the host
that it runs on is not looked at, and nothing is started. Each file begins with a line that has its
name. With --dir they are written there as server.conf, client1.conf … (mode 600), never over
others. The defaults are port ${FIRST_LOCAL_PORT} and 172.28.0.0/24.`,
  endsAtOnce: true,
  async run(args, { stdout }) {
    const given = readGiven('genconf', args, SHAPE);
    const files = makeFiles(given);
    for (const [name, text] of files) resolveNew(text, name);
    const folder = given.values.get('dir');
    if (folder === undefined) {
      for (const [name, text] of files) stdout(`# ---- ${name} ----\n${text}\n`);
      return EXIT.ok;
    }
    const paths = files.map(([name, text]) => [resolve(join(folder, name)), text] as const);
    const there = paths.find(([path]) => existsSync(path));
    if (there !== undefined) {
      throw new IpipouError('generic', `${there[0]} is there already: nothing was written`);
    }
    for (const [path, text] of paths) {
      writeNewConfig(path, text);
      stdout(`${path}\n`);
    }
    return EXIT.ok;
  },
};

function makeFiles({ values }: Given): readonly (readonly [name: string, text: string])[] {
  const address = values.get('address');
  if (address === undefined) throw misuse('genconf', 'expected --address and what clients go to');
  const { inviteHost: host, invitePort } = readAs('invite-address', 'address', address);
  if (host === undefined) throw wrongValue('address', address, 'an address or name');
  const portText = values.get('port');
  const { localPort: port = FIRST_LOCAL_PORT } =
    portText === undefined ? {} : readAs('fou-local-port', 'port', portText);
  const remote = formatRemote(host, invitePort ?? port);
  const inner = values.get('inner');
  const networks = inner === undefined ? [{ ip: FIRST_INNER_IP, length: 24 }] : readInside(inner);
  const serverIps = firstOf(networks);
  const secret = freshSecret();
  const server = generateKeyPair();
  const serverKey = formatBase64(server.publicKey);
  const clients = Array.from({ length: readCount(values.get('clients')) }, (_, at) => ({
    name: `client${at + 1}`,
    ips: serverIps.map((ip) => addToIp(ip, at + 1)),
    pair: generateKeyPair(),
  }));
  const sections = clients.map(({ name, ips, pair }) =>
    sectionText(name, [
      ['auth-remote-pubkey-b64', formatBase64(pair.publicKey)],
      ['tunl-peer-ip', ips.join(', ')],
    ]),
  );
  const top = serverFile(
    {
      ...{ number: 0, device: undefined, port, innerIps: serverIps, address, secret },
      privateKey: formatBase64(server.privateSeed),
    },
    'Made by `ipipou genconf`: the server. Holds secrets: mode 600.',
  );
  return [
    ['server.conf', top + sections.join('')],
    ...clients.map(({ name, ips, pair }): readonly [string, string] => [
      `${name}.conf`,
      clientFile(
        {
          ...{ number: 0, remote, clientIps: ips, serverIps, serverKey, secret, exposed: false },
          privateKey: formatBase64(pair.privateSeed),
        },
        `Made by \`ipipou genconf\`: ${name}. Holds secrets: mode 600.`,
      ),
    ]),
  ];
}

function readCount(text: string | undefined): number {
  if (text === undefined) return 1;
  const count = parseDecimal(text, 1, CLIENTS_MAX);
  if (count !== undefined) return count;
  throw wrongValue('clients', text, `a whole number from 1 to ${CLIENTS_MAX}`);
}
