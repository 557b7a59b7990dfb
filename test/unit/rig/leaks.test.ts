import { describe, expect, test } from 'vitest';
import { compareStates, formatLeaks, snapshot, type MachineState } from '../../rig/leaks.ts';

const CLEAN: MachineState = {
  namespaces: ['kept'],
  links: ['lo - mtu 65536 alias -'],
  addresses: ['lo 127.0.0.1 8'],
  routes: ['local 127.0.0.1 - lo local'],
  nftables: ['{"table":{"family":"inet","name":"mine"}}'],
  processes: ['1 init'],
  descriptors: ['socket:[1]'],
  files: ['/run/ipipou/tunnel.json'],
  settings: ['net/ipv4/ip_forward = 0'],
};
const KINDS = Object.keys(CLEAN) as readonly (keyof MachineState)[];

describe('comparing the machine before and after', () => {
  test('the same state has no leak', () => {
    expect(compareStates(CLEAN, structuredClone(CLEAN))).toEqual([]);
  });

  test.each(KINDS)('one thing more among %s is a leak', (what) => {
    const after = { ...CLEAN, [what]: [...CLEAN[what], 'new'] };
    expect(compareStates(CLEAN, after)).toEqual([{ what, how: 'left', entry: 'new' }]);
  });

  test.each(KINDS)('one thing less among %s is a leak unless it may end', (what) => {
    const expected =
      what === 'processes' || what === 'descriptors'
        ? []
        : [{ what, how: 'lost', entry: CLEAN[what][0] }];
    expect(compareStates(CLEAN, { ...CLEAN, [what]: [] })).toEqual(expected);
  });

  test('a changed setting shows its old and its new value', () => {
    const after = { ...CLEAN, settings: ['net/ipv4/ip_forward = 1'] };
    expect(formatLeaks(compareStates(CLEAN, after))).toBe(
      'settings: left: net/ipv4/ip_forward = 1\nsettings: lost: net/ipv4/ip_forward = 0',
    );
  });

  test('a second one of a kind that was there once is a leak', () => {
    const after = { ...CLEAN, routes: [...CLEAN.routes, ...CLEAN.routes] };
    expect(compareStates(CLEAN, after)).toHaveLength(1);
  });

  test('a snapshot of a process sees a socket that it opens', async () => {
    const { createSocket } = await import('node:dgram');
    const before = await snapshot('own');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => {
      socket.bind(0, '127.0.0.1', resolve);
    });
    const during = compareStates(before, await snapshot('own'));
    socket.close();
    expect(during.filter(({ what }) => what === 'descriptors')).toEqual([
      { what: 'descriptors', how: 'left', entry: expect.stringMatching(/^socket:/) as string },
    ]);
  });
});
