import { expect, test } from 'vitest';
import { listenFamilies, openInFamilies } from '../../../src/adapters/planes/families.ts';
import type { Family } from '../../../src/core/addr.ts';
import { KernelError } from '../../../src/core/errors.ts';
import { resolveRun } from '../config/resolve-texts.ts';

const both: readonly Family[] = ['ipv4', 'ipv6'];
const ipv4: readonly Family[] = ['ipv4'];
const ipv6: readonly Family[] = ['ipv6'];

const server = ['server'];
const client = ['tunl-ip 172.28.0.1'];

test.each([
  { what: 'a server', lines: server, here: both, on: both },
  { what: 'a server without IPv6', lines: server, here: ipv4, on: ipv4 },
  { what: 'a server of IPv4', lines: [...server, 'fou-family ipv4'], here: both, on: ipv4 },
  {
    what: 'a server at an address',
    lines: [...server, 'fou-local-ip 2001:db8::1'],
    here: both,
    on: ipv6,
  },
  {
    what: 'a server of IPv6 without it',
    lines: [...server, 'fou-family ipv6'],
    here: ipv4,
    on: ipv6,
  },
  {
    what: 'a client of a name',
    lines: [...client, 'fou-remote s.example:10000'],
    here: both,
    on: both,
  },
  {
    what: 'a client of an IPv4 address',
    lines: [...client, 'fou-remote 192.0.2.1:10000'],
    here: both,
    on: both,
  },
  {
    what: 'a client of an IPv6 address',
    lines: [...client, 'fou-remote [2001:db8::1]:10000'],
    here: both,
    on: ipv6,
  },
])('$what listens on $on', ({ lines, here, on }) => {
  const { config } = resolveRun(lines.join('\n'));
  expect(listenFamilies(config, (family) => here.includes(family))).toEqual(on);
});

test.each([
  { lines: server, taken: 'ipv6', open: ['ipv4'] },
  { lines: server, taken: 'ipv4', open: undefined },
  { lines: [...server, 'fou-family ipv6'], taken: 'ipv6', open: undefined },
  {
    lines: [...server, 'fou-local-ip 192.0.2.1, 2001:db8::1'],
    taken: 'ipv6',
    open: undefined,
  },
])('where another program has the port in $taken, $lines has it in $open', (scene) => {
  const { config } = resolveRun(scene.lines.join('\n'));
  const warned: string[] = [];
  const log = (level: string) => void warned.push(level);
  const open = () =>
    openInFamilies(
      listenFamilies(config, () => true),
      { outer: config.outer, log },
      (family) => {
        const subject = `port in ${family}`;
        if (family === scene.taken)
          throw new KernelError('fou', { operation: 'bind', errno: 'EADDRINUSE', subject });
        return subject;
      },
    );
  if (scene.open === undefined) expect(open).toThrow('EADDRINUSE');
  else expect([...open().keys()]).toEqual(scene.open);
  expect(warned).toEqual(scene.open ? ['warn'] : []);
});
