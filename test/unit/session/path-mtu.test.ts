import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  takeRequest,
  createPathMtu,
  pathLimit,
  takeTooBig,
} from '../../../src/core/session/path-mtu.ts';
import { pathReport } from '../../../src/core/session/path-mtu-search.ts';
import {
  PATH_MTU_MIN,
  pathSizes,
  PROBE_RESOLUTION,
} from '../../../src/core/session/path-mtu-limits.ts';
import { millis } from '../../../src/core/units.ts';
import { Link } from './path-mtu-link.ts';

const BUSY = () => ({ received: true, sent: true });
const MINUTE = 60_000;

/** A link whose path has been searched. */
function searched(...options: ConstructorParameters<typeof Link>): Link {
  const link = new Link(...options);
  link.answered();
  link.pass(20_000);
  return link;
}

describe('the first search', () => {
  it('takes one exchange on a whole path, and limits nothing', () => {
    const link = searched();
    expect(link.sent.map(({ size }) => size)).toEqual([1472, 0]);
    expect(link.limit).toBeUndefined();
    expect(link.told).toBe(1472);
  });

  it('is not begun before the peer has answered, nor by a side that does not probe', () => {
    const quiet = new Link();
    quiet.pass(10 * MINUTE, BUSY);
    const listening = new Link({}, false);
    listening.answered();
    listening.pass(10 * MINUTE, BUSY);
    expect([...quiet.sent, ...listening.sent]).toEqual([]);
  });

  it.each([
    ['a black hole at 1280', { forward: 1252 }, 1252],
    ['PPPoE', { forward: 1464 }, 1464],
    ['a size that nobody has', { forward: 1337 }, 1337],
    ['a way back that is smaller', { forward: 1472, back: 1392 }, 1392],
    ['a way there that is smaller', { forward: 1372, back: 1472 }, 1372],
    ['a slow path', { forward: 1252, roundTrip: 900 }, 1252],
    ['answers out of order', { forward: 1252, roundTrip: 20, jitter: 500 }, 1252],
    ['the first implementation', { forward: 1252, back: 1252, replies: 'bare' as const }, 1252],
  ])('finds %s', (_name, options, size) => {
    const link = new Link(options);
    link.answered();
    link.pass(60_000);
    expect(link.state.search).toBeUndefined();
    expect(link.limit).toBeLessThanOrEqual(size);
    expect(link.limit).toBeGreaterThan(size - PROBE_RESOLUTION);
    expect(link.told).toBe(link.limit);
    expect(link.sent.length).toBeLessThan(60);
  });

  it('lets traffic go on within three seconds of the first answer', () => {
    const link = new Link({ forward: 1252 });
    link.answered();
    link.pass(3000);
    expect(link.limit).toBe(1252);
    expect(link.told).toBe(1252);
  });

  it('ends at what the path takes, or a little less, however much is lost at random', () => {
    const path = fc.integer({ min: 900, max: 1472 });
    const loss = fc.double({ min: 0, max: 0.08, noNaN: true });
    fc.assert(
      fc.property(path, loss, fc.integer(), (forward, lost, seed) => {
        const link = new Link({ forward, loss: lost, seed, jitter: 100 });
        // Under loss a round, or a whole search, may fail: a regular answer begins another.
        for (let minute = 0; minute < 3; minute++) {
          link.answered();
          link.pass(30_000);
        }
        // When just the wrong packets are lost the peer seems to answer nothing that is padded: it is asked again later.
        for (let again = 0; link.state.mute === 'padding' && again < 3; again++) {
          link.pass(11 * MINUTE);
          link.answered();
          link.pass(MINUTE);
        }
        expect(link.limit ?? 1472).toBeLessThanOrEqual(forward);
        if (lost === 0) expect(link.limit ?? 1472).toBeGreaterThan(forward - PROBE_RESOLUTION);
      }),
      { numRuns: 300 },
    );
  });

  it('stays below what a server looks at: five packets a second and ten saved', () => {
    for (const forward of [1252, 1337, 600]) {
      const link = searched({ forward });
      let tokens = 10;
      let last = 0;
      for (const { at } of link.sent) {
        tokens = Math.min(10, tokens + ((at - last) / 1000) * 5) - 1;
        last = at;
        expect(tokens).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('limits nothing where padded requests are never answered, and asks again only much later', () => {
    const link = searched({ replies: 'unpadded' });
    expect(link.limit).toBeUndefined();
    expect(link.state.mute).toBe('padding');
    const sent = link.sent.length;
    link.answered();
    link.pass(MINUTE);
    expect(link.sent).toHaveLength(sent);
    link.pass(10 * MINUTE);
    link.answered();
    link.pass(MINUTE);
    expect(link.sent.length).toBeGreaterThan(sent);
  });

  it('gives up on a peer that does not answer, and begins anew when it does', () => {
    const link = searched({ replies: 'none' });
    expect(link.state).toMatchObject({ mute: 'silent', search: undefined });
    expect(link.limit).toBeUndefined();
    expect(link.sent.length).toBeLessThan(20);
    link.replies = 'exact';
    link.answered();
    link.pass(MINUTE);
    expect(link.state).toMatchObject({ mute: undefined, proved: { size: 1472 } });
  });
});

describe('a path that changes', () => {
  it('sends nothing while nothing flows', () => {
    const link = searched();
    const sent = link.sent.length;
    link.pass(60 * MINUTE, () => ({ received: false, sent: false }));
    expect(link.sent).toHaveLength(sent);
  });

  it('is confirmed every half minute while data flows', () => {
    const link = searched();
    const sent = link.sent.length;
    link.pass(10 * MINUTE, BUSY);
    expect(link.sent.length - sent).toBeGreaterThanOrEqual(18);
    expect(link.sent.length - sent).toBeLessThanOrEqual(20);
    expect(link.limits).toEqual([]);
  });

  it('is followed within seconds when a transfer stalls in a black hole', () => {
    const link = searched();
    link.pass(MINUTE, BUSY);
    link.forward = link.back = 1252;
    const begin = link.now;
    link.pass(10_000, () => ({ received: false, sent: true }));
    expect(link.limit).toBe(1252);
    expect((link.limits.at(-1)?.at ?? 0) - begin).toBeLessThan(6000);
  });

  it('is followed when small packets go on flowing', () => {
    const link = searched();
    link.pass(MINUTE, BUSY);
    link.forward = link.back = 1392;
    link.pass(40_000, BUSY);
    expect(link.limit).toBe(1392);
    expect(link.told).toBe(1392);
  });

  it('is followed up again within ten minutes', () => {
    const link = searched({ forward: 1252 });
    expect(link.limit).toBe(1252);
    link.forward = link.back = 1472;
    link.pass(11 * MINUTE, BUSY);
    expect(link.limit).toBeUndefined();
    expect(link.told).toBe(1472);
  });

  it('keeps its size through an outage', () => {
    const link = searched({ forward: 1252 });
    link.pass(MINUTE, BUSY);
    link.replies = 'none';
    link.pass(5 * MINUTE, () => ({ received: false, sent: true }));
    expect(link.limit).toBe(1252);
    link.replies = 'exact';
    link.pass(MINUTE, BUSY);
    expect(link.limit).toBe(1252);
  });

  it('is not limited by losses at random', () => {
    const link = searched({ loss: 0.05, seed: 7 });
    link.pass(120 * MINUTE, BUSY);
    expect(link.limit).toBeUndefined();
  });

  it('is searched again when its route takes another size', () => {
    const link = searched();
    link.ceiling(1400);
    expect(link.limit).toBeUndefined();
    link.answered();
    link.pass(MINUTE);
    expect(link.state.proved?.size).toBe(1400);
    link.ceiling(1472);
    link.pass(MINUTE);
    expect(link.state.proved?.size).toBe(1472);
  });
});

describe('ICMP', () => {
  it('limits at once where nothing is probed, and for ten minutes', () => {
    const link = new Link({}, false);
    link.tooBig(1252);
    expect(link.limit).toBe(1252);
    link.pass(9 * MINUTE);
    expect(link.limit).toBe(1252);
    link.pass(2 * MINUTE);
    expect(link.limit).toBeUndefined();
  });

  it.each([
    ['less than every path takes', 500],
    ['no less than what is sent', 1472],
    ['more', 9000],
  ])('is not believed when it says %s', (_name, size) => {
    const link = new Link({}, false);
    link.tooBig(size);
    expect(link.limit).toBeUndefined();
  });

  it('that says no size takes the next common one', () => {
    const link = new Link({}, false);
    link.tooBig(undefined);
    expect(link.limit).toBe(1464);
  });

  it('is looked at once a second', () => {
    const link = new Link({}, false);
    link.tooBig(1400);
    link.tooBig(700);
    expect(link.limit).toBe(1400);
    link.pass(1000);
    link.tooBig(700);
    expect(link.limit).toBe(700);
  });

  it('that is forged lowers for a moment, is proved wrong, and is doubted from then on', () => {
    const link = searched();
    link.tooBig(600);
    expect(link.limit).toBe(600);
    link.pass(2000);
    expect(link.limit).toBeUndefined();
    const before = link.limits.length;
    for (let again = 0; again < 20; again++) {
      link.tooBig(600);
      link.pass(2000);
    }
    expect(link.limits).toHaveLength(before);
  });

  it('in a flood does not keep a search from ending', () => {
    const link = searched();
    link.forward = link.back = 1252;
    for (let again = 0; again < 20; again++) {
      link.tooBig(1000 - again);
      link.pass(1000);
    }
    link.pass(20_000);
    expect(link.limit).toBe(1252);
  });

  it('that is true is proved, and outlives its ten minutes', () => {
    const link = searched();
    link.forward = link.back = 1252;
    link.tooBig(1252);
    expect(link.limit).toBe(1252);
    link.pass(20_000);
    expect(link.limit).toBe(1252);
    link.pass(30 * MINUTE, BUSY);
    expect(link.limit).toBe(1252);
  });
});

describe('the side that is told', () => {
  const begin = createPathMtu(pathSizes('ipv4', false), false, undefined);
  const at = (seconds: number) => millis(seconds * 1000);

  it('limits itself to what the other has proved', () => {
    const told = takeRequest(begin, { length: 90, report: 1252 }, at(1));
    expect(pathLimit(told)).toBe(1252);
    expect(pathReport(told)).toBeUndefined();
    expect(pathLimit(takeRequest(told, { length: 90, report: undefined }, at(2)))).toBe(1252);
    expect(pathLimit(takeRequest(told, { length: 90, report: 1472 }, at(2)))).toBe(1472);
    expect(pathLimit(takeRequest(begin, { length: 90, report: 3 }, at(1)))).toBe(PATH_MTU_MIN);
  });

  it('believes ICMP until the other side has proved it wrong since', () => {
    const told = takeRequest(begin, { length: 90, report: 1472 }, at(1));
    const shrunk = takeTooBig(told, 1252, at(10));
    expect(pathLimit(shrunk)).toBe(1252);
    // What was proved earlier proves nothing.
    const stale = takeRequest(shrunk, { length: 90, report: 1472 }, at(20));
    expect(pathLimit(stale)).toBe(1252);
    const challenged = takeRequest(stale, { length: 1472, report: 1472 }, at(30));
    expect(pathLimit(challenged)).toBe(1252);
    expect(pathLimit(takeRequest(challenged, { length: 90, report: 1252 }, at(40)))).toBe(1252);
    expect(pathLimit(takeRequest(challenged, { length: 90, report: 1472 }, at(40)))).toBe(1472);
  });
});

describe('a path of IPv6', () => {
  const outer = 'ipv6' as const;

  it('is whole at 20 bytes less than one of IPv4', () => {
    const link = searched({ outer });
    expect(link.sent.map(({ size }) => size)).toEqual([1452, 0]);
    expect(link.limit).toBeUndefined();
    expect(link.told).toBe(1452);
  });

  it.each([
    ['its minimum', 1232],
    ['WireGuard', 1372],
    ['PPPoE', 1444],
    ['a size that nobody has', 1337],
  ])('is searched for %s', (_name, forward) => {
    const link = searched({ outer, forward });
    expect(link.limit).toBeLessThanOrEqual(forward);
    expect(link.limit).toBeGreaterThan(forward - PROBE_RESOLUTION);
  });

  it('is never probed, nor limited, below what every path of IPv6 carries', () => {
    const link = searched({ outer, forward: 700 });
    expect(Math.min(...link.sent.map(({ size }) => size || 9999))).toBeGreaterThanOrEqual(1232);
    for (const { limit } of link.limits) expect(limit ?? 9999).toBeGreaterThanOrEqual(1232);
  });

  it('is not taken for smaller than that by ICMP or by the other side, who may lie', () => {
    const begin = createPathMtu(pathSizes(outer, false), true, 1452);
    expect(pathLimit(takeTooBig(begin, 1231, millis(1)))).toBeUndefined();
    expect(pathLimit(takeTooBig(begin, 1232, millis(1)))).toBe(1232);
    expect(pathLimit(takeRequest(begin, { length: 90, report: 600 }, millis(1)))).toBe(1232);
  });

  it('that is too small by an unknown size is taken for the next that is common', () => {
    const begin = createPathMtu(pathSizes(outer, false), true, 1452);
    expect(pathLimit(takeTooBig(begin, undefined, millis(1)))).toBe(1444);
  });
});

describe('a path that has just room for IPv6 inside', () => {
  it.each(['ipv4', 'ipv6'] as const)('of %s is found to have it', (outer) => {
    for (const forward of [1280, 1281, 1283, 1287]) {
      expect(searched({ outer, forward, ipv6Inside: true }).limit).toBeGreaterThanOrEqual(1280);
    }
    expect(searched({ outer, forward: 1279, ipv6Inside: true }).limit).toBeLessThan(1280);
  });

  it.each(['ipv4', 'ipv6'] as const)('of %s keeps it while it is searched', (outer) => {
    const { limits, limit } = searched({ outer, forward: 1300, ipv6Inside: true });
    expect(limits.filter((each) => (each.limit ?? 1280) < 1280)).toEqual([]);
    expect(limit).toBeGreaterThanOrEqual(1290);
  });
});
