import type { Program } from '../adapters/lab/process.ts';
import type { Site } from './site.ts';

/** One running end. */
export type Side = {
  readonly namespace: string;
  /** Device that inner packets of the first client leave by. */
  readonly device: string;
  /** Its own programs; none where the kernel does it all. */
  readonly programs: readonly Program[];
  readonly stop: () => Promise<void>;
};

/** An end that consists of kernel devices only: what undoes it are lines of `ip`. */
export function kernelSide(
  site: Site,
  namespace: string,
  device: string,
  undo: readonly string[],
): Side {
  return { namespace, device, programs: [], stop: async () => site.ip(namespace, undo) };
}

/** An end that is one program which takes its device with it. */
export function programSide(namespace: string, device: string, program: Program): Side {
  return {
    ...{ namespace, device, programs: [program] },
    stop: async () => void (await program.stop()),
  };
}
