import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageFile } from '../adapters/system/package-files.ts';
import { IpipouError } from '../core/errors.ts';
import { ipipouCommand } from './contestants/ipipou.ts';
import { gatherOutside } from './facts.ts';
import { guestArguments, type BenchOptions } from './options.ts';
import { decodeResults, type Results } from './results.ts';

/*
 * The contest in the project's virtual machine, whose rig lives among the tests and is compiled by
 * `npm run bench` and `npm run vm`. The guest sees this machine's files and its /tmp.
 */

/** Like `runInVm` of the rig's machine.ts. */
type RunInVm = (options: {
  readonly command: readonly string[];
  readonly timeoutSeconds: number;
  readonly outDir: string;
  readonly signal: AbortSignal;
  readonly onStdout: (text: string) => void;
  readonly onStderr: (text: string) => void;
}) => Promise<
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'timeout' | 'crashed'; readonly console: string }
>;

const RIG = '.cache/rig/machine.js';
/** Whatever was asked for, a guest that has not ended by then is stuck. */
const TIMEOUT_SECONDS = 2 * 60 * 60;
/** Where a guest finds its folder for what it leaves. */
const GUEST_OUT = '/run/vm/out';

type Streams = { readonly stderr: (text: string) => void; readonly signal: AbortSignal };

export async function measureInGuest(options: BenchOptions, streams: Streams): Promise<Results> {
  const runInVm = await loadRig();
  const folder = await mkdtemp(path.join(tmpdir(), 'ipipou-bench-vm-'));
  try {
    const outside = await gatherOutside(streams.signal);
    await writeFile(path.join(folder, 'outside.json'), JSON.stringify(outside));
    const files = ['--outside', `${GUEST_OUT}/outside.json`, '--out', `${GUEST_OUT}/results.json`];
    streams.signal.throwIfAborted();
    const ended = await runInVm({
      command: [...ipipouCommand(), 'bench', ...guestArguments(options), ...files],
      ...{ timeoutSeconds: TIMEOUT_SECONDS, outDir: folder, signal: streams.signal },
      onStdout: () => undefined,
      onStderr: streams.stderr,
    });
    if (ended.kind !== 'exited') throw new IpipouError('generic', `bench: ${ended.kind} guest`);
    const text = await readFile(path.join(folder, 'results.json'), 'utf8').catch(() => undefined);
    if (text === undefined) {
      throw new IpipouError('generic', `bench: the guest left no results, exit code ${ended.code}`);
    }
    const decoded = decodeResults(text);
    if (!decoded.ok) throw new IpipouError('generic', `bench: the guest's ${decoded.reason}`);
    return decoded.value;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function loadRig(): Promise<RunInVm> {
  const file = packageFile(RIG);
  const there = await access(file).then(
    () => true,
    () => false,
  );
  if (!there) {
    throw new IpipouError('generic', 'bench: the virtual machine is not compiled', {
      hint: 'npm run bench -- --vm, in a clone of the project: it is no part of the package',
    });
  }
  // The rig is compiled apart from this program; its machine.ts exports this function.
  const rig = (await import(pathToFileURL(file).href)) as { readonly runInVm: RunInVm };
  return rig.runInVm;
}
