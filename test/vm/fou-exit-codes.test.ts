import { afterAll, beforeAll, expect, it } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { EXIT } from '../../src/core/exit-codes.ts';
import { DESCRIBED, Hosts, changed } from '../rig/daemon.ts';
import { addressesSettled, whatIsThere } from '../rig/traffic.ts';
import { patience } from '../rig/patience.ts';

/*
 * What stops a start on fou: the exit code says which part, the text what and why, and nothing that
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

const refusals: readonly {
  readonly what: string;
  readonly prepare?: readonly string[];
  readonly undo?: readonly string[];
  readonly changes: readonly string[];
  readonly code: number;
  readonly says: RegExp;
}[] = [
  {
    what: 'a device of that name is not ours',
    prepare: ['ip', 'link', 'add', 'ipipou0', 'type', 'veth', 'peer', 'name', 'other'],
    undo: ['ip', 'link', 'del', 'ipipou0'],
    changes: [],
    code: EXIT.link,
    says: /ipipou0.*EEXIST.*veth/,
  },
  {
    what: 'the table has a set of that name and another type',
    prepare: ['nft', 'add table ip ipipou; add set ip ipipou p10000_admitted { type ipv4_addr; }'],
    undo: ['nft', 'delete', 'table', 'ip', 'ipipou'],
    changes: [],
    code: EXIT.nftables,
    says: /p10000_admitted|ipipou/,
  },
  {
    what: 'the FOU port is another protocol',
    prepare: ['ip', 'fou', 'add', 'port', '10000', 'gue'],
    undo: ['ip', 'fou', 'del', 'port', '10000'],
    changes: [],
    code: EXIT.fou,
    says: /FOU port 10000/,
  },
  {
    what: 'the local address is not of this host',
    changes: ['fou-local-ip 203.0.113.9', '-fou-dev'],
    code: EXIT.address,
    says: /203.0.113.9.*EADDRNOTAVAIL/,
  },
  {
    what: 'the outer device does not exist and the plane is explicit',
    changes: ['fou-dev nope0', 'dataplane fou'],
    code: EXIT.link,
    says: /nope0.*ENODEV/,
  },
];

it.each(refusals)('refuses to start when $what: exit $code', async (refusal) => {
  if (refusal.prepare) {
    expect(await lab.exec(lab.server, refusal.prepare)).toMatchObject({ code: 0 });
  }
  try {
    const before = await whatIsThere(lab, lab.server);
    const file = await hosts.writeConfig(
      lab.server,
      'refused',
      changed(DESCRIBED.server, ...refusal.changes),
    );
    const done = await hosts.run(lab.server, ['--config', file], { timeout: patience(30_000) });
    expect(done.stderr).toMatch(refusal.says);
    expect(done.code).toBe(refusal.code);
    expect(await whatIsThere(lab, lab.server)).toBe(before);
  } finally {
    if (refusal.undo) await lab.exec(lab.server, refusal.undo);
  }
});

it('refuses a UDP port that another program has, and says how to find it', async () => {
  const holder = lab.spawn(lab.server, [
    process.execPath,
    '-e',
    "require('dgram').createSocket('udp4').bind(10000, () => console.log('bound'))",
  ]);
  await holder.waitFor(/bound/);
  const file = await hosts.writeConfig(lab.server, 'taken', DESCRIBED.server);
  const done = await hosts.run(lab.server, ['--config', file], { timeout: patience(30_000) });
  expect(done).toMatchObject({ code: EXIT.fou });
  expect(done.stderr).toMatch(/EADDRINUSE/);
  expect(done.stderr).toContain('ss -ulpn');
  await holder.stop();
});

it('refuses a queue number that another daemon has, and names the option', async () => {
  await using first = await hosts.start(lab.server, DESCRIBED.server);
  await first.ready();
  const file = await hosts.writeConfig(
    lab.server,
    'queue',
    changed(DESCRIBED.server, 'number 5', '-fou-local-port', '-tunl-ip', 'queue-number 0'),
  );
  const done = await hosts.run(lab.server, ['--config', file], { timeout: patience(30_000) });
  expect(done).toMatchObject({ code: EXIT.queue });
  expect(done.stderr).toContain('queue-number');
  expect(await first.stop()).toBe(0);
});

it('refuses a second daemon for one device, and names the first', async () => {
  await using first = await hosts.start(lab.server, DESCRIBED.server);
  const { pid } = await first.ready();
  const file = await hosts.writeConfig(lab.server, 'again', DESCRIBED.server);
  const done = await hosts.run(lab.server, ['--config', file], { timeout: patience(30_000) });
  expect(done.code).toBe(EXIT.generic);
  expect(done.stderr).toContain(String(pid));
});

it('uses a FOU port that was there with the same meaning, and leaves it', async () => {
  const listener = ['ip', 'fou', 'add', 'port', '10000', 'ipproto', '4'];
  expect(await lab.exec(lab.server, listener)).toMatchObject({ code: 0 });
  const server = await hosts.start(lab.server, DESCRIBED.server);
  await server.ready();
  expect(server.program.output()).toMatch(/the FOU port was there already/);
  expect(await server.stop()).toBe(0);
  const shown = await lab.exec(lab.server, ['ip', 'fou', 'show']);
  expect(shown.stdout).toContain('port 10000 ipproto 4');
  await lab.exec(lab.server, ['ip', 'fou', 'del', 'port', '10000']);
});
