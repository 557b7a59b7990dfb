import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { prepareKernel, type Kernel } from './kernel.ts';
import { PROJECT } from './project.ts';

/*
 * A virtual machine for one command: Debian's stock kernel in QEMU, emulated (no KVM, no root).
 *
 *   host                                guest
 *   /                    ── 9p, ro ──▶  / (under a tmpfs overlay: writes are lost)
 *   temporary folder     ── 9p, rw ──▶  /run/vm          boot.sh
 *   outDir               ── 9p, rw ──▶  /run/vm/out      $VM_OUT: what the command leaves
 *   stdout, stderr       ◀─ virtio-serial ──             the command's, streamed
 *   exit code            ◀─ virtio-serial ──             one line; no line = the guest failed
 *
 * The host's files must not change meanwhile: the guest caches them without asking again.
 */

export type VmOptions = {
  /** Run as root, in the host's current folder; found by PATH. */
  readonly command: readonly string[];
  /** Absent = as long as it takes, or until `signal`. */
  readonly timeoutSeconds?: number;
  /** Made when missing; kept. Default: a temporary folder, removed after. */
  readonly outDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Processors of the guest; default 2. */
  readonly cpus?: number;
  /** Where kernels are kept; default .cache/vm of the project. */
  readonly cacheDir?: string;
  /** A linux-image-….deb to boot; default $VM_KERNEL, else the kernel that apt would install now. */
  readonly kernelPackage?: string;
  readonly onStdout?: (text: string) => void;
  readonly onStderr?: (text: string) => void;
  readonly signal?: AbortSignal;
};

export type VmResult =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'timeout'; readonly console: string }
  /** The guest ended without saying an exit code; `console` is what its kernel and QEMU said. */
  | { readonly kind: 'crashed'; readonly console: string };

const MEMORY_MIB = 2048;
/**
 * QEMU finds what it has translated in a table of many megabytes, at random: with pages of 4 KiB a fifth of its time went
 * to walks for them. Asks glibc (2.35 or later) for large ones.
 */
const LARGE_PAGES = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };
/** The line on the guest's exit port; anything else there is no result. */
const EXIT_LINE = /^exit ([0-9]+)$/m;

/** Boots a guest, runs the command in it, and tells how it ended. */
export async function runInVm(options: VmOptions): Promise<VmResult> {
  if (process.arch !== 'x64')
    throw new Error(`the guest is x86-64; this machine is ${process.arch}`);
  const cache = options.cacheDir ?? path.join(PROJECT, '.cache/vm');
  const kernel = await kernelOnce(cache, options.kernelPackage ?? process.env['VM_KERNEL']);
  const work = await mkdtemp(path.join(tmpdir(), 'ipipou-vm-'));
  try {
    const out = path.resolve(options.outDir ?? path.join(work, 'out'));
    const run = path.join(work, 'run');
    await mkdir(out, { recursive: true });
    await mkdir(run);
    await writeFile(path.join(run, 'boot.sh'), bootScript(options));
    const log = path.join(work, 'console');
    const tsc = await tscKhz();
    const arguments_ = [
      ...machineArguments(options.cpus ?? 2),
      ...['-kernel', kernel.image, '-initrd', kernel.initrd],
      ...['-append', kernelArguments(kernel.modules, tsc), '-serial', `file:${log}`],
      ...portArguments(['stdout', 'stderr', 'exit']),
      ...folderArguments('host-root', '/', true),
      ...folderArguments('run', run, false),
      ...folderArguments('out', out, false),
    ];
    const ended = await qemu(arguments_, options);
    const line = EXIT_LINE.exec(ended.exit);
    if (line) return { kind: 'exited', code: Number(line[1]) };
    const console = (await readFile(log, 'utf8').catch(() => '')) + ended.errors;
    return { kind: ended.late ? 'timeout' : 'crashed', console };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const kernels = new Map<string, Promise<Kernel>>();

/** Guests that begin at one time share the preparing of their kernel. */
async function kernelOnce(cache: string, file?: string): Promise<Kernel> {
  const key = `${cache} ${file ?? ''}`;
  const kernel = kernels.get(key) ?? prepareKernel(cache, file);
  kernels.set(key, kernel);
  return kernel;
}

type Ended = { readonly exit: string; readonly errors: string; readonly late: boolean };

/** Runs QEMU with the guest's three ports on descriptors 3, 4 and 5. */
async function qemu(args: readonly string[], options: VmOptions): Promise<Ended> {
  options.signal?.throwIfAborted();
  const child = spawn('qemu-system-x86_64', args, {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...LARGE_PAGES },
  });
  const collected = { exit: '', errors: '' };
  const listen = (stream: unknown, take: (text: string) => void): void => {
    // Node types the extra descriptors loosely: as 'pipe' they are readable.
    (stream as Readable).setEncoding('utf8').on('data', take);
  };
  listen(child.stderr, (text) => (collected.errors += text));
  const ports: readonly unknown[] = child.stdio;
  listen(ports[3], options.onStdout ?? ((text) => process.stdout.write(text)));
  listen(ports[4], options.onStderr ?? ((text) => process.stderr.write(text)));
  listen(ports[5], (text) => (collected.exit += text));
  let late = false;
  const kill = (): void => void child.kill('SIGKILL');
  const expire = (): void => {
    late = true;
    kill();
  };
  const { timeoutSeconds } = options;
  const timer =
    timeoutSeconds === undefined ? undefined : setTimeout(expire, timeoutSeconds * 1000);
  options.signal?.addEventListener('abort', kill, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new Error(`qemu-system-x86_64: ${error.message}; install qemu-system-x86`)),
      );
      child.once('close', () => resolve());
    });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', kill);
  }
  options.signal?.throwIfAborted();
  return { ...collected, late };
}

/** A microvm; qemu64 because emulated string instructions and AVX of richer models are slow. */
function machineArguments(cpus: number): readonly string[] {
  const machine = 'microvm,acpi=on,rtc=on,pit=on,pic=on,isa-serial=on,pcie=off,usb=off';
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-M', `${machine},x-option-roms=off`, '-accel', 'tcg,thread=multi', '-cpu', 'qemu64'],
    ...['-smp', String(cpus), '-m', String(MEMORY_MIB)],
  ];
}

function kernelArguments(modules: string, tscKhz: number): string {
  return [
    ...['quiet', 'loglevel=4', 'console=ttyS0', 'panic=-1', 'reboot=t'],
    // A microvm has no timer to measure the TSC against: without its frequency the boot hangs.
    ...['tsc=reliable', `tsc_early_khz=${tscKhz}`, `lpj=${tscKhz * 2}`, 'no_timer_check'],
    ...['mitigations=off', 'nokaslr', 'cryptomgr.notests', 'random.trust_cpu=on', 'audit=0'],
    ...['selinux=0', 'apparmor=0', 'rcupdate.rcu_expedited=1', 'transparent_hugepage=never'],
    ...['net.ifnames=0', `vm.modules=${modules}`],
    ...(process.env['VM_ARGUMENTS']?.split(' ') ?? []),
  ].join(' ');
}

function portArguments(names: readonly string[]): readonly string[] {
  return [
    ...['-device', 'virtio-serial-device'],
    ...names.flatMap((name, index) => [
      ...['-chardev', `socket,id=${name},fd=${index + 3}`],
      ...['-device', `virtserialport,chardev=${name},name=${name}`],
    ]),
  ];
}

function folderArguments(tag: string, folder: string, readonly: boolean): readonly string[] {
  const escaped = folder.replaceAll(',', ',,');
  const mode = readonly ? ',readonly=on' : '';
  return [
    '-fsdev',
    `local,id=${tag},path=${escaped},security_model=none,multidevs=remap${mode}`,
    ...['-device', `virtio-9p-device,fsdev=${tag},mount_tag=${tag}`],
  ];
}

/** What init.sh runs last: the command, with its streams on the ports, then the exit line. */
function bootScript(options: VmOptions): string {
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    VM_OUT: '/run/vm/out',
    ...options.env,
  };
  return `#!/bin/sh
port() {
  for folder in /sys/class/virtio-ports/*; do
    read -r name < "$folder/name"
    [ "$name" = "$1" ] && echo "/dev/\${folder##*/}"
  done
}
${Object.entries(env)
  .map(([name, value]) => `export ${name}=${quote(value)}`)
  .join('\n')}
cd ${quote(process.cwd())} || exit
setsid -w ${options.command.map(quote).join(' ')} < /dev/null > "$(port stdout)" 2> "$(port stderr)"
echo "exit $?" > "$(port exit)"
exec busybox reboot -f
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The TSC's frequency: bogomips is twice the clock in MHz. */
async function tscKhz(): Promise<number> {
  const bogomips = /bogomips\s*:\s*([0-9.]+)/.exec(await readFile('/proc/cpuinfo', 'utf8'))?.[1];
  if (bogomips === undefined) throw new Error('/proc/cpuinfo tells no bogomips');
  return Math.trunc(Number(bogomips) * 500);
}
