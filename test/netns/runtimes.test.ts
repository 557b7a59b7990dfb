import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { changed, DESCRIBED, Hosts } from '../rig/daemon.ts';
import { debianNode } from '../rig/debian-node.ts';
import { addressesSettled, expectPing, whatIsThere } from '../rig/traffic.ts';

/*
 * The built program on the Node that this Debian has in its archive, which is what the package depends on: on Debian 12
 * the oldest that will do. More runtimes can be tried by their paths: IPIPOU_TEST_NODES=/opt/node-24/bin/node:… The
 * drawing of the lab is at the head of src/adapters/lab/topology.ts.
 */
const NODES = [
  path.join(debianNode(), 'node'),
  ...(process.env['IPIPOU_TEST_NODES'] ?? '').split(':').filter((file) => file !== ''),
];
const INNER = innerAddresses(0);
const KEY = /^[A-Za-z0-9+/]{43}=$/;

let lab: Topology;

beforeAll(async () => {
  lab = await up();
  await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
});

afterAll(async () => {
  await lab.down();
});

describe.each(NODES)('%s', (node) => {
  test('commands', async () => {
    await using hosts = await Hosts.in(lab, node);
    const said = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await hosts.run(lab.server, args);
      expect({ code, stderr }, args.join(' ')).toEqual({ code: 0, stderr: '' });
      return stdout;
    };
    expect(await said('version')).toMatch(/^ipipou \d/);
    expect(await said('help')).toContain('usage: ipipou');
    expect(await said('doctor')).toMatch(/^ {2}ok +Node /);
    const [secret = '', key] = (await said('keygen')).split('\n');
    expect(secret).toMatch(KEY);
    const derived = await hosts.run(lab.server, ['pubkey'], { input: secret });
    expect(derived.stdout).toBe(`${key}\n`);
  });

  test.each(['tun', 'bpf'])('a tunnel comes up, carries and goes: %s', async (plane) => {
    await using hosts = await Hosts.in(lab, node);
    const before = await whatIsThere(lab, lab.server);
    const of = (lines: readonly string[]): string[] => changed(lines, `dataplane ${plane}`);
    await using server = await hosts.start(lab.server, of(DESCRIBED.server));
    await server.ready();
    await using client = await hosts.start(lab.client(), of(DESCRIBED.client));
    await Promise.all([server.established(), client.established()]);
    await expectPing(lab, lab.client(), INNER.server);
    await expectPing(lab, lab.server, INNER.client);
    const shown = await hosts.run(lab.server, ['show']);
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('established') });
    expect(await hosts.run(lab.client(), ['reload', 'ipipou0'])).toMatchObject({ code: 0 });
    expect([await client.stop(), await server.stop()]).toEqual([0, 0]);
    expect(await whatIsThere(lab, lab.server)).toBe(before);
  });
});
