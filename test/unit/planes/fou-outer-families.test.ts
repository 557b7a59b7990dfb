import { beforeEach, describe, expect, test } from 'vitest';
import type {
  FouIdentity,
  FouListener,
  FouNetlink,
  FouSpec,
} from '../../../src/adapters/netlink/fou.ts';
import type { RouteNetlink } from '../../../src/adapters/netlink/route.ts';
import type { Guard } from '../../../src/adapters/planes/fou/guard.ts';
import { OuterFamilies } from '../../../src/adapters/planes/fou/outer-families.ts';
import { RunRecord } from '../../../src/adapters/planes/fou/run-record.ts';
import type { Family } from '../../../src/core/addr.ts';
import { KernelError } from '../../../src/core/errors.ts';
import type { PlaneContext } from '../../../src/ports/data-plane.ts';
import { ip } from '../../rig/addresses.ts';
import { resolveRun } from '../config/resolve-texts.ts';

/* A host of which is told what addresses it has and which listeners; what is done to them is kept. */
const SERVER = ['server', 'auth-token a-token-of-a-test'];
const CLIENT = ['auth-token a-token-of-a-test', 'tunl-ip 172.28.0.1'];
const BOTH = 'tunl-ip 172.28.0.0, fd28::';

let listeners: FouListener[];
let told: string[];
let hosts: readonly string[];
let refuses: Family | undefined;

beforeEach(() => {
  listeners = [];
  told = [];
  hosts = ['192.0.2.1', '2001:db8::1', 'fe80::1'];
  refuses = undefined;
});

function familiesOf(lines: readonly string[], allowed: readonly Family[] = ['ipv4', 'ipv6']) {
  const { config } = resolveRun(lines.join('\n'));
  const context = { config, log: (level: string) => told.push(level) } as unknown as PlaneContext;
  const fou = {
    list: async () => listeners,
    add: async (spec: FouSpec) => {
      const { family, port } = spec;
      if (family === refuses)
        throw new KernelError('fou', { operation: 'ADD', errno: 'EADDRINUSE', subject: 'port' });
      told.push(`add ${family} ${spec.type}`);
      listeners.push({ family, port, ipproto: spec.ipproto, type: spec.type ?? 'direct' });
    },
    remove: async ({ family }: FouIdentity) => {
      told.push(`remove ${family}`);
      listeners = listeners.filter((listener) => listener.family !== family);
    },
  } as unknown as FouNetlink;
  const links = [
    { name: 'lo', index: 1, flags: 8 },
    { name: 'eth0', index: 2, flags: 0 },
  ];
  const route = {
    links: async () => links,
    addresses: async ({ family }: { family: Family }) =>
      hosts
        .filter((host) => host.includes(':') === (family === 'ipv6'))
        .map((host) => ({ index: 2, scope: host.startsWith('fe80') ? 'link' : 'global' })),
  } as unknown as RouteNetlink;
  const guard = {
    listenIn: (outside: readonly Family[]) => told.push(`guard ${outside.join(' ')}`),
  } as unknown as Guard;
  const record = new RunRecord(config, { load: () => undefined, save: () => undefined });
  const machine = { missing: async () => undefined, allowed };
  return { outer: new OuterFamilies({ context, fou, route, guard, record }, machine), record };
}

describe('the families to begin with', () => {
  test.each([
    {
      what: 'a server with both',
      lines: SERVER,
      here: ['192.0.2.1', '2001:db8::1'],
      first: 'ipv4 ipv6',
    },
    { what: 'a server with IPv4', lines: SERVER, here: ['192.0.2.1', 'fe80::1'], first: 'ipv4' },
    {
      what: 'a client of an IPv4 address',
      lines: [...CLIENT, 'fou-remote 192.0.2.9:1'],
      first: 'ipv4',
    },
    {
      what: 'a client of a name',
      lines: [...CLIENT, 'fou-remote s.example:1'],
      first: 'ipv4 ipv6',
    },
  ])('of $what are $first', async ({ lines, here, first }) => {
    if (here) hosts = here;
    expect((await familiesOf(lines).outer.first([])).join(' ')).toBe(first);
  });

  test('are those alone that the config allows, and those of adopted peers', async () => {
    hosts = [];
    expect(await familiesOf(SERVER, ['ipv6']).outer.first([])).toEqual(['ipv6']);
    expect(await familiesOf(SERVER).outer.first([ip('2001:db8::2')])).toEqual(['ipv4', 'ipv6']);
  });
});

test.each([
  { lines: SERVER, made: ['add ipv4 direct', 'add ipv6 gue'] },
  { lines: [...SERVER, BOTH], made: ['add ipv4 gue', 'add ipv6 gue'] },
])('the listeners are $made', async ({ lines, made }) => {
  const { outer, record } = familiesOf(lines);
  await outer.openFirst(['ipv4', 'ipv6']);
  expect(told).toEqual(made);
  expect(outer.open).toEqual(['ipv4', 'ipv6']);
  expect(outer.areThere(listeners)).toBe(true);
  listeners = [];
  expect(outer.areThere(listeners)).toBe(false);
  expect(await outer.mend()).toBe(true);
  await outer.close();
  expect(listeners).toEqual([]);
  expect(record.madeListeners).toEqual(['ipv4', 'ipv6']);
});

test('a port that is taken in IPv6 is no end of IPv4, where nobody has asked for IPv6', async () => {
  refuses = 'ipv6';
  const { outer } = familiesOf(SERVER);
  await outer.openFirst(['ipv4', 'ipv6']);
  expect(outer.open).toEqual(['ipv4']);
  expect(told).toEqual(['add ipv4 direct', 'guard ipv4', 'warn']);
  await expect(familiesOf(SERVER, ['ipv6']).outer.openFirst(['ipv6'])).rejects.toMatchObject({
    exit: 'fou',
  });
});

test('a family is opened behind its guard when a peer comes by it, or the host gets an address of it', async () => {
  const { outer } = familiesOf(SERVER);
  await outer.openFirst(['ipv4']);
  hosts = ['192.0.2.1'];
  expect(await outer.follow()).toEqual([]);
  hosts = ['192.0.2.1', '2001:db8::1'];
  expect(await outer.follow()).toEqual(['ipv6']);
  expect(told).toEqual(['add ipv4 direct', 'guard ipv4 ipv6', 'add ipv6 gue']);
  await outer.ensure('ipv6');
  expect(told).toHaveLength(3);
  await expect(familiesOf(SERVER, ['ipv4']).outer.ensure('ipv6')).rejects.toThrow(
    'no port in IPv6',
  );
});

test('a family that cannot be opened is told once, however often the host gets addresses of it', async () => {
  refuses = 'ipv6';
  const { outer } = familiesOf(SERVER);
  await outer.openFirst(['ipv4']);
  await expect(outer.follow()).rejects.toThrow('EADDRINUSE');
  expect(await outer.follow()).toEqual([]);
  refuses = undefined;
  expect(await outer.follow()).toEqual(['ipv6']);
});

test('a listener of ours is made anew where the tunnel carries other families now; of others it is an error', async () => {
  const { outer, record } = familiesOf([...SERVER, BOTH]);
  listeners = [{ family: 'ipv4', port: 10_000, ipproto: 4, type: 'direct' }];
  await expect(outer.openFirst(['ipv4'])).rejects.toThrow('in use for protocol 4 (direct)');
  record.addMadeListener('ipv4');
  await outer.openFirst(['ipv4']);
  expect(told).toEqual(['remove ipv4', 'add ipv4 gue']);
});

test('what an earlier run had in another family goes, before anything is opened or its guard changed', async () => {
  const { outer, record } = familiesOf(SERVER);
  record.addMadeListener('ipv4');
  record.addMadeListener('ipv6');
  await outer.closeOthers(['ipv4']);
  expect(told).toEqual(['remove ipv6']);
  expect(record.madeListeners).toEqual(['ipv4']);
});
