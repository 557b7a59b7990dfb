import { describe, expect, it } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import { formatBase64 } from '../../src/core/base64.ts';
import { millis } from '../../src/core/units.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import type { InnerIp } from '../../src/core/addr.ts';
import { inner, innerAddresses } from './addresses.ts';
import { changed, DESCRIBED } from './daemon.ts';
import { inventory, surplus } from '../../src/adapters/lab/inventory.ts';
import { headerOf, passes, SizedPath, Transfer } from './sized-path.ts';
import { sizedScene } from './sized-scene.ts';
import { expectTcp } from './transfer.ts';

const INNER = innerAddresses(0);
const INNER6 = { server: inner('fd28::'), client: inner('fd28::1') };
/** Of TCP, and its timestamps. */
const TCP_HEADER = 32;
const MIB = 1024 * 1024;
const PLENTY = 300_000;
/** A smaller link behind the router, which says nothing of it. */
const SMALL = 1300;
const keys = generateKeyPair();

const ALT = {
  name: 'from and to an alternative address',
  both: [],
  server: ['force-fou-local-ip-alt'],
  client: [],
  session: {},
};
const TAGS = {
  name: 'with a tag on each',
  both: ['session v2', 'integrity full'],
  server: [`auth-key-b64 ${formatBase64(keys.privateSeed)}`],
  client: [`auth-remote-pubkey-b64 ${formatBase64(keys.publicKey)}`],
  session: { version: 2, integrity: 'full' },
};

/** Packets of Ethernet's size inside, over a path that takes them in fragments only. */
export function describeFragments(
  plane: PlaneName,
  {
    tags = false,
    alt = false,
    slowness = 1,
  }: { readonly tags?: boolean; readonly alt?: boolean; readonly slowness?: number } = {},
): void {
  describe(`outer fragments on ${plane}`, { timeout: 90_000 * slowness }, () => {
    const scene = sizedScene(async () => SizedPath.make(false));
    const { daemons } = scene;

    async function start(
      both: readonly string[],
      server: readonly string[] = [],
      client: readonly string[] = [],
    ): Promise<void> {
      const { lab } = scene.path;
      const lines = [`dataplane ${plane}`, ...both];
      const there = await scene.hosts.start(
        lab.server,
        changed(DESCRIBED.server, ...lines, ...server),
      );
      const aim = 'fou-remote 203.0.113.1:10000';
      const here = await scene.hosts.start(
        lab.client(),
        changed(DESCRIBED.client, aim, ...lines, ...client),
      );
      daemons.push(there, here);
      for (const daemon of daemons) await daemon.established(millis(30_000 * slowness));
    }

    async function expectWhole({
      server,
      client,
    }: {
      readonly server: InnerIp;
      readonly client: InnerIp;
    } = INNER): Promise<void> {
      const { lab } = scene.path;
      expect(await passes(lab, lab.client(), server, 1500)).toBe(true);
      expect(await passes(lab, lab.server, client, 1500)).toBe(true);
      expect(await passes(lab, lab.client(), server, 1501)).toBe(false);
      const segment = 1500 - headerOf(server) - TCP_HEADER;
      for (const direction of ['up', 'down'] as const) {
        await using transfer = await Transfer.begin(lab, server, direction);
        const took = transfer.carries(PLENTY, segment, 15_000 * slowness);
        await expect(took).resolves.toBeGreaterThan(0);
      }
      await Promise.all([
        expectTcp(lab.client(), lab.server, server, MIB),
        expectTcp(lab.server, lab.client(), client, MIB),
      ]);
    }

    it('packets of 1500 bytes pass whole, also by a router with a smaller link that says nothing', async () => {
      await scene.path.takes(1500, true);
      const before = await inventory(scene.path.lab.server);
      await start(['mtu 1500', 'outer-fragments']);
      await expectWhole();
      await scene.path.takes(SMALL);
      await expectWhole();
      expect(daemons[1]?.program.output()).toMatch(/fragments/);
      for (const daemon of daemons) await daemon.stop();
      const { nftables, links } = await inventory(scene.path.lab.server);
      expect(surplus([...nftables, ...links], [...before.nftables, ...before.links])).toEqual([]);
    });

    it('of IPv4 and IPv6 inside', async () => {
      await scene.path.takes(1500, true);
      await start(
        ['mtu 1500', 'outer-fragments'],
        [`tunl-ip ${INNER.server},${INNER6.server}`],
        [`tunl-ip ${INNER.client},${INNER6.client}`],
      );
      await expectWhole();
      await expectWhole(INNER6);
    });

    it('without it they do not', async () => {
      await scene.path.takes(1500, true);
      await start(['mtu 1500']);
      expect(await passes(scene.path.lab, scene.path.lab.client(), INNER.server, 1473)).toBe(false);
    });

    it.each([...(alt ? [ALT] : []), ...(tags ? [TAGS] : [])])(
      '$name',
      async ({ both, server, client, session }) => {
        await scene.path.takes(1500, true);
        await start(['mtu 1500', 'outer-fragments', ...both], server, client);
        expect((await daemons[0]?.established())?.session).toMatchObject(session);
        await expectWhole();
      },
    );
  });
}
