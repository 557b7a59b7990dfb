/*
 * The hook `verify`: a command of the operator that refuses who has proved himself, and lets him in later. The drawing is
 * at the head of src/adapters/lab/topology.ts.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import type { SessionChoice } from '../../src/core/config/tunnel-config.ts';
import { formatBase64 } from '../../src/core/base64.ts';
import type { Integrity } from '../../src/core/tag/types.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { innerAddresses } from './addresses.ts';
import { changed, DESCRIBED } from './daemon.ts';
import { labScene } from './lab-scene.ts';
import { patience } from './patience.ts';
import { eventually } from './plane-pair.ts';
import { expectPing } from './traffic.ts';

const keys = generateKeyPair();
const SERVER_KEY = `auth-key-b64 ${formatBase64(keys.privateSeed)}`;
const SERVER_PUBLIC = `auth-remote-pubkey-b64 ${formatBase64(keys.publicKey)}`;
const INNER = innerAddresses(0);
const TURNED_AWAY = 'turned away by the hook verify';

export type VerifyCase = {
  readonly plane: PlaneName;
  readonly session: SessionChoice;
  readonly integrity: Integrity;
};

export function testVerify(cases: readonly VerifyCase[]): void {
  const scene = labScene();

  test.each(cases)(
    '$plane, session $session, integrity $integrity',
    async ({ plane, session, integrity }) => {
      const { lab, hosts, start } = scene;
      const asked = path.join(hosts.folder, `asked-${plane}-${session}`);
      const open = path.join(hosts.folder, `open-${plane}-${session}`);
      const lines = [`dataplane ${plane}`, `session ${session}`, `integrity ${integrity}`];
      const server = await start(
        lab.server,
        changed(
          DESCRIBED.server,
          ...[SERVER_KEY, ...lines],
          `verify env | sort | grep ^IPIPOU_ >> ${asked}; test -e ${open} || { echo closed; exit 3; }`,
        ),
      );
      await server.ready();
      const clientLines = [SERVER_PUBLIC, ...lines];
      const client = await start(lab.client(), changed(DESCRIBED.client, ...clientLines));
      await server.program.waitFor(new RegExp(TURNED_AWAY));
      expect(server.program.output()).toMatch(/turned away .* error="exit code 3: closed"/);
      expect(server.program.output()).not.toContain('authenticated');
      const out = ['ping', '-c3', '-i0.2', '-W1', INNER.client];
      expect((await lab.exec(lab.server, out)).code).not.toBe(0);
      // In session 2 it learns that by being asked in vain.
      await client.until('kept out', ({ phase }) => phase === 'authenticating');
      expect(await server.status()).toMatchObject({
        establishedCount: 0,
        refused: { verify: expect.any(Number) as number },
      });

      writeFileSync(open, '');
      await vi.waitFor(
        async () => {
          client.program.signal('SIGUSR1');
          expect((await client.status())?.phase).toBe('established');
        },
        { timeout: patience(30_000), interval: 500 },
      );
      await server.established();
      await expectPing(lab, lab.client(), INNER.server);
      const environment = readFileSync(asked, 'utf8');
      expect(environment).toContain('IPIPOU_HOOK=verify\n');
      expect(environment).toMatch(/IPIPOU_ENDPOINT=203\.0\.113\.2:\d+\n/);
      expect(environment).not.toMatch(/topsecret/);
      // Not once for each request.
      const times = environment.split('IPIPOU_HOOK').length - 1;
      const told = server.program.output().split(TURNED_AWAY).length - 1;
      expect(times).toBe(told + 1);

      // Where the command says no again, a client that comes from elsewhere is out, also where it was.
      rmSync(open);
      await client.kill();
      const again = await start(
        lab.client(),
        changed(DESCRIBED.client, ...clientLines, 'fou-local-port 10001'),
      );
      await eventually(async () => expect((await server.status())?.establishedCount).toBe(0));
      await again.until('kept out', ({ phase }) => phase === 'authenticating');
    },
  );
}
