import { hintOfErrno, IpipouError, KernelError } from '../../../core/errors.ts';
import type { Requirement } from '../../../ports/data-plane.ts';
import { networkPermission } from '../network-permission.ts';
import { libbpf } from './bpf-calls.ts';
import { loadPrograms, objectFile } from './programs.ts';

/** What the plane needs of this machine. Looks only: programs that are loaded to try are gone at once. */
export async function probeRequirements(): Promise<readonly Requirement[]> {
  const permitted = await networkPermission();
  const library = attempt(
    'libbpf (loads the programs)',
    () => {
      libbpf();
      return 'libbpf.so.1 opened';
    },
    'apt-get install libbpf1',
  );
  const object = attempt('the compiled programs', () => objectFile(), 'npm run build');
  const ready = permitted.met && library.met && object.met;
  return [permitted, library, object, ...(ready ? [kernel()] : [])];
}

/** The verifier is the judge of whether a kernel is new enough: it is asked. */
function kernel(): Requirement {
  return attempt(
    'a kernel that takes the programs (Linux 5.15 or newer)',
    () => {
      using _programs = loadPrograms({ maxPeers: 1 });
      return 'loaded them';
    },
    ({ errno }) =>
      errno === 'EPERM'
        ? 'run with CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN (a container has to be given them)'
        : "boot a newer kernel, e.g. Debian's: apt-get install linux-image-amd64",
  );
}

function attempt(
  what: string,
  act: () => string,
  mend: string | ((error: KernelError) => string),
): Requirement {
  try {
    return { what, met: true, detail: act(), mend: undefined };
  } catch (error) {
    if (!(error instanceof IpipouError)) throw error;
    // The verifier's log is for who asks for this plane; here its first line has to do.
    const detail = error.message.split('\n', 1).join();
    return { what, met: false, detail, mend: howToMend(error, mend), exit: error.exit };
  }
}

function howToMend(
  error: IpipouError,
  mend: string | ((error: KernelError) => string),
): string | undefined {
  if (!(error instanceof KernelError)) return typeof mend === 'string' ? mend : undefined;
  return hintOfErrno(error.errno) ?? (typeof mend === 'string' ? mend : mend(error));
}
