import { expect, it } from 'vitest';
import { openResolver } from '../../../src/adapters/resolver.ts';
import type { Family } from '../../../src/core/addr.ts';

const never = new AbortController().signal;
const BOTH: readonly Family[] = ['ipv4', 'ipv6'];
const resolver = openResolver();

it('finds a name of /etc/hosts, and takes an address for itself', async () => {
  expect(await resolver.resolve('localhost', BOTH, never)).toContain('127.0.0.1');
  expect(await resolver.resolve('192.0.2.7', BOTH, never)).toEqual(['192.0.2.7']);
  expect(await resolver.resolve('2001:DB8:0::7', BOTH, never)).toEqual(['2001:db8::7']);
});

it('takes an IPv4 address in the form of IPv6 for the IPv4 address', async () => {
  expect(await resolver.resolve('::ffff:192.0.2.7', BOTH, never)).toEqual(['192.0.2.7']);
});

it('finds only addresses of the families that are asked for', async () => {
  expect(await resolver.resolve('localhost', ['ipv4'], never)).toEqual(['127.0.0.1']);
  for (const address of await resolver.resolve('localhost', BOTH, never)) {
    expect(['127.0.0.1', '::1']).toContain(address);
  }
});

it.each([
  ['an address of the other family', '::1', ['ipv4'], 'no IPv4 address now'],
  ['an address of the other family', '192.0.2.7', ['ipv6'], 'no IPv6 address now'],
  ['a name too long to ask for', `${'a'.repeat(64)}.invalid`, ['ipv4'], 'no IPv4 address now'],
  ['a name too long to ask for', `${'a'.repeat(64)}.invalid`, BOTH, 'no address now'],
] as const)('says of %s which family is missing', async (_, host, families, words) => {
  await expect(resolver.resolve(host, families, never)).rejects.toMatchObject({
    name: 'IpipouError',
    exit: 'generic',
    message: expect.stringContaining(`${host}: ${words}`) as string,
  });
});

it('rejects as soon as it is aborted, before and during', async () => {
  const reason = new Error('no more');
  await expect(resolver.resolve('localhost', BOTH, AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const lookup = resolver.resolve('localhost', BOTH, controller.signal);
  controller.abort(reason);
  await expect(lookup).rejects.toBe(reason);
});
