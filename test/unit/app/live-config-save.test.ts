import { describe, expect, test } from 'vitest';
import type { ControlReply } from '../../../src/ports/control.ts';
import { A, B, live, TOP } from './live-rig.ts';

type Live = Awaited<ReturnType<typeof live>>;
const C = [
  ['auth-token', 'tc'],
  ['tunl-peer-ip', '10.0.0.3'],
] as const;

const save = ({ config }: Live): Promise<ControlReply> => config.answer({ request: 'save' });
const set = ({ config }: Live, peer: string, ...options: readonly (readonly [string, string])[]) =>
  config.answer({ request: 'set-peer', peer, options });

describe('save', () => {
  test('writes what was set, added and removed, and nothing a second time', async () => {
    const tunnel = await live(`${TOP}# a comment\n${A}keepalive 3\n${B}`);
    await set(tunnel, 'a', ['keepalive', '5']);
    await set(tunnel, 'c', ...C);
    await tunnel.config.answer({ request: 'remove-peer', peer: 'b' });
    expect(await save(tunnel)).toEqual({ ok: true, saved: 3 });
    const text = `${TOP}# a comment\n${A}keepalive 5\n\npeer c\nauth-token tc\ntunl-peer-ip 10.0.0.3\n`;
    expect(tunnel.read()).toBe(text);
    expect(await save(tunnel)).toEqual({ ok: true, saved: 0 });
    expect(await tunnel.config.reload()).toMatchObject({
      changes: { added: 0, removed: 0, kept: 2 },
    });
  });

  test('keeps what was written into the file meanwhile, where it is about others', async () => {
    const tunnel = await live(TOP + A + B);
    await set(tunnel, 'a', ['keepalive', '5']);
    tunnel.rewrite(`${TOP}verb 3\n${A}${B}keepalive 9\n`);
    expect(await save(tunnel)).toEqual({ ok: true, saved: 1 });
    expect(tunnel.read()).toBe(`${TOP}verb 3\n${A}keepalive 5\n${B}keepalive 9\n`);
  });

  test('refuses where the file says something else of the same peer', async () => {
    const tunnel = await live(TOP + A + B);
    await set(tunnel, 'a', ['keepalive', '5']);
    const theirs = `${TOP}${A}connection-idle 77\n${B}`;
    tunnel.rewrite(theirs);
    expect(await save(tunnel)).toMatchObject({
      ok: false,
      error: expect.stringMatching(/t\.conf says something else of peer a/) as string,
    });
    expect(tunnel.read()).toBe(theirs);
  });

  test('refuses where the file is faulty by now, and says where', async () => {
    const tunnel = await live(TOP + A);
    await set(tunnel, 'a', ['keepalive', '5']);
    tunnel.rewrite(`${TOP}${A}mtu x\n`);
    expect(await save(tunnel)).toMatchObject({ ok: false, exit: 'arguments' });
    expect(tunnel.read()).toContain('mtu x');
    expect(tunnel.read()).not.toContain('keepalive');
  });

  test('after a reload there is nothing to write', async () => {
    const tunnel = await live(TOP + A);
    await set(tunnel, 'a', ['keepalive', '5']);
    await tunnel.config.reload();
    expect(await save(tunnel)).toEqual({ ok: true, saved: 0 });
    expect(tunnel.read()).toBe(TOP + A);
  });

  test('peers of another file are not written into this one', async () => {
    const tunnel = await live(TOP + A);
    await tunnel.config.answer({ request: 'sync', source: '/elsewhere', text: TOP + B });
    expect(await save(tunnel)).toMatchObject({
      ok: false,
      error: expect.stringContaining('/elsewhere') as string,
    });
    expect(tunnel.read()).toBe(TOP + A);
  });

  test('refuses to leave a file without peers, and says what can be done', async () => {
    const tunnel = await live(TOP + A);
    await tunnel.config.answer({ request: 'remove-peer', peer: 'a' });
    expect(await save(tunnel)).toMatchObject({
      ok: false,
      error: `${tunnel.file} would be left without a peer, and describe no tunnel: nothing is written`,
      hint: expect.stringMatching(/`invite-address HOST`.*or.*by hand/) as string,
    });
    expect(tunnel.read()).toBe(TOP + A);
    tunnel.rewrite(`${TOP}invite-address h\n${A}`);
    expect(await save(tunnel)).toEqual({ ok: true, saved: 1 });
    expect(tunnel.read()).toBe(`${TOP}invite-address h\n`);
  });

  test('nor does it where whoever comes would be taken for the peer', async () => {
    for (const top of ['', 'auth none\n']) {
      const text = `${TOP}${top}invite-address h\n${A}`;
      const tunnel = await live(text);
      await tunnel.config.answer({ request: 'remove-peer', peer: 'a' });
      expect(await save(tunnel)).toMatchObject({ ok: top === '' });
      if (top !== '') expect(tunnel.read()).toBe(text);
    }
  });

  test("a client's only server cannot be taken out of its file either", async () => {
    const text =
      'tunl-ip 10.0.0.9\npeer s\nfou-remote 192.0.2.1:7\nauth-token t\ntunl-peer-ip 10.0.0.1\n';
    const tunnel = await live(text);
    await tunnel.config.answer({ request: 'remove-peer', peer: 's' });
    const reply = await save(tunnel);
    expect(reply).toMatchObject({ error: expect.stringContaining('without a peer') as string });
    expect(reply).not.toMatchObject({ hint: expect.stringContaining('invite') as string });
    expect(tunnel.read()).toBe(text);
  });

  test('a file that is faulty by now is told so, also when no peer is left', async () => {
    const tunnel = await live(TOP + A);
    await tunnel.config.answer({ request: 'remove-peer', peer: 'a' });
    tunnel.rewrite(`${TOP}mtu x\n${A}`);
    expect(await save(tunnel)).toMatchObject({
      error: expect.stringContaining('mtu') as string,
    });
  });
});
