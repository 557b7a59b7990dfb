import { describe, expect, it } from 'vitest';
import {
  addToIp,
  endpointKey,
  familyOf,
  formatEndpoint,
  hostPrefix,
  ipv4EndpointKey,
  ipv4ToNumber,
  ofFamily,
  pathKey,
  prefixHolds,
  prefixOf,
  type Endpoint,
} from '../../src/core/addr.ts';
import { port } from '../../src/core/units.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import { ip } from '../rig/addresses.ts';

const endpoint = (address: string, number: number): Endpoint => ({
  ip: ip(address),
  port: port(number),
});

describe('keys', () => {
  it('are as many as there are endpoints', () => {
    const endpoints = [
      endpoint('198.51.100.1', 1),
      endpoint('198.51.100.1', 65_535),
      endpoint('198.51.100.2', 1),
      endpoint('255.255.255.255', 65_535),
      endpoint('2001:db8::1', 1),
      endpoint('2001:db8::1', 11),
      endpoint('2001:db8::2', 1),
    ];
    expect(new Set(endpoints.map(endpointKey)).size).toBe(endpoints.length);
    const paths = endpoints.flatMap((local) => endpoints.map((remote) => ({ local, remote })));
    expect(new Set(paths.map(pathKey)).size).toBe(paths.length);
  });

  it('are the same from text and from number', () => {
    const one = endpoint('203.0.113.9', 4321);
    expect(ipv4EndpointKey(ipv4ToNumber(one.ip), one.port)).toBe(endpointKey(one));
  });
});

describe('overheadOf', () => {
  it('is that of the headers around an inner packet', () => {
    expect(overheadOf(familyOf(ip('192.0.2.1')))).toBe(28);
    expect(overheadOf('ipv6')).toBe(48);
  });
});

describe('an address of either family', () => {
  it.each([
    ['172.28.0.0', 1, '172.28.0.1'],
    ['255.255.255.255', 1, '0.0.0.0'],
    ['fd28::', 1, 'fd28::1'],
    ['fd28::ffff', 1, 'fd28::1:0'],
    ['fd28::1:0', -1, 'fd28::ffff'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 1, '::'],
    ['::', -1, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])('%s plus %i is %s', (address, count, sum) => {
    expect(addToIp(ip(address), count)).toBe(sum);
  });

  it.each([
    ['10.1.2.3', 16, '10.1.0.0'],
    ['10.1.2.3', 0, '0.0.0.0'],
    ['10.1.2.3', 32, '10.1.2.3'],
    ['2001:db8:1:2::3', 32, '2001:db8::'],
    ['2001:db8:1:2::3', 47, '2001:db8::'],
    ['2001:db8:1:2::3', 128, '2001:db8:1:2::3'],
    ['2001:db8:1:2::3', 0, '::'],
  ])('%s is in the /%i of %s', (address, length, network) => {
    const prefix = prefixOf(ip(address), length);
    expect(prefix).toEqual({ ip: network, length });
    expect(prefixHolds(prefix, ip(address))).toBe(true);
    expect(prefixHolds(hostPrefix(ip(address)), ip(address))).toBe(true);
  });

  it('is in no network of the other, and not in its neighbour', () => {
    expect(prefixHolds(prefixOf(ip('::'), 0), ip('10.0.0.1'))).toBe(false);
    expect(prefixHolds(prefixOf(ip('0.0.0.0'), 0), ip('::1'))).toBe(false);
    expect(prefixHolds(prefixOf(ip('2001:db8::'), 33), ip('2001:db8:8000::1'))).toBe(false);
  });

  it('is found by its family, and stands in brackets before a port', () => {
    const both = [ip('192.0.2.1'), ip('2001:db8::1')];
    expect(ofFamily(both, 'ipv6')).toBe('2001:db8::1');
    expect(ofFamily(both.slice(0, 1), 'ipv6')).toBeUndefined();
    expect(formatEndpoint(endpoint('2001:db8::1', 1000))).toBe('[2001:db8::1]:1000');
    expect(formatEndpoint(endpoint('192.0.2.1', 1000))).toBe('192.0.2.1:1000');
  });
});
