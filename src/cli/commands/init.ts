import { freshSecret, generateKeyPair } from '../../adapters/crypto.ts';
import { formatBase64 } from '../../core/base64.ts';
import type { Prefix } from '../../core/addr.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { formatRemote, serverFile } from '../../core/invite/files.ts';
import { misuse, readGiven, type Given } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Machine } from '../machine.ts';
import {
  chooseInside,
  choosePort,
  findOutside,
  firstOf,
  formatNetworks,
  publicAddress,
} from '../setup/choose-host.ts';
import { freeNumber } from '../setup/neighbours.ts';
import { startForGood } from '../setup/start-for-good.ts';
import { readAs } from '../setup/values.ts';
import { readInside } from '../setup/read-inside.ts';
import { newConfigPlace, refuseExisting, writeSound } from '../setup/write-config.ts';
import { SUMMARIES } from './summaries.ts';

const VALUED = {
  address: 'the address or name that clients reach this server at',
  port: 'a UDP port',
  device: 'a network device',
  inner: 'a network inside the tunnel',
} as const;

export const initCommand: Command = {
  name: 'init',
  summary: SUMMARIES.init,
  usage: `ipipou init server [NAME|FILE] [--address HOST] [--port PORT] [--device DEVICE]
  [--inner PREFIX] [--no-start]

Makes /etc/ipipou/NAME.conf (home.conf without a name; mode 600), or FILE, never over one that is
there. What is not given it finds out: the device and the address of the default route, a free UDP
port from 10000, networks inside that nothing here uses (of IPv6 as well where this host has it). It
says what it chose. Then the tunnel is started: by systemd where that runs, for every boot.
--address takes HOST:PORT where a NAT before the server has another port, --inner one network, or
one of each family with a comma between. Next: ipipou invite.`,
  async run(args, context) {
    const shape = { valued: VALUED, flags: ['no-start'], names: [1, 2] as const, what: '`server`' };
    const given = readGiven('init', args, shape);
    const [role, word = 'home'] = given.names;
    if (role !== 'server')
      throw misuse('init', 'expected `server`: a client is made by ipipou join');
    const { path } = newConfigPlace('init', word);
    refuseExisting(path);
    const machine = await context.machine();
    const choice = await choose(path, given, machine);
    const secret = freshSecret();
    const privateKey = formatBase64(generateKeyPair().privateSeed);
    const heading = 'Made by `ipipou init server`. More clients: ipipou invite NAME.';
    writeSound(path, serverFile({ ...choice, privateKey, secret }, heading));
    context.stdout(`${path}: a server, with fresh keys\n${tellChoice(choice)}`);
    if (!given.flags.has('no-start')) await startForGood(path, context);
    context.stdout(`open UDP port ${choice.port} in its firewall; then: ipipou invite NAME\n`);
    return EXIT.ok;
  },
};

type Choice = {
  readonly number: number;
  readonly device: string;
  readonly port: number;
  readonly networks: readonly Prefix[];
  readonly innerIps: ReturnType<typeof firstOf>;
  readonly address: string;
};

async function choose(path: string, { values }: Given, machine: Machine): Promise<Choice> {
  const read = (flag: keyof typeof VALUED, option: string) => {
    const text = values.get(flag);
    return text === undefined ? {} : readAs(option, flag, text);
  };
  const { outerDevice } = read('device', 'fou-dev');
  const { localPort } = read('port', 'fou-local-port');
  const { inviteHost, invitePort } = read('address', 'invite-address');
  const inner = values.get('inner');
  const inside = inner === undefined ? undefined : readInside(inner);
  const host = machine.openHost();
  try {
    const outside = await findOutside(host, outerDevice);
    const { device } = outside;
    if (device === undefined) {
      throw new IpipouError('arguments', 'this host has no default route', {
        hint: 'name the device that clients come by: --device, and --address',
      });
    }
    const networks = inside ?? (await chooseInside(path, outside, host));
    const address = inviteHost ?? publicAddress(outside);
    if (address === undefined) {
      throw new IpipouError('arguments', 'this host has no public address of its own', {
        hint: 'name the address, or better the name, that clients reach it at: --address',
      });
    }
    return {
      number: await freeNumber(path, machine.runs),
      device,
      port: localPort ?? (await choosePort(path)),
      networks,
      innerIps: firstOf(networks),
      address: addressText(address, invitePort),
    };
  } finally {
    host.close();
  }
}

function addressText(host: string, port: number | undefined): string {
  if (port !== undefined) return formatRemote(host, port);
  return host.includes(':') ? `[${host}]` : host;
}

function tellChoice({ device, port, networks, innerIps, address }: Choice): string {
  const rows: readonly (readonly [string, string, string])[] = [
    ['outer device', device, '--device, fou-dev'],
    ['UDP port', `${port}`, '--port, fou-local-port'],
    ['clients reach it at', address, '--address, invite-address'],
    ['inside', `${innerIps.join(', ')} of ${formatNetworks(networks)}`, '--inner, tunl-ip'],
  ];
  return rows.map(([what, value, how]) => `  ${what}: ${value} (${how})\n`).join('');
}
