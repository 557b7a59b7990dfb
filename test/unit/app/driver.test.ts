import { describe, expect, test } from 'vitest';
import { IpipouError, KernelError } from '../../../src/core/errors.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { millis, port } from '../../../src/core/units.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import type { Path } from '../../../src/core/addr.ts';
import { setUp } from './driver-scene.ts';
import { ip, pathTo, peerConfig, settle } from './fakes.ts';

const MEMORY: SessionMemory = { remote: undefined, replay: undefined };
const REFUSED = new KernelError(
  'link',
  { operation: 'RTM_NEWLINK', errno: 'EINVAL', words: 'no such thing', subject: 'link ipipou0' },
  { hint: 'do this' },
);

const packet = { kind: 'packet', path: pathTo(1), payload: new Uint8Array(73) } as const;
const admit = (last: number) => ({ kind: 'admit', path: pathTo(last) }) as const;
const send = (purpose: 'reply' | 'authenticate', last = 1) =>
  ({
    kind: 'send',
    purpose,
    path: pathTo(last),
    payload: new Uint8Array(3),
    ttl: undefined,
  }) as const;

describe('effects', () => {
  test('are carried out in their order, and the packet is held until they are done', async () => {
    const { dispatch, plane, core } = await setUp();
    let open = (): void => undefined;
    plane.gate = new Promise((resolve) => {
      open = resolve;
    });
    core.on('packet', { kind: 'remember', memory: MEMORY }, admit(1), send('reply'));
    let settled = false;
    const held = dispatch(packet).then(() => {
      settled = true;
    });
    await settle();
    expect(plane.calls).toEqual(['admit 198.51.100.1']);
    expect(settled).toBe(false);
    open();
    await held;
    expect(plane.calls).toEqual([
      'admit 198.51.100.1',
      'admitted 198.51.100.1',
      'send 3 to 198.51.100.1',
    ]);
  });

  test('of one event are done before the next event is looked at', async () => {
    const { dispatch, plane, core } = await setUp();
    core.on('packet', admit(1), send('reply', 1)).on('packet', admit(2));
    await Promise.all([dispatch(packet), dispatch(packet)]);
    expect(plane.calls.indexOf('send 3 to 198.51.100.1')).toBeLessThan(
      plane.calls.indexOf('admit 198.51.100.2'),
    );
  });

  test('poll-counters is answered before the event counts as done', async () => {
    const { dispatch, plane, core } = await setUp();
    plane.counts = { rxPackets: 5n, rxBytes: 500n, txPackets: 6n, txBytes: 600n };
    core.on('wake', { kind: 'poll-counters' });
    await dispatch({ kind: 'wake' });
    expect(core.events.at(-1)).toEqual({
      kind: 'counters',
      counts: { rxPackets: 5n, rxBytes: 500n, txPackets: 6n, txBytes: 600n },
    });
  });

  test('events reach the log in their words', async () => {
    const { dispatch, core, lines } = await setUp();
    core.on('wake', { kind: 'event', event: { kind: 'no-path' } });
    await dispatch({ kind: 'wake' });
    expect(lines).toEqual([{ level: 'info', event: 'no path to the server yet', fields: {} }]);
  });
});

describe('a refused admission', () => {
  test('comes back as an event, says what the kernel said, and no reply claims success', async () => {
    const { dispatch, plane, core, lines, paths } = await setUp();
    plane.fail.admit = REFUSED;
    core.on('packet', { kind: 'remember', memory: MEMORY }, admit(1), send('reply'));
    await dispatch(packet);
    expect(core.kinds).toEqual(['packet', 'admit-failed']);
    expect(plane.calls).toEqual(['admit 198.51.100.1']);
    expect(paths).toEqual([]);
    const fields = lines.find(({ level }) => level === 'error')?.fields;
    expect(fields?.['error']).toBe('link ipipou0: RTM_NEWLINK: EINVAL: no such thing');
    expect(fields?.['hint']).toBe('do this');
  });

  test('is not tried again within the pause, and works after it', async () => {
    const { driver, dispatch, plane, core, clock, paths } = await setUp();
    plane.fail.admit = REFUSED;
    core.on('packet', admit(1)).on('packet', admit(1)).on('packet', admit(1));
    await dispatch(packet);
    delete plane.fail.admit;
    await dispatch(packet);
    expect(plane.calls).toEqual(['admit 198.51.100.1']);
    expect(core.kinds).toEqual(['packet', 'admit-failed', 'packet', 'admit-failed']);
    await clock.advance(1000);
    await dispatch(packet);
    expect(paths).toEqual([pathTo(1)]);
    expect(driver.troubles).toEqual([]);
  });

  test('of one family holds up none of the other', async () => {
    const { dispatch, plane, core, paths } = await setUp();
    const six: Path = {
      local: { ip: ip('2001:db8::1'), port: port(10_000) },
      remote: { ip: ip('2001:db8::2'), port: port(10_000) },
    };
    plane.fail.admit = REFUSED;
    core.on('packet', { kind: 'admit', path: six }).on('packet', admit(1));
    await dispatch(packet);
    delete plane.fail.admit;
    await dispatch(packet);
    expect(plane.calls.slice(0, 2)).toEqual(['admit 2001:db8::2', 'admit 198.51.100.1']);
    expect(paths).toEqual([pathTo(1)]);
  });

  test.each([
    { before: 'an admitted peer', exit: 'updateTunnel', admitted: true },
    { before: 'nothing', exit: 'createTunnel', admitted: false },
  ] as const)('five times in a row after $before ends with $exit', async ({ exit, admitted }) => {
    const { dispatch, plane, core, clock, fatal } = await setUp();
    if (admitted) {
      core.on('packet', admit(9));
      await dispatch(packet);
    }
    plane.fail.admit = REFUSED;
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      expect(fatal).toEqual([]);
      core.on('packet', admit(1));
      await dispatch(packet);
      await clock.advance(30_000);
    }
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toBeInstanceOf(IpipouError);
    expect(fatal[0]).toMatchObject({ exit, hint: 'do this' });
    expect(fatal[0]?.message).toContain('RTM_NEWLINK: EINVAL: no such thing');
  });

  test('a success in between starts the count again', async () => {
    const { dispatch, plane, core, clock, fatal } = await setUp();
    for (const failing of [true, true, true, true, false, true, true, true, true]) {
      if (failing) plane.fail.admit = REFUSED;
      else delete plane.fail.admit;
      core.on('packet', admit(1));
      await dispatch(packet);
      await clock.advance(30_000);
    }
    expect(fatal).toEqual([]);
  });
});

describe('an eviction that fails', () => {
  test('is tried again until the peer is out', async () => {
    const { slot, dispatch, plane, core, clock, paths } = await setUp();
    core.on('packet', admit(1)).on('wake', { kind: 'evict' });
    await dispatch(packet);
    plane.fail.evict = REFUSED;
    await dispatch({ kind: 'wake' });
    expect(paths).toEqual([pathTo(1)]);
    delete plane.fail.evict;
    await clock.advance(1000);
    expect(paths).toEqual([pathTo(1), undefined]);
    expect(slot.carried).toBeUndefined();
  });
});

describe('memory', () => {
  const remember = { kind: 'remember', memory: MEMORY } as const;

  test('that cannot be written admits nobody and answers nobody; it is told, and tried again', async () => {
    const { driver, dispatch, plane, core, clock, memory, lines } = await setUp();
    memory.fails = new Error('ENOSPC');
    core.on('packet', remember, admit(1), send('reply'));
    await dispatch(packet);
    expect(plane.calls).toEqual([]);
    expect(core.kinds).toEqual(['packet', 'admit-failed']);
    expect(driver.troubles).toMatchObject([{ kind: 'not-remembered', error: 'ENOSPC' }]);
    memory.fails = undefined;
    await clock.advance(10_000);
    expect(driver.troubles).toEqual([]);
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    core.on('packet', remember, admit(1), send('reply'));
    await dispatch(packet);
    expect(plane.calls).toContain('admitted 198.51.100.1');
  });

  test('that is being written holds up its own peer only, in the order of its events', async () => {
    const { driver, slot, dispatch, plane, core, memory } = await setUp();
    let resolve = (): void => undefined;
    memory.disk = new Promise((done) => {
      resolve = done;
    });
    const other = await driver.settled(async () => driver.add(peerConfig('other' as PeerId)));
    core.on('packet', remember, admit(1)).on('wake', { kind: 'evict' });
    const held = [dispatch(packet), driver.dispatch(slot, { kind: 'wake' })];
    core.on('packet', admit(2));
    await driver.dispatch(other, packet);
    expect(plane.calls).toEqual(['admit 198.51.100.2', 'admitted 198.51.100.2']);
    resolve();
    await Promise.all(held);
    expect(plane.calls.slice(2)).toEqual(['admit 198.51.100.1', 'admitted 198.51.100.1', 'evict']);
  });

  test('is on the disk before peers come and go', async () => {
    const { driver, dispatch, plane, core, memory } = await setUp();
    let resolve = (): void => undefined;
    memory.disk = new Promise((done) => {
      resolve = done;
    });
    core.on('packet', remember, admit(1));
    const held = dispatch(packet);
    const change = driver.settled(async () => void plane.calls.push('change'));
    await settle();
    expect(plane.calls).toEqual([]);
    resolve();
    await Promise.all([held, change]);
    expect(plane.calls).toEqual(['admit 198.51.100.1', 'admitted 198.51.100.1', 'change']);
  });
});

describe('sending', () => {
  test('that fails is a warning once, not again for the same reason, and told when it works', async () => {
    const { driver, dispatch, plane, core, lines, fatal } = await setUp();
    plane.fail.send = new Error('ENETUNREACH');
    core.on('wake', send('authenticate')).on('wake', send('authenticate'));
    await dispatch({ kind: 'wake' });
    await dispatch({ kind: 'wake' });
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'debug']);
    expect(driver.troubles).toMatchObject([{ kind: 'not-sent', error: 'ENETUNREACH' }]);
    delete plane.fail.send;
    core.on('wake', send('authenticate'));
    await dispatch({ kind: 'wake' });
    expect(lines.at(-1)).toMatchObject({ level: 'info', event: 'sending works again' });
    expect(fatal).toEqual([]);
  });
});

describe('timers', () => {
  test('the core is woken when it asked to be, by its last wish only', async () => {
    const { dispatch, clock, core } = await setUp();
    core.wakeAt = millis(500);
    await dispatch({ kind: 'reauthenticate' });
    core.wakeAt = millis(800);
    await dispatch({ kind: 'reauthenticate' });
    expect(clock.pending).toEqual([800]);
    core.wakeAt = undefined;
    await clock.advance(1000);
    expect(core.kinds).toEqual(['reauthenticate', 'reauthenticate', 'wake']);
  });
});

describe('the end', () => {
  test('a fault of the core is fatal and leaves no rejection behind', async () => {
    const { dispatch, core, fatal } = await setUp();
    core.step = () => {
      throw new Error('bug');
    };
    await dispatch({ kind: 'wake' });
    expect(fatal.map(String)).toEqual(['Error: internal error: Error: bug']);
  });

  test('closing waits for work in hand and refuses what comes after', async () => {
    const { driver, dispatch, plane, core } = await setUp();
    let open = (): void => undefined;
    plane.gate = new Promise((resolve) => {
      open = resolve;
    });
    core.on('packet', admit(1)).on('packet', admit(2));
    const first = dispatch(packet);
    await settle();
    let closed = false;
    const closing = driver.close().then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(false);
    open();
    await Promise.all([first, closing]);
    await dispatch(packet);
    await expect(driver.exclusive(async () => 1)).rejects.toThrow('taken down');
    expect(core.kinds).toEqual(['packet']);
  });

  test('in a hurry, or after a while, it does not wait', async () => {
    for (const end of ['hurry', 'time'] as const) {
      const { driver, dispatch, plane, core, clock } = await setUp();
      plane.gate = new Promise(() => undefined);
      core.on('packet', admit(1));
      void dispatch(packet);
      await settle();
      const hurry = new AbortController();
      const closing = driver.close(hurry.signal);
      if (end === 'hurry') hurry.abort();
      else await clock.advance(5000);
      await closing;
      expect(clock.pending, end).toEqual([]);
    }
  });
});
