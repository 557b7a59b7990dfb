import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';
import { hintOfErrno } from '../../../core/errors.ts';
import type { Requirement } from '../../../ports/data-plane.ts';
import { networkPermission } from '../network-permission.ts';
import { loadLibnftables } from '../../ffi/libnftables.ts';

const run = promisify(execFile);

type Module = {
  readonly name: string;
  readonly purpose: string;
  /** A file that is there while it is loaded, or built in where nothing else tells. */
  readonly trace?: string;
};

/** Kernel modules of the plane, and what each is for. */
const MODULES: readonly Module[] = [
  { name: 'fou', purpose: 'Foo-over-UDP encapsulation' },
  { name: 'ipip', purpose: 'IPIP tunnel devices' },
  {
    name: 'nfnetlink_queue',
    purpose: 'packets to user space',
    trace: '/proc/self/net/netfilter/nfnetlink_queue',
  },
  { name: 'nft_queue', purpose: 'the nftables rule that queues them' },
];

/**
 * Those of tunnels of IPv6, outside or inside. The devices' own the kernel loads by itself with the first of them,
 * and puts one more device into every namespace then: that they could be loaded is enough before.
 */
const IPV6_MODULES = {
  fou6: { purpose: 'Foo-over-UDP encapsulation in IPv6', load: true },
  ip6_tunnel: { purpose: 'tunnel devices of IPv6', load: false },
  sit: { purpose: 'tunnel devices for IPv6 in IPv4', load: false },
} as const;

/** The first of these that is not to be had; those without devices are loaded. */
export async function missingModule(
  names: readonly (keyof typeof IPV6_MODULES)[],
): Promise<Requirement | undefined> {
  for (const name of names) {
    const { purpose, load } = IPV6_MODULES[name];
    const requirement = await moduleRequirement({ name, purpose }, load);
    if (!requirement.met) return requirement;
  }
  return undefined;
}

/**
 * What the plane needs of this machine. With `load`, modules that are there but not loaded are
 * loaded (modprobe); without it they are only looked for.
 */
export async function probeRequirements(load: boolean): Promise<readonly Requirement[]> {
  return [
    await networkPermission(),
    ...(await Promise.all(MODULES.map((module) => moduleRequirement(module, load)))),
    libraryRequirement(),
  ];
}

async function moduleRequirement(module: Module, load: boolean): Promise<Requirement> {
  const what = `kernel module ${module.name} (${module.purpose})`;
  const traces = [`/sys/module/${module.name}`, ...(module.trace ? [module.trace] : [])];
  if ((await Promise.all(traces.map(exists))).includes(true)) {
    return { what, met: true, detail: 'loaded', fix: undefined };
  }
  try {
    await run('modprobe', load ? ['-q', module.name] : ['-n', '-q', module.name]);
    return { what, met: true, detail: load ? 'loaded now' : 'can be loaded', fix: undefined };
  } catch (error) {
    // The name of an errno when modprobe could not be run, a number when it has failed.
    const { code } = error as NodeJS.ErrnoException;
    const hint = typeof code === 'string' ? hintOfErrno(code) : undefined;
    if (hint !== undefined) {
      return { what, met: false, detail: `modprobe: ${code}`, fix: hint, exit: 'modprobe' };
    }
    const missingTool = code === 'ENOENT';
    return {
      what,
      met: false,
      detail: missingTool ? 'modprobe is not installed' : 'this kernel does not have it',
      fix: missingTool
        ? 'apt-get install kmod'
        : "boot a kernel that has it, e.g. Debian's: apt-get install linux-image-amd64",
      exit: 'modprobe',
    };
  }
}

function libraryRequirement(): Requirement {
  const what = 'libnftables';
  if (loadLibnftables() !== undefined) {
    return { what, met: true, detail: 'libnftables.so.1 opened', fix: undefined };
  }
  const detail = 'libnftables.so.1 cannot be opened';
  return { what, met: false, detail, fix: 'apt-get install libnftables1', exit: 'nftables' };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
