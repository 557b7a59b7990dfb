import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { publicKeyOf } from '../../../src/adapters/crypto.ts';
import { formatBase64 } from '../../../src/core/base64.ts';
import type { CommandContext } from '../../../src/cli/command.ts';
import { genconfCommand } from '../../../src/cli/commands/genconf.ts';
import type { PeerConfig } from '../../../src/core/config/tunnel-config.ts';
import { resolveRun } from '../config/resolve-texts.ts';

let folder = '';
let said = '';
const context = { stdout: (text: string) => (said += text) } as unknown as CommandContext;
const genconf = (...args: readonly string[]) => genconfCommand.run(args, context);

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-genconf-'));
  said = '';
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const text = (name: string): string => readFileSync(path.join(folder, name), 'utf8');
const keyed = ({ proof }: PeerConfig) => {
  if (proof.kind !== 'ed25519' || proof.privateSeed === undefined) throw new Error('no keys');
  return { own: formatBase64(publicKeyOf(proof.privateSeed)), ...proof };
};

test('its files fit each other, and are for root alone', async () => {
  const args = ['--address', 'vps.example', '--clients', '2', '--port', '4000', '--dir', folder];
  expect(await genconf(...args)).toBe(0);
  const names = ['server.conf', 'client1.conf', 'client2.conf'];
  expect(said.trim().split('\n')).toEqual(names.map((name) => path.join(folder, name)));
  for (const name of names) expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o600);

  const server = resolveRun(text('server.conf')).config;
  expect(server).toMatchObject({ role: 'server', outer: { localPort: 4000 } });
  expect(server.peers.map(({ id }) => id)).toEqual(['client1', 'client2']);
  for (const peer of server.peers) {
    const { config } = resolveRun(text(`${peer.id}.conf`));
    const [there] = config.peers;
    if (there === undefined) throw new Error('no server in it');
    expect(config.role).toBe('client');
    expect(there).toMatchObject({ remoteHost: 'vps.example', remotePort: 4000 });
    expect(config.inner.ips).toEqual(peer.innerIps);
    expect(there.innerIps).toEqual(server.inner.ips);
    const [here, away] = [keyed(there), keyed(peer)];
    expect(here.peerPublicKey).toBe(away.own);
    expect(away.peerPublicKey).toBe(here.own);
    expect(here.secret).toEqual(away.secret);
  }
  const keys = server.peers.map((peer) => keyed(peer).peerPublicKey);
  expect(keys[0]).not.toEqual(keys[1]);

  // Nothing is written over, nor beside what is there.
  const before = text('server.conf');
  rmSync(path.join(folder, 'client1.conf'));
  await expect(genconf(...args)).rejects.toThrow('server.conf is there already');
  expect(text('server.conf')).toBe(before);
  expect(() => text('client1.conf')).toThrow('ENOENT');
});

test('without a folder they are printed, each below its name', async () => {
  const inner = ['--inner', '10.5.0.0/24,fd05::/64'];
  expect(await genconf('--address', '[2001:db8::1]:500', ...inner)).toBe(0);
  const [, ...parts] = said.split(/^# ---- (\S+) ----$/m);
  expect(parts[0]).toBe('server.conf');
  expect(parts[2]).toBe('client1.conf');
  const client = resolveRun(parts[3] ?? '').config;
  expect(client.peers[0]).toMatchObject({ remoteHost: '2001:db8::1', remotePort: 500 });
  expect(client.inner.ips).toEqual(resolveRun(parts[1] ?? '').config.peers[0]?.innerIps);
  expect(client.inner.ips[0]).toMatch(/^10\.5\.0\./);
});

test.each([
  [[], 'expected --address'],
  [['--address', 'vps.example', '--clients', '0'], 'from 1 to 1000'],
  [['--address', 'two words'], 'address'],
  [['--address', 'vps.example', '--inner', '10.5.0.0/33'], 'inner'],
])('%j is refused', async (args, words) => {
  await expect(genconf(...args)).rejects.toThrow(words);
  expect(said).toBe('');
});
