import { describe, expect, test } from 'vitest';
import { generateKeyPair } from '../../../src/adapters/crypto.ts';
import { formatBase64 } from '../../../src/core/base64.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { live } from './live-rig.ts';

const server = generateKeyPair();
const freshKey = () => decodePublicKey(generateKeyPair().publicKey);
const TOP = `server
# ours
invite-address vps.example
auth-key-b64 ${formatBase64(server.privateSeed)}
auth-secret words
reply-on-auth-ok
tunl-ip 10.0.0.1, fd28::1
`;
const MEMBER = `peer a
auth-token ta
tunl-peer-ip 10.0.0.2
`;
const until = (time: string) => ['invited-until', time] as const;
const TIME = '2027-01-31T12:00:00Z';

type Live = Awaited<ReturnType<typeof live>>;

const invite = ({ config }: Live, peer: string, key: string, expose = 'tcp/80') =>
  config.answer({
    request: 'add-peer',
    peer,
    options: [['auth-remote-pubkey-b64', key], until(TIME), ['expose', expose]],
  });

const register = (
  { config }: Live,
  peer: string,
  invitation = freshKey(),
  publicKey = freshKey(),
) => config.register({ peer: peer as PeerId, invitation, publicKey });

describe('add-peer', () => {
  test('adds a peer with the next free addresses of each family, in the file and here', async () => {
    const tunnel = await live(TOP + MEMBER);
    const key = freshKey();
    expect(await invite(tunnel, 'b', key)).toMatchObject({
      ok: true,
      innerIps: ['10.0.0.3', 'fd28::2'],
    });
    expect(tunnel.read()).toBe(
      `${TOP}${MEMBER}\npeer b\nauth-remote-pubkey-b64 ${key}\ntunl-peer-ip 10.0.0.3, fd28::2\n` +
        `invited-until ${TIME}\nexpose tcp/80\n`,
    );
    expect(tunnel.peers('b')).toMatchObject({ invitedUntil: 1_801_396_800 });
    expect(await tunnel.config.reload()).toMatchObject({ changes: { kept: 2 } });
  });

  test('two at once get addresses of their own', async () => {
    const tunnel = await live(TOP);
    const replies = await Promise.all(
      ['b', 'c', 'd'].map((id) => invite(tunnel, id, freshKey(), 'none')),
    );
    const given = replies.flatMap((reply) => (reply.ok ? (reply.innerIps ?? []) : []));
    expect(new Set(given).size).toBe(6);
  });

  test('a member of that name is refused, an invitation is made anew', async () => {
    const tunnel = await live(TOP + MEMBER);
    expect(await invite(tunnel, 'a', freshKey())).toMatchObject({ ok: false, exit: 'arguments' });
    await invite(tunnel, 'b', freshKey());
    const key = freshKey();
    expect(await invite(tunnel, 'b', key)).toMatchObject({ innerIps: ['10.0.0.3', 'fd28::2'] });
    expect(tunnel.read().match(/peer b\n/g)).toHaveLength(1);
    expect(tunnel.read()).toContain(key);
  });

  test('what does not go together with the file for what was set since says what to do', async () => {
    const tunnel = await live(`${TOP}${MEMBER}\npeer c\nauth-token tc\ntunl-peer-ip 10.0.0.3\n`);
    const before = tunnel.read();
    await tunnel.config.answer({ request: 'remove-peer', peer: 'a' });
    expect(await invite(tunnel, 'b', freshKey())).toMatchObject({
      ok: false,
      hint: 'what was set since is not in the file yet (peer a): ipipou save t, then again',
    });
    expect(tunnel.read()).toBe(before);
    expect(await tunnel.config.answer({ request: 'save' })).toMatchObject({ ok: true });
    expect(await invite(tunnel, 'b', freshKey())).toMatchObject({ ok: true });
  });

  test('what the tunnel does not take is not in the file either', async () => {
    const tunnel = await live(TOP + MEMBER);
    tunnel.tunnel.failWith = new Error('no room');
    expect(await invite(tunnel, 'b', freshKey())).toMatchObject({ ok: false, error: 'no room' });
    expect(tunnel.read()).toBe(TOP + MEMBER);
    expect(tunnel.peers('b')).toBeUndefined();
  });

  test('what cannot be written is not in the tunnel either', async () => {
    const tunnel = await live(TOP + MEMBER);
    tunnel.rewrite(`${TOP}${MEMBER}mtu x\n`);
    expect(await invite(tunnel, 'b', freshKey())).toMatchObject({ ok: false });
    expect(tunnel.tunnel.calls).toEqual([]);
  });
});

describe('a key that a client registers', () => {
  test('takes the place of the invitation, in the file and here, and so does no other', async () => {
    const tunnel = await live(TOP);
    const [invitation, key] = [freshKey(), freshKey()];
    await invite(tunnel, 'b', invitation);
    expect(await register(tunnel, 'b', invitation, key)).toBe(true);
    const text = tunnel.read();
    expect(text).toContain(`peer b\nauth-remote-pubkey-b64 ${key}\n`);
    expect(text).not.toContain('invited-until');
    expect(text).not.toContain(invitation);
    expect(text).toContain('expose tcp/80');
    expect(tunnel.peers('b')).toMatchObject({ proof: { peerPublicKey: key } });
    expect(tunnel.peers('b')?.invitedUntil).toBeUndefined();
    expect(await register(tunnel, 'b', invitation)).toBe(false);
    // The same once more, which came while the first was being written.
    expect(await register(tunnel, 'b', invitation, key)).toBe(true);
    expect(tunnel.read()).toBe(text);
  });

  test('of two at once one wins', async () => {
    const tunnel = await live(TOP);
    const invitation = freshKey();
    await invite(tunnel, 'b', invitation);
    const both = await Promise.all([
      register(tunnel, 'b', invitation),
      register(tunnel, 'b', invitation),
    ]);
    expect(both.toSorted()).toEqual([false, true]);
  });

  test('of nobody invited is refused', async () => {
    const tunnel = await live(TOP + MEMBER);
    await invite(tunnel, 'b', freshKey());
    expect(await register(tunnel, 'a')).toBe(false);
    expect(await register(tunnel, 'b')).toBe(false);
    expect(await register(tunnel, 'nobody')).toBe(false);
  });

  test('is kept with what the file says besides by now', async () => {
    const tunnel = await live(TOP);
    const [invitation, key] = [freshKey(), freshKey()];
    await invite(tunnel, 'b', invitation);
    tunnel.rewrite(tunnel.read().replace('# ours', '# theirs\nverb 3'));
    expect(await register(tunnel, 'b', invitation, key)).toBe(true);
    expect(tunnel.read()).toContain('# theirs\nverb 3\n');
    expect(tunnel.read()).toContain(key);
  });

  test('is refused where the file has not the invitation any more, or cannot be written', async () => {
    const tunnel = await live(TOP + MEMBER);
    const invitation = freshKey();
    await invite(tunnel, 'b', invitation);
    tunnel.rewrite(TOP + MEMBER);
    expect(await register(tunnel, 'b', invitation)).toBe(false);
    expect(tunnel.read()).toBe(TOP + MEMBER);
    expect(tunnel.peers('b')?.invitedUntil).toBeDefined();
    expect(tunnel.logged.join()).toContain('a client could not join');
  });

  test('that the tunnel does not take is taken back', async () => {
    const tunnel = await live(TOP);
    const invitation = freshKey();
    await invite(tunnel, 'b', invitation);
    const before = tunnel.read();
    tunnel.tunnel.failWith = new Error('no room');
    expect(await register(tunnel, 'b', invitation)).toBe(false);
    expect(tunnel.read()).toBe(before);
  });
});

test('revoke takes an invitation away, and no member', async () => {
  const tunnel = await live(TOP + MEMBER);
  await invite(tunnel, 'b', freshKey());
  expect(await tunnel.config.answer({ request: 'revoke', peer: 'a' })).toMatchObject({ ok: false });
  expect(await tunnel.config.answer({ request: 'revoke', peer: 'b' })).toEqual({ ok: true });
  expect(tunnel.read()).toBe(TOP + MEMBER);
  expect(tunnel.peers('b')).toBeUndefined();
});
