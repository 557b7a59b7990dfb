import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { IpipouError } from '../../core/errors.ts';
import type { CommandContext } from '../command.ts';
import { loadConfig } from '../load-config.ts';
import { reasonOf } from '../print-error.ts';
import { startTunnel } from '../start-tunnel.ts';
import { CONFIG_FOLDER } from './config-folder.ts';

const execute = promisify(execFile);

/** Whether systemd runs here (sd_booted(3)). */
function hasSystemd(): boolean {
  return existsSync('/run/systemd/system');
}

/** Starts a tunnel, for every boot from now on where systemd runs; its device, when it is ready. */
export async function startForGood(path: string, context: CommandContext): Promise<string> {
  if (!hasSystemd() || dirname(path) !== CONFIG_FOLDER) return startTunnel(path, context);
  const unit = `ipipou@${basename(path, '.conf')}`;
  try {
    await execute('systemctl', ['enable', '--now', unit]);
  } catch (error) {
    await execute('systemctl', ['disable', '--now', unit]).catch(() => undefined);
    throw new IpipouError('generic', `systemctl enable --now ${unit} failed: ${reasonOf(error)}`, {
      hint: `journalctl -u ${unit}`,
      cause: error,
    });
  }
  const { resolved } = await loadConfig(['--config', path]);
  if (!('config' in resolved)) throw new IpipouError('arguments', `${path} describes no tunnel`);
  const { device } = resolved.config.inner;
  context.stdout(`${device} is up, and will be after every boot: ${unit}\n`);
  return device;
}
