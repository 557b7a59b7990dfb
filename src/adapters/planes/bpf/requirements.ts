import { hintOfErrno, IpipouError, KernelError } from '../../../core/errors.ts';
import type { Requirement } from '../../../ports/data-plane.ts';
import { networkPermission } from '../network-permission.ts';
import { libbpf } from './bpf-calls.ts';
import { PROGRAMS } from './abi.ts';
import { objectFile } from './loaded-object.ts';
import { loadPrograms } from './programs.ts';

/**
 * What the plane needs of this machine. Looks only: programs that are loaded to try, where `trial` says so, are gone at
 * once.
 */
export async function probeRequirements(trial: boolean): Promise<readonly Requirement[]> {
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
  if (ready) return [permitted, library, object, ...(trial ? [kernel(loadAll)] : [])];
  const unseen = { what: KERNEL, met: false, detail: 'not looked at', fix: undefined };
  return [permitted, library, object, permitted.met ? unseen : { ...unseen, fix: SEE }];
}

const KERNEL = 'a kernel that takes the programs (Linux 5.15 or newer)';
const SEE = 'run as root to see (sudo ipipou …)';

function loadAll(): void {
  using programs = loadPrograms({ maxPeers: 1 });
  for (const name of PROGRAMS) programs.descriptor(name);
}

/** The verifier is the judge of whether a kernel is new enough: it is asked. */
export function kernel(load: () => void): Requirement {
  const asked = attempt(
    KERNEL,
    () => {
      load();
      return 'loaded them';
    },
    ({ errno }) => FIXES[errno] ?? NEWER,
  );
  return asked.fix === FIXES['EAGAIN'] ? { ...asked, what: UNDISTURBED } : asked;
}

const NEWER = "boot a newer kernel, e.g. Debian's: apt-get install linux-image-amd64";
const UNDISTURBED = 'quiet while the kernel looks at the programs';
const FIXES: Readonly<Record<string, string>> = {
  EPERM: 'run with CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN (a container has to be given them)',
  EAGAIN: 'start again without what sends this process signals all the time (a profiler, a timer)',
};

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
