import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import { outsideFact } from '../../../src/cli/outside-fact.ts';

function info(address: string, internal = false): NetworkInterfaceInfo {
  const rest = { address, netmask: '', mac: '', cidr: null, internal };
  return address.includes(':')
    ? { ...rest, family: 'IPv6', scopeid: 0 }
    : { ...rest, family: 'IPv4' };
}

const lo = [info('127.0.0.1', true), info('::1', true)];

test.each([
  {
    interfaces: { lo, eth0: [info('192.0.2.1'), info('2001:db8::1'), info('fe80::1')] },
    fact: { met: true, detail: 'IPv4 on eth0; IPv6 on eth0' },
  },
  {
    interfaces: { lo, eth0: [info('192.0.2.1'), info('fe80::1')], wlan0: [info('10.0.0.1')] },
    fact: { met: true, detail: 'IPv4 on eth0, wlan0; no IPv6 address' },
  },
  {
    interfaces: { lo, eth0: [info('2001:db8::1')] },
    fact: { met: true, detail: 'no IPv4 address; IPv6 on eth0' },
  },
  { interfaces: { lo }, fact: { met: false, detail: 'no IPv4 address; no IPv6 address' } },
])('$fact.detail', ({ interfaces, fact }) => {
  expect(outsideFact(interfaces, () => true)).toEqual({ what: 'addresses', ...fact });
});

test('a kernel without IPv6 is told apart from a machine without an address', () => {
  const fact = outsideFact({ eth0: [info('192.0.2.1')] }, (family) => family === 'ipv4');
  expect(fact).toMatchObject({ met: true, detail: 'IPv4 on eth0; no IPv6 in this kernel' });
});
