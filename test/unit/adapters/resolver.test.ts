import { expect, it } from 'vitest';
import { openResolver } from '../../../src/adapters/resolver.ts';

const never = new AbortController().signal;

it('finds a name of /etc/hosts, and takes an address for itself', async () => {
  expect(await openResolver().resolve('localhost', never)).toContain('127.0.0.1');
  expect(await openResolver().resolve('192.0.2.7', never)).toEqual(['192.0.2.7']);
});

it.each([
  ['an IPv6 address', '::1'],
  ['a name too long to ask for', `${'a'.repeat(64)}.invalid`],
])('says of %s that it has no IPv4 address', async (_, host) => {
  await expect(openResolver().resolve(host, never)).rejects.toMatchObject({
    name: 'IpipouError',
    exit: 'generic',
    message: expect.stringContaining(`${host}: no IPv4 address now`) as string,
  });
});

it('rejects as soon as it is aborted, before and during', async () => {
  const reason = new Error('no more');
  await expect(openResolver().resolve('localhost', AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const lookup = openResolver().resolve('localhost', controller.signal);
  controller.abort(reason);
  await expect(lookup).rejects.toBe(reason);
});
