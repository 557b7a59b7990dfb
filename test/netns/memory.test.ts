import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { millis } from '../../src/core/units.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { DESCRIBED, Hosts, changed, type Daemon } from '../rig/daemon.ts';
import { addressesSettled, expectNoPing, expectPing } from '../rig/traffic.ts';

/*
 * What a server remembers of its peers, where it decides who goes on: after a crash, and when the disk is
 * full. The drawing is at the head of src/adapters/lab/topology.ts.
 */
const INNER = innerAddresses(0);
const OTHER_KEY = 'auth-remote-pubkey-b64 RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=';

let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
});

afterAll(async () => {
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

async function start(namespace: string, lines: readonly string[]): Promise<Daemon> {
  const daemon = await hosts.start(namespace, lines);
  daemons.push(daemon);
  return daemon;
}

/** A client that authenticates once: probes of the path would be requests as well. */
const CLIENT = changed(DESCRIBED.client, 'dataplane tun', 'keepalive 0', 'mtu 1400');

describe.each(['bpf', 'tun'])('after kill -9 on %s', (plane) => {
  const SERVER = changed(DESCRIBED.server, `dataplane ${plane}`);

  /** A server that was killed while it carried the client; when that had authenticated. */
  async function killed(): Promise<number | undefined> {
    const server = await start(lab.server, SERVER);
    await server.ready();
    const client = await start(lab.client(), CLIENT);
    await Promise.all([server.established(), client.established()]);
    const { authenticatedAt } = await server.ready();
    await server.kill();
    return authenticatedAt;
  }

  test('a peer whose key has been replaced does not go on', async () => {
    await killed();
    const next = await start(lab.server, changed(SERVER, OTHER_KEY));
    const { phase, establishedCount } = await next.ready();
    expect({ phase, establishedCount }).toEqual({ phase: 'listening', establishedCount: 0 });
    await expectNoPing(lab, lab.client(), INNER.server);
  });

  test('a peer of the same key goes on by another name', async () => {
    const authenticatedAt = await killed();
    const named = SERVER.filter((line) => !line.startsWith('auth-remote-pubkey'));
    const key = SERVER.filter((line) => line.startsWith('auth-remote-pubkey'));
    const peer = ['peer laptop', ...key, `tunl-peer-ip ${INNER.client}`];
    const next = await start(lab.server, [...named, ...peer]);
    await next.until('carrying', ({ establishedCount }) => establishedCount === 1, millis(10_000));
    expect((await next.peer('laptop')).authenticatedAt).toBe(authenticatedAt);
    await expectPing(lab, lab.client(), INNER.server);
  });
});

describe('a disk that is full', () => {
  const SERVER = changed(DESCRIBED.server, 'dataplane tun');
  const folder = (): string => hosts.env(lab.server)['IPIPOU_STATE_DIR'] ?? '';
  const ballast = (): string => path.join(folder(), 'ballast');

  beforeAll(() => {
    mkdirSync(folder(), { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder()]);
  });

  afterAll(() => {
    execFileSync('umount', [folder()]);
  });

  function fill(): void {
    try {
      for (;;) writeFileSync(ballast(), new Uint8Array(4096), { flag: 'a' });
    } catch {
      // It is full now.
    }
  }

  test('keeps the tunnel from starting, and the error says what mends it', async () => {
    fill();
    for (const more of [[], ['peer laptop', OTHER_KEY, 'tunl-peer-ip 172.28.0.9']]) {
      const server = await start(lab.server, [...SERVER, ...more]);
      const { code } = await server.program.finished;
      expect(code).not.toBe(0);
      expect(server.program.output()).toMatch(
        new RegExp(`cannot write .*${folder()}.*ENOSPC[^]*make room`),
      );
    }
    rmSync(ballast());
  });

  test('lets nobody in who is not in already, and is told; with room the peer is let in', async () => {
    const server = await start(lab.server, SERVER);
    await server.ready();
    await start(lab.client(), changed(CLIENT, 'keepalive 1'));
    await server.established();
    fill();
    // What the journal's last page still takes is no matter of the disk.
    const { troubles } = await server.until('in trouble', (status) => status.troubles.length > 0);
    expect(troubles.map(({ words }) => words).join()).toMatch(/memory cannot be written.*ENOSPC/);
    await expectPing(lab, lab.client(), INNER.server);
    await lab.remapNat();
    await expectNoPing(lab, lab.client(), INNER.server);
    rmSync(ballast());
    await server.until('out of trouble', (status) => status.troubles.length === 0);
    await expectPing(lab, lab.client(), INNER.server);
  });
});
