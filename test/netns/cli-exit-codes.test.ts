import { afterAll, beforeAll, expect, test } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { EXIT } from '../../src/core/exit-codes.ts';
import { DESCRIBED, Hosts, IPIPOU, changed } from '../rig/daemon.ts';
import { addressesSettled, whatIsThere } from '../rig/traffic.ts';

/*
 * What stops a start on tun: the exit code says which part, the text what and why, and nothing that
 * was made stays. Only a server is needed of the topology at the head of src/adapters/lab/topology.ts.
 */
let lab: Topology;
let hosts: Hosts;

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  await addressesSettled(lab, lab.server);
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

const SERVER = changed(DESCRIBED.server, 'dataplane tun');
const CLIENT = changed(DESCRIBED.client, 'dataplane tun', '-fou-local');

const refusals: readonly {
  readonly what: string;
  readonly lines: readonly string[];
  readonly args?: readonly string[];
  readonly prepare?: readonly string[];
  readonly undo?: readonly string[];
  readonly code: number;
  readonly says: RegExp;
}[] = [
  {
    what: 'options are wrong',
    lines: changed(SERVER, 'fou-local-port 99999', 'nonsense yes'),
    code: EXIT.arguments,
    says: /fou-local-port: "99999": expected a port[^]*nonsense/,
  },
  {
    what: 'keys of another type are asked for',
    lines: changed(CLIENT, 'auth-key-type rsa'),
    code: EXIT.notImplemented,
    says: /ed25519, the only type implemented/,
  },
  {
    what: 'a device of that name is not ours',
    lines: SERVER,
    prepare: ['ip', 'link', 'add', 'ipipou0', 'type', 'veth', 'peer', 'name', 'other'],
    undo: ['ip', 'link', 'del', 'ipipou0'],
    code: EXIT.link,
    says: /ipipou0/,
  },
  {
    what: 'the local address is not of this host',
    lines: changed(SERVER, 'fou-local-ip 203.0.113.9', '-fou-dev'),
    code: EXIT.address,
    says: /203\.0\.113\.9.*EADDRNOTAVAIL/,
  },
  {
    what: 'the packet of reauth-only has no way out',
    lines: changed(CLIENT, 'fou-remote 192.0.2.77:10000'),
    args: ['--reauth-only'],
    code: EXIT.sendAuth,
    says: /no route to 192\.0\.2\.77/,
  },
];

test.each(refusals)('exit $code when $what', async (refusal) => {
  if (refusal.prepare) {
    expect(await lab.exec(lab.server, refusal.prepare)).toMatchObject({ code: 0 });
  }
  const before = await whatIsThere(lab, lab.server);
  const file = await hosts.writeConfig(lab.server, 'refused', refusal.lines);
  const done = await hosts.run(lab.server, ['--config', file, ...(refusal.args ?? [])]);
  expect(done.stderr).toMatch(refusal.says);
  expect(done.code).toBe(refusal.code);
  expect(await whatIsThere(lab, lab.server)).toBe(before);
  if (refusal.undo) await lab.exec(lab.server, refusal.undo);
});

test('an explicit plane that cannot be had names what is missing, and the command that mends it', async () => {
  const doctor = await hosts.run(lab.server, ['doctor', '--json']);
  const { planes } = JSON.parse(doctor.stdout) as {
    planes: readonly { name: string; works: boolean }[];
  };
  const works = planes.find(({ name }) => name === 'fou')?.works === true;
  const file = await hosts.writeConfig(
    lab.server,
    'fou',
    changed(DESCRIBED.server, 'dataplane fou'),
  );
  const program = lab.spawn(lab.server, [process.execPath, IPIPOU, '--config', file], {
    env: hosts.env(lab.server),
  });
  if (works) {
    await program.waitFor(/ready/);
    expect(await program.stop()).toMatchObject({ code: EXIT.ok });
  } else {
    const done = await program.finished;
    expect(done.code).toBe(EXIT.modprobe);
    expect(done.stderr).toMatch(/fou lacks kernel module fou[^]*hint: .*linux-image/);
  }
});

test('exit 100 when the tunnel device cannot be made', async () => {
  const file = await hosts.writeConfig(lab.server, 'no-tun', SERVER);
  const hide = 'mount --bind /dev/null /dev/net/tun && exec "$@"';
  const argv = [
    'unshare',
    '-m',
    'sh',
    '-c',
    hide,
    'sh',
    process.execPath,
    IPIPOU,
    '--config',
    file,
  ];
  const done = await lab.exec(lab.server, argv, { env: hosts.env(lab.server) });
  expect(done.stderr).toMatch(/TUNSETIFF: ENOTTY/);
  expect(done.code).toBe(EXIT.createTunnel);
});

test('a name server that never answers does not hold up the end', async () => {
  const file = await hosts.writeConfig(
    lab.server,
    'silent',
    changed(CLIENT, 'fou-remote ipipou.example:10000'),
  );
  // The neighbour is there in name only: queries leave and nothing comes back.
  await lab.exec(lab.server, [
    ...['ip', 'neigh', 'replace', '203.0.113.53', 'lladdr', '02:00:00:00:00:35', 'dev', 'eth0'],
  ]);
  const mount = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
  const servers = await hosts.writeConfig(lab.server, 'resolv', [
    'nameserver 203.0.113.53',
    'options timeout:20 attempts:3',
  ]);
  const argv = ['sh', '-c', mount, 'sh', servers, process.execPath, IPIPOU, '--config', file];
  const program = lab.spawn(lab.server, ['unshare', '-m', ...argv], { env: hosts.env(lab.server) });
  await program.waitFor(/ready/);
  // `stop` kills what has not ended in five seconds, and that would be another code.
  expect(await program.stop()).toMatchObject({ code: EXIT.ok });
});
