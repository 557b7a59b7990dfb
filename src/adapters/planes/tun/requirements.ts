import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { KernelError } from '../../../core/errors.ts';
import type { Requirement } from '../../../ports/data-plane.ts';
import { close } from '../../ffi/libc.ts';
import { networkPermission } from '../network-permission.ts';
import { openTun, TUN_PATH, tunHint } from './tun-device.ts';

const run = promisify(execFile);

/** What the plane needs of this machine; with `load`, the module `tun` is loaded where it is missing. */
export async function probeRequirements(load: boolean): Promise<readonly Requirement[]> {
  return [await networkPermission(), await tunDevice(load)];
}

async function tunDevice(load: boolean): Promise<Requirement> {
  const what = `${TUN_PATH} (packets to and from user space)`;
  let failure = tryOpen();
  if (failure && load) {
    // Its failure shows in the second try, with the reason that matters.
    await run('modprobe', ['-q', 'tun']).catch(() => undefined);
    failure = tryOpen();
  }
  return failure
    ? {
        what,
        met: false,
        detail: failure.message,
        fix: tunHint(failure.errno),
        exit: failure.exit,
      }
    : { what, met: true, detail: 'opened', fix: undefined };
}

function tryOpen(): KernelError | undefined {
  try {
    close(openTun());
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
}
