import { describe, expect, it, vi } from 'vitest';
import { formatEndpoint, type InnerIp } from '../../src/core/addr.ts';
import { millis, port } from '../../src/core/units.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import type { TunnelStatus } from '../../src/ports/control.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { inner, innerAddresses } from './addresses.ts';
import { changed, type Daemon, DESCRIBED } from './daemon.ts';
import { WITH_IPV6, type Combination } from './ends.ts';
import { patience } from './patience.ts';
import { headerOf, passes, SizedPath, Transfer } from './sized-path.ts';
import { sizedScene } from './sized-scene.ts';

const INNER = {
  ipv4: innerAddresses(0),
  ipv6: { server: inner('fd28::10'), client: inner('fd28::11') },
};
const LINK = 1500;
/** What the path takes when it is small: as little as it may, for what it has to carry. */
const SMALL_IPV4 = 1280;
const SMALL_IPV6 = 1400;
/** Of TCP, and its timestamps. */
const TCP_HEADER = 32;
/** Enough that nothing but full segments can have carried it. */
const PLENTY = 300_000;

export type MtuOptions = {
  /** How many times as long everything may take. */
  readonly slowness?: number;
  /** Which way the transfer goes that the path shrinks under. */
  readonly directions?: readonly ('up' | 'down')[];
  /** Whether to try the same without a small path, and without probes; else only what is wanted. */
  readonly controls?: boolean;
  /** Whether to try a router that says nothing, too. */
  readonly silent?: boolean;
  /** Families outside and inside; default IPv4. */
  readonly families?: Combination;
};

/** A tunnel on a plane, through a router that is a smaller path than its links, or becomes one. */
export function describeMtu(plane: PlaneName, options: MtuOptions = {}): void {
  const { slowness = 1, directions = ['up', 'down'], controls = true, silent = true } = options;
  const { outside, inside } = options.families ?? { outside: 'ipv4', inside: 'ipv4' };
  const { server: innerServer, client: innerClient } = INNER[inside];
  const smallPath = outside === inside && inside === 'ipv4' ? SMALL_IPV4 : SMALL_IPV6;
  const [wholeMtu, smallMtu] = [LINK, smallPath].map((size) => size - overheadOf(outside)) as [
    ...[number, number],
  ];
  const segment = (mtu: number): number => mtu - headerOf(innerServer) - TCP_HEADER;
  const [WHOLE, SMALL] = [segment(wholeMtu), segment(smallMtu)];
  const routers = [
    ['says what is too big', true],
    ['swallows what is too big without a word', false],
  ] as const;
  describe.each(routers.slice(0, silent ? 2 : 1))(
    `${inside} in ${outside}, a router that %s`,
    { timeout: 90_000 * slowness },
    (_name, icmp) => {
      const scene = sizedScene(async () => SizedPath.make(icmp, outside));
      const { daemons } = scene;

      async function start(...client: readonly string[]): Promise<Daemon> {
        const { lab } = scene.path;
        const plain = `dataplane ${plane}`;
        const remote = formatEndpoint({ ip: lab.serverAddress(outside), port: port(10_000) });
        const ofServer = changed(DESCRIBED.server, plain, `tunl-ip ${innerServer}`);
        daemons.push(await scene.hosts.start(lab.server, ofServer));
        const aim = [`fou-remote ${remote}`, `tunl-ip ${innerClient}`];
        const ofClient = changed(DESCRIBED.client, plain, ...aim, ...client);
        const there = await scene.hosts.start(lab.client(), ofClient);
        daemons.push(there);
        const answered = (status: TunnelStatus): boolean => status.repliesVerified > 0;
        await there.until('replied to', answered, millis(30_000 * slowness));
        return there;
      }

      /** The server learns it by the client's next request; segments are as large as both ends allow at first. */
      async function bothKnow(mtu: number): Promise<void> {
        const known = (status: TunnelStatus): boolean => status.mtu === mtu;
        for (const daemon of daemons) {
          await daemon.until(`sized ${mtu}`, known, millis(20_000 * slowness));
        }
      }

      it('that is small from the start leaves TCP its full segments both ways', async () => {
        await scene.path.takes(smallPath, true);
        await start('mtu auto');
        await bothKnow(smallMtu);
        for (const direction of ['up', 'down'] as const) {
          await using transfer = await Transfer.begin(scene.path.lab, innerServer, direction);
          await expect(transfer.carries(PLENTY, SMALL, 15_000 * slowness)).resolves.toBeGreaterThan(
            0,
          );
        }
        // What ICMP said is believed at once; a search that is still going on may allow less for a moment.
        const fits = async (from: string, to: InnerIp, size: number): Promise<void> =>
          vi.waitFor(async () => expect(await passes(scene.path.lab, from, to, size)).toBe(true), {
            timeout: patience(10_000 * slowness),
          });
        await fits(scene.path.lab.client(), innerServer, smallMtu);
        expect(
          await passes(scene.path.lab, scene.path.lab.client(), innerServer, smallMtu + 1),
        ).toBe(false);
        await fits(scene.path.lab.server, innerClient, smallMtu);
      });

      it.each(directions)(
        'that shrinks in the middle of a transfer %s lets it go on',
        async (direction) => {
          await scene.path.takes(1500, true);
          await start('mtu auto');
          await bothKnow(wholeMtu);
          await using transfer = await Transfer.begin(scene.path.lab, innerServer, direction);
          await expect(transfer.carries(PLENTY, WHOLE, 15_000 * slowness)).resolves.toBeGreaterThan(
            0,
          );
          await scene.path.takes(smallPath);
          await expect(transfer.carries(PLENTY, SMALL, 30_000 * slowness)).resolves.toBeGreaterThan(
            0,
          );
        },
      );

      if (!controls) return;

      it('that is whole costs nothing', async () => {
        await scene.path.takes(1500, true);
        const before = await scene.path.icmpErrors();
        const client = await start('mtu auto');
        await bothKnow(wholeMtu);
        await using transfer = await Transfer.begin(scene.path.lab, innerServer, 'up');
        await expect(transfer.carries(PLENTY, WHOLE, 15_000 * slowness)).resolves.toBeGreaterThan(
          0,
        );
        const { mtu, troubles } = await client.ready();
        expect({ mtu, troubles }).toEqual({ mtu: wholeMtu, troubles: [] });
        expect(await scene.path.icmpErrors()).toBe(before);
      });

      // Without an ICMP error nothing but a probe can tell: this is also what shows that the hole is one.
      it(`is ${icmp ? 'noticed' : 'not noticed without probes'}`, async () => {
        await scene.path.takes(1500, true);
        await start(...(icmp ? [] : [`mtu ${wholeMtu}`]));
        await bothKnow(wholeMtu);
        await using transfer = await Transfer.begin(scene.path.lab, innerServer, 'up');
        await expect(transfer.carries(PLENTY, WHOLE, 15_000 * slowness)).resolves.toBeGreaterThan(
          0,
        );
        await scene.path.takes(smallPath);
        const patience = icmp ? 15_000 * slowness : 4000;
        const goesOn = transfer.carries(PLENTY, SMALL, patience).then(() => true);
        expect(await goesOn.catch(() => false)).toBe(icmp);
      });
    },
  );
}

/** The same with IPv6 outside, inside or both, as far as that is another case. */
export function describeMtuOfIpv6(plane: PlaneName, slowness = 1): void {
  for (const families of WITH_IPV6) {
    const pure = families.outside === families.inside;
    describeMtu(plane, {
      ...{ families, slowness, controls: false, silent: pure },
      directions: pure ? ['up'] : [],
    });
  }
}
