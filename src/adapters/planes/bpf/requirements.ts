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
  if (ready) return [permitted, library, object, kernel()];
  const unseen = { what: KERNEL, met: false, detail: 'not looked at', fix: undefined };
  return [permitted, library, object, permitted.met ? unseen : { ...unseen, fix: SEE }];
}

const KERNEL = 'a kernel that takes the programs (Linux 5.15 or newer)';
const SEE = 'run as root to see (sudo ipipou …)';

/** The verifier is the judge of whether a kernel is new enough: it is asked. */
function kernel(): Requirement {
  return attempt(
    KERNEL,
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
  fix: string | ((error: KernelError) => string),
): Requirement {
  try {
    return { what, met: true, detail: act(), fix: undefined };
  } catch (error) {
    if (!(error instanceof IpipouError)) throw error;
    // The verifier's log is for who asks for this plane; here its first line has to do.
    const detail = error.message.split('\n', 1).join();
    return { what, met: false, detail, fix: fixOf(error, fix), exit: error.exit };
  }
}

function fixOf(
  error: IpipouError,
  fix: string | ((error: KernelError) => string),
): string | undefined {
  if (!(error instanceof KernelError)) return typeof fix === 'string' ? fix : undefined;
  return hintOfErrno(error.errno) ?? (typeof fix === 'string' ? fix : fix(error));
}
