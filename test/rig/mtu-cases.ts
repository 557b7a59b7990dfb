import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { millis } from '../../src/core/units.ts';
import type { TunnelStatus } from '../../src/ports/control.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { innerAddresses } from './addresses.ts';
import { changed, type Daemon, DESCRIBED, Hosts } from './daemon.ts';
import { passes, SizedPath, Transfer } from './sized-path.ts';

const INNER = innerAddresses(0);

/** Segments of inner packets of 1472 and 1252 bytes: less 20 of IPv4, 20 of TCP, 12 of its timestamps. */
const WHOLE = 1420;
const SMALL = 1200;
/** Enough that nothing but full segments can have carried it. */
const PLENTY = 300_000;

export type MtuOptions = {
  /** How many times as long everything may take. */
  readonly slowness?: number;
  /** Which way the transfer goes that the path shrinks under. */
  readonly directions?: readonly ('up' | 'down')[];
  /** Whether to try the same without a small path, and without probes; else only what is wanted. */
  readonly controls?: boolean;
};

/** A tunnel on a plane, through a router that is a smaller path than its links, or becomes one. */
export function describeMtu(plane: PlaneName, options: MtuOptions = {}): void {
  const { slowness = 1, directions = ['up', 'down'], controls = true } = options;
  describe.each([
    ['says what is too big', true],
    ['swallows what is too big without a word', false],
  ])('a router that %s', { timeout: 90_000 * slowness }, (_name, icmp) => {
    let path: SizedPath;
    let hosts: Hosts;
    const daemons: Daemon[] = [];

    beforeAll(async () => {
      path = await SizedPath.make(icmp);
      hosts = await Hosts.in(path.lab);
    });

    afterEach(async () => {
      await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
    });

    afterAll(async () => {
      await hosts[Symbol.asyncDispose]();
      await path[Symbol.asyncDispose]();
    });

    async function start(...client: readonly string[]): Promise<Daemon> {
      const { lab } = path;
      const plain = `dataplane ${plane}`;
      daemons.push(await hosts.start(lab.server, changed(DESCRIBED.server, plain)));
      const there = await hosts.start(lab.client(), changed(DESCRIBED.client, plain, ...client));
      daemons.push(there);
      const answered = (status: TunnelStatus): boolean => status.repliesVerified > 0;
      await there.until('replied to', answered, millis(30_000 * slowness));
      return there;
    }

    it('that is small from the start leaves TCP its full segments both ways', async () => {
      await path.takes(1280, true);
      const client = await start('mtu auto');
      await client.until('sized', (status) => status.mtu === 1252, millis(20_000 * slowness));
      for (const direction of ['up', 'down'] as const) {
        await using transfer = await Transfer.begin(path.lab, INNER.server, direction);
        await expect(transfer.carries(PLENTY, SMALL, 15_000 * slowness)).resolves.toBeGreaterThan(
          0,
        );
      }
      expect(await passes(path.lab, path.lab.client(), INNER.server, 1252)).toBe(true);
      expect(await passes(path.lab, path.lab.client(), INNER.server, 1253)).toBe(false);
      expect(await passes(path.lab, path.lab.server, INNER.client, 1252)).toBe(true);
    });

    it.each(directions)(
      'that shrinks in the middle of a transfer %s lets it go on',
      async (direction) => {
        await path.takes(1500, true);
        await start('mtu auto');
        await using transfer = await Transfer.begin(path.lab, INNER.server, direction);
        await expect(transfer.carries(PLENTY, WHOLE, 15_000 * slowness)).resolves.toBeGreaterThan(
          0,
        );
        await path.takes(1280);
        await expect(transfer.carries(PLENTY, SMALL, 30_000 * slowness)).resolves.toBeGreaterThan(
          0,
        );
      },
    );

    if (!controls) return;

    it('that is whole costs nothing', async () => {
      await path.takes(1500, true);
      const before = await path.icmpErrors();
      const client = await start('mtu auto');
      await using transfer = await Transfer.begin(path.lab, INNER.server, 'up');
      await expect(transfer.carries(PLENTY, WHOLE, 15_000 * slowness)).resolves.toBeGreaterThan(0);
      const { mtu, troubles } = await client.ready();
      expect({ mtu, troubles }).toEqual({ mtu: 1472, troubles: [] });
      expect(await path.icmpErrors()).toBe(before);
    });

    // Without an ICMP error nothing but a probe can tell: this is also what shows that the hole is one.
    it(`is ${icmp ? 'noticed' : 'not noticed without probes'}`, async () => {
      await path.takes(1500, true);
      await start(...(icmp ? [] : ['mtu 1472']));
      await using transfer = await Transfer.begin(path.lab, INNER.server, 'up');
      await expect(transfer.carries(PLENTY, WHOLE, 15_000 * slowness)).resolves.toBeGreaterThan(0);
      await path.takes(1280);
      const patience = icmp ? 15_000 * slowness : 4000;
      const goesOn = transfer.carries(PLENTY, SMALL, patience).then(() => true);
      expect(await goesOn.catch(() => false)).toBe(icmp);
    });
  });
}
