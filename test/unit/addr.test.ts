import { describe, expect, it } from 'vitest';
import {
  familyOf,
  ipv4ToNumber,
  endpointKey,
  ipv4EndpointKey,
  pathKey,
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
