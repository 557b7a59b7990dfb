import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { generateKeyPair } from '../../../src/adapters/crypto.ts';
import { configStore } from '../../../src/adapters/system/config-store.ts';
import type { CommandContext } from '../../../src/cli/command.ts';
import { inviteCommand } from '../../../src/cli/commands/invite.ts';
import type { Machine } from '../../../src/cli/machine.ts';
import { formatBase64 } from '../../../src/core/base64.ts';
import { parseCode } from '../../../src/core/invite/code.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-invite-'));
  file = path.join(folder, 'home.conf');
  const key = formatBase64(generateKeyPair().privateSeed);
  writeFileSync(
    file,
    `server\ninvite-address 192.0.2.1\nauth-key-b64 ${key}\nauth-secret s\nreply-on-auth-ok\n`,
    { mode: 0o600 },
  );
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A machine where no tunnel runs. */
function idleMachine(): Machine {
  const host = { routeTo: async () => undefined, firstAddress: async () => undefined };
  const machine: Partial<Machine> = {
    configs: configStore,
    clock: { now: () => ({ unix: 1_800_000_000_000, boot: 0 }) } as unknown as Machine['clock'],
    runs: { list: () => [] as const } as unknown as Machine['runs'],
    openHost: () =>
      ({ ...host, close: () => undefined }) as unknown as ReturnType<Machine['openHost']>,
  };
  // Nothing else is asked for.
  return machine as Machine;
}

/** What is printed, where the server does not run. */
async function invite(...args: readonly string[]): Promise<string> {
  let printed = '';
  const context: Partial<CommandContext> = {
    stdout: (text) => void (printed += text),
    stderr: () => undefined,
    machine: async () => idleMachine(),
  };
  const all = [...args, '--server', file];
  expect(await inviteCommand.run(all, context as CommandContext)).toBe(0);
  return printed;
}

function isExposed(printed: string): boolean {
  const reading = parseCode(printed.replace('ipipou join ', '').trim());
  return reading.ok ? reading.invitation.exposed : expect.fail(reading.why);
}

describe('inviting anew', () => {
  test('with the file printed, its key is no invitation', async () => {
    await invite('laptop');
    expect(readFileSync(file, 'utf8')).toContain('invited-until');
    await invite('laptop', '--print');
    expect(readFileSync(file, 'utf8')).not.toContain('invited-until');
  });

  test('the client answers through the tunnel while the peer exposes services', async () => {
    expect(isExposed(await invite('laptop'))).toBe(false);
    expect(isExposed(await invite('laptop', '--expose', 'tcp/443'))).toBe(true);
    expect(isExposed(await invite('laptop'))).toBe(true);
    expect(isExposed(await invite('laptop', '--expose', 'none'))).toBe(false);
    await invite('phone', '--expose', 'tcp/80');
    expect(await invite('phone', '--print')).toContain('\nreturn-path tunnel\n');
    expect(await invite('tablet', '--print')).not.toContain('return-path');
  });
});
