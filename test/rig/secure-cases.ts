/*
 * Session 2 by daemons, and what an attacker on the way gets done (docs/PROTOCOL.md, "What an attacker can do"). He sits
 * on the router, sees every packet, and forges the path that is admitted. The topology is drawn at the head of
 * src/adapters/lab/topology.ts.
 */
import { describe, expect, test } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import { SERVER_ADDRESS } from '../../src/adapters/lab/topology.ts';
import type { Path } from '../../src/core/addr.ts';
import { formatBase64 } from '../../src/core/base64.ts';
import type { Integrity } from '../../src/core/tag/types.ts';
import { millis } from '../../src/core/units.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { innerAddresses } from './addresses.ts';
import { changed, DESCRIBED, type Daemon } from './daemon.ts';
import { inNamespace } from './in-namespace.ts';
import type { LabScene } from './lab-scene.ts';
import { datagram } from './on-the-way.ts';
import { eventually } from './plane-pair.ts';
import { openRawBytes } from './raw-bytes.ts';
import { expectNothingLost, expectPing, innerEcho } from './traffic.ts';

const keys = generateKeyPair();
const SERVER_KEY = `auth-key-b64 ${formatBase64(keys.privateSeed)}`;
const SERVER_PUBLIC = `auth-remote-pubkey-b64 ${formatBase64(keys.publicKey)}`;
const INNER = innerAddresses(0);

export function describeSecure(
  plane: PlaneName,
  levels: readonly Integrity[],
  scene: LabScene,
  slowness = 1,
): void {
  const wait = millis(30_000 * slowness);
  describe.each(levels)(
    `session 2 on ${plane}, integrity %s`,
    { timeout: 120_000 * slowness },
    (integrity) => {
      const lines = [`dataplane ${plane}`, 'session v2', `integrity ${integrity}`];
      const serverLines = changed(DESCRIBED.server, SERVER_KEY, ...lines);
      const clientLines = changed(DESCRIBED.client, SERVER_PUBLIC, 'keepalive 2', ...lines);

      async function begin(
        ...more: readonly string[]
      ): Promise<{ readonly server: Daemon; readonly client: Daemon }> {
        const { lab, start } = scene;
        const server = await start(lab.server, serverLines);
        await server.ready(wait);
        const client = await start(lab.client(), changed(clientLines, ...more));
        const both = [client, server].map(async (daemon) => daemon.established(wait));
        for (const { session } of await Promise.all(both)) {
          expect(session).toMatchObject({ version: 2, integrity });
        }
        return { server, client };
      }

      test('carries packets of every size both ways', async () => {
        await begin();
        const { lab } = scene;
        await expectPing(lab, lab.client(), INNER.server);
        await expectPing(lab, lab.server, INNER.client);
        for (const size of [0, 36, 37, 100, 1000, 1428]) {
          const ping = ['ping', '-c3', '-i0.05', '-w10', '-s', String(size), INNER.server];
          const done = await lab.exec(lab.client(), ping);
          expect(done, `${size} bytes: ${done.stdout}`).toMatchObject({ code: 0 });
        }
      });

      test('what is forged on the admitted path comes in where nothing proves packets, and nowhere else', async () => {
        const { server } = await begin();
        const { lab } = scene;
        const { path } = await server.established();
        if (path === undefined) throw new Error('no path');
        const before = await echoesIn(lab.server);
        await inject(path, 20);
        if (integrity === 'none') {
          await eventually(async () => expect(await echoesIn(lab.server)).toBe(before + 20));
        } else {
          await eventually(async () => {
            const { refused, refusedBelow } = (await server.status()) ?? {};
            const counted = { ...refusedBelow, ...refused };
            const untagged = Object.entries(counted).filter(([reason]) => /untagged/.test(reason));
            expect(untagged.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThanOrEqual(20);
          });
          expect(await echoesIn(lab.server)).toBe(before);
        }
        await expectPing(lab, lab.client(), INNER.server);
      });

      test('a NAT that remaps is followed while data flows', async () => {
        const { server } = await begin();
        const { lab } = scene;
        const before = await server.established();
        const ping = lab.spawn(lab.client(), ['ping', '-i0.05', INNER.server]);
        await ping.waitFor(/icmp_seq=5 /);
        const seen = await lab.changeNatAddress();
        await server.until('moved', ({ path: now }) => now?.remote.ip === seen, wait);
        await ping.waitFor(answeredAgain(ping.stdout), wait);
        await ping.stop('SIGINT');
        const { session } = await server.established();
        expect(session?.since).toBe(before.session?.since);
        await lab.changeNatAddress();
      });

      test('a server that is killed goes on with its session; one that forgets begins anew at once', async () => {
        const { server } = await begin();
        const { lab, start } = scene;
        const before = await server.established();
        await server.kill();
        const next = await start(lab.server, serverLines);
        await next.ready(wait);
        if (plane !== 'tun' || integrity === 'none') {
          const ping = lab.spawn(lab.client(), ['ping', '-i0.1', INNER.server]);
          await ping.waitFor(/icmp_seq=3 /);
          await expectNothingLost(ping);
          const { session } = await next.established(wait);
          expect(session?.since).toBe(before.session?.since);
        }
        expect(await next.stop()).toBe(0);
        const fresh = await start(lab.server, serverLines);
        await fresh.established(wait);
        await expectPing(lab, lab.client(), INNER.server);
      });

      test.each(integrity === 'none' ? (['server', 'client'] as const) : [])(
        'other integrity than before, asked for at the %s while it runs, is agreed on at once',
        async (asked) => {
          // Whoever waits for the next question waits in vain.
          const daemons = await begin('keepalive 600');
          const { lab, hosts } = scene;
          const { device } = await daemons[asked].established();
          const [namespace, before] =
            asked === 'server'
              ? [lab.server, serverLines]
              : [lab.client(), changed(clientLines, 'keepalive 600')];
          for (const level of ['full', 'none']) {
            await hosts.writeConfig(namespace, device, changed(before, `integrity ${level}`));
            const done = await hosts.run(namespace, ['reload', device]);
            expect(done, done.stderr).toMatchObject({ code: 0 });
            for (const daemon of [daemons.server, daemons.client]) {
              await daemon.until(level, ({ session }) => session?.integrity === level, wait);
            }
            await expectPing(lab, lab.client(), INNER.server);
          }
        },
      );

      async function echoesIn(namespace: string): Promise<number> {
        const { stdout } = await scene.lab.exec(namespace, ['nstat', '-asz', 'IcmpInEchos']);
        return Number(/IcmpInEchos\s+(\d+)/.exec(stdout)?.[1] ?? NaN);
      }

      /** Echo requests of the client's, as if they came by its path; sent by the router. */
      async function inject(path: Path, count: number): Promise<void> {
        // The router would give what it sends itself another port than that of the client's mapping.
        const untracked =
          'add table ip forger; add chain ip forger out { type filter hook output priority -300; }; ' +
          'add rule ip forger out udp dport 10000 notrack';
        const made = await scene.lab.exec(scene.lab.router, ['nft', untracked]);
        expect(made).toMatchObject({ code: 0 });
        const raw = inNamespace(scene.lab.router, openRawBytes);
        try {
          for (let index = 0; index < count; index += 1) {
            const echo = innerEcho(INNER.client, INNER.server);
            raw.send(datagram(path.remote, path.local, echo), SERVER_ADDRESS);
          }
        } finally {
          raw.close();
          await scene.lab.exec(scene.lab.router, ['nft', 'delete table ip forger']);
        }
      }
    },
  );
}

function answeredAgain(stdout: string): (output: string) => boolean {
  return (output) => output.length > stdout.length + 200;
}
