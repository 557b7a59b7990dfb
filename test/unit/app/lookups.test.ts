import { describe, expect, test } from 'vitest';
import type { Route } from '../../../src/app/locator.ts';
import { familyOf, type OuterIp } from '../../../src/core/addr.ts';
import type { NoRoute } from '../../../src/core/events/trouble.ts';
import { troubleWords } from '../../../src/core/events/trouble-words.ts';
import { setUp } from './driver-scene.ts';
import { ip, settle } from './fakes.ts';

const NO_ROUTE: NoRoute = { kind: 'missing', device: undefined };

describe('names and routes', () => {
  test('resolving does not hold up the queue, and the newest question is the one answered', async () => {
    const { dispatch, core, outside } = await setUp();
    const answers = new Map<string, (addresses: readonly OuterIp[]) => void>();
    outside.resolve = (host) => new Promise((resolve) => answers.set(host, resolve));
    core.on('start', { kind: 'resolve', host: 'old' });
    core.on('wake', { kind: 'resolve', host: 'new' });
    await dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    await dispatch({ kind: 'wake' });
    answers.get('new')?.([ip('198.51.100.2')]);
    answers.get('old')?.([ip('198.51.100.1')]);
    await settle();
    expect(core.events.slice(2)).toEqual([{ kind: 'resolved', addresses: [ip('198.51.100.2')] }]);
  });

  test('a name without an answer in time counts as unresolved', async () => {
    const { dispatch, core, outside, clock } = await setUp();
    outside.resolve = () => new Promise(() => undefined);
    core.on('start', { kind: 'resolve', host: 'silent' });
    await dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    await clock.advance(15_000);
    expect(core.events.at(-1)).toMatchObject({ kind: 'resolved', addresses: [] });
  });

  test.each([
    ['0.0.0.0', 'unspecified'],
    ['127.0.0.1', 'loopback'],
    ['224.0.0.1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['fe80::1', 'link-local'],
    ['ff02::1', 'multicast'],
    ['192.0.2.1', 'own'],
  ] as const)('a name that resolves to %s alone has no address: %s', async (text, why) => {
    const { dispatch, core, outside } = await setUp();
    outside.resolve = async () => [ip(text)];
    core.on('start', { kind: 'resolve', host: 'vps.example' });
    await dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    await settle();
    const unusable = { address: ip(text), why };
    expect(core.events.at(-1)).toMatchObject({ kind: 'resolved', addresses: [], unusable });
  });

  test('what cannot be another host is left out of several addresses', async () => {
    const { dispatch, core, outside } = await setUp();
    outside.resolve = async () => [ip('127.0.0.1'), ip('198.51.100.1'), ip('192.0.2.1')];
    core.on('start', { kind: 'resolve', host: 'vps.example' });
    await dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    await settle();
    expect(core.events.at(-1)).toMatchObject({
      kind: 'resolved',
      addresses: [ip('198.51.100.1')],
      unusable: undefined,
    });
  });

  test('a changed network is told to the core only when the local address or the route’s MTU is another', async () => {
    const { driver, dispatch, core, outside } = await setUp();
    core.on('start', { kind: 'locate', remotes: [ip('198.51.100.1')] });
    await dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    await settle();
    await driver.relocate();
    outside.locate = async () => ({ kind: 'way', local: ip('192.0.2.1'), routed: true, mtu: 1280 });
    await driver.relocate();
    await driver.relocate();
    outside.locate = async () => NO_ROUTE;
    await driver.relocate();
    await driver.relocate();
    const remote = ip('198.51.100.1');
    expect(core.events.slice(1)).toEqual([
      { kind: 'located', ways: [{ remote, local: ip('192.0.2.1'), mtu: 1472 }] },
      { kind: 'located', ways: [{ remote, local: ip('192.0.2.1'), mtu: 1252 }] },
      { kind: 'located', ways: [{ remote, local: undefined, why: NO_ROUTE }] },
    ]);
  });

  test('an overtaken look at the route still answers the core', async () => {
    const { driver, dispatch, core, outside } = await setUp();
    const looks: ((way: Route | NoRoute) => void)[] = [];
    outside.locate = (remote) =>
      familyOf(remote) === 'ipv6'
        ? Promise.resolve(NO_ROUTE)
        : new Promise((resolve) => void looks.push(resolve));
    core.on('start', { kind: 'locate', remotes: [ip('198.51.100.1')] });
    await dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    const again = driver.relocate();
    looks[1]?.(NO_ROUTE);
    looks[0]?.({ kind: 'way', local: ip('192.0.2.1'), routed: true, mtu: 1500 });
    await again;
    await settle();
    const ways = [{ remote: ip('198.51.100.1'), local: undefined, why: NO_ROUTE }];
    expect(core.events.slice(1)).toEqual([{ kind: 'located', ways }]);
  });
});

describe('ways to the addresses of a server with both families', () => {
  const four = ip('198.51.100.1');
  const six = ip('2001:db8::1');
  const local6 = ip('2001:db8:c::2');

  /** What the core is told, where these are the routes. */
  async function located(routes: Readonly<Record<string, Route | NoRoute>>) {
    const { dispatch, core, outside } = await setUp();
    outside.locate = async (remote) => routes[remote] ?? NO_ROUTE;
    core.on('start', { kind: 'locate', remotes: [six, four] });
    await dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    await settle();
    const event = core.events.at(-1);
    return event?.kind === 'located' ? event.ways : undefined;
  }
  const by4: Route = { kind: 'way', local: ip('192.0.2.1'), routed: true, mtu: 1500 };
  const by6: Route = { kind: 'way', local: local6, routed: true, mtu: 1500 };

  test('are told together, each with what its family leaves of the MTU', async () => {
    expect(await located({ [four]: by4, [six]: by6 })).toEqual([
      { remote: six, local: local6, mtu: 1452 },
      { remote: four, local: ip('192.0.2.1'), mtu: 1472 },
    ]);
  });

  test('are routes where there are any: an address to send from alone is none', async () => {
    const hoped: Route = { ...by4, routed: false };
    expect(await located({ [four]: hoped, [six]: by6 })).toMatchObject([
      { remote: six, local: local6 },
      { remote: four, local: undefined, why: { kind: 'missing' } },
    ]);
    expect(await located({ [four]: hoped })).toMatchObject([
      { remote: six, local: undefined },
      { remote: four, local: ip('192.0.2.1') },
    ]);
  });
});

describe('on a network of IPv6 alone', () => {
  const four = ip('198.51.100.1');
  const way: Route = { kind: 'way', local: ip('2001:db8:c::2'), routed: true, mtu: 1500 };

  /** A scene that is asked for the way to an IPv4 address, where IPv6 alone has routes. */
  async function scene(
    answers: readonly OuterIp[] | Error,
    route: Route | NoRoute = way,
    killSwitch = false,
  ) {
    const made = await setUp({ killSwitch });
    const asked: string[] = [];
    made.outside.locate = async (remote) => (familyOf(remote) === 'ipv6' ? route : NO_ROUTE);
    made.outside.resolve = async (host) => {
      asked.push(host);
      if (answers instanceof Error) throw answers;
      return answers;
    };
    made.core.on('start', { kind: 'locate', remotes: [four] });
    await made.dispatch({ kind: 'start', memory: undefined, adopted: undefined });
    await settle();
    return { ...made, asked };
  }

  test('an IPv4 address is reached by the one that the network’s translator has for it', async () => {
    const { core } = await scene([ip('2001:db8:64::c000:aa'), ip('2001:db8:64::c000:ab')]);
    const translated = { remote: four, via: ip('2001:db8:64::c633:6401'), local: way.local };
    expect(core.events.at(-1)).toEqual({ kind: 'located', ways: [{ ...translated, mtu: 1452 }] });
  });

  test.each([
    ['no translator is told of', []],
    ['the name servers do not answer', new Error('nobody answers')],
  ])('there is no way where %s', async (_what, answers) => {
    const { core } = await scene(answers);
    const ways = [{ remote: four, local: undefined, why: NO_ROUTE }];
    expect(core.events.at(-1)).toEqual({ kind: 'located', ways });
  });

  test('name servers are asked again when the network is another, and once in a while', async () => {
    const { asked, driver, dispatch, core, clock } = await scene([]);
    expect(asked).toEqual(['ipv4only.arpa']);
    core.on('wake', { kind: 'locate', remotes: [four] });
    await dispatch({ kind: 'wake' });
    await settle();
    expect(asked).toHaveLength(1);
    await driver.relocate();
    expect(asked).toHaveLength(2);
    await clock.advance(60_000);
    core.on('wake', { kind: 'locate', remotes: [four] });
    await dispatch({ kind: 'wake' });
    await settle();
    expect(asked).toHaveLength(3);
  });

  test('a way that was found stays where name servers do not answer for once, until they say that there is none', async () => {
    const { driver, core, outside } = await scene([ip('2001:db8:64::c000:aa')]);
    const found = core.events.at(-1);
    const fail = (code: string) => async () => {
      throw new Error('no address now', { cause: Object.assign(new Error(code), { code }) });
    };
    outside.resolve = fail('EAI_AGAIN');
    await driver.relocate();
    await settle();
    expect(core.events.at(-1)).toBe(found);
    outside.resolve = fail('ENOTFOUND');
    await driver.relocate();
    await settle();
    expect(core.events.at(-1)).toMatchObject({ ways: [{ local: undefined }] });
  });

  test('nobody is asked where there is no IPv6 either', async () => {
    const { asked } = await scene([], NO_ROUTE);
    expect(asked).toEqual([]);
  });

  test('a kill switch has nobody asked, and that is why there is no way', async () => {
    const { asked, core } = await scene([ip('2001:db8:64::c000:aa')], way, true);
    expect(asked).toEqual([]);
    const why: NoRoute = { kind: 'kept-in' };
    const ways = [{ remote: four, local: undefined, why }];
    expect(core.events.at(-1)).toEqual({ kind: 'located', ways });
    expect(troubleWords({ kind: 'no-route', remote: four, why })).toBe(
      'no route to 198.51.100.1: this network has IPv6 alone, and the kill switch lets nothing out that would ' +
        'find what stands for it here (NAT64); give fou-remote that IPv6 address',
    );
    const neither = await scene([], NO_ROUTE, true);
    expect(neither.core.events.at(-1)).toMatchObject({ ways: [{ why: NO_ROUTE }] });
  });
});
