import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  access,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { PROJECT } from './project.ts';

/*
 * The guest's kernel: Debian's stock one, downloaded by apt and kept in a cache by version:
 *
 *   CACHE/PACKAGE_VERSION_CHOICE/vmlinux    uncompressed, so that QEMU enters it without a loader
 *                        /modules/lib/…     only what networks and the rig need, without signatures
 *                        /initrd-HASH.cpio  busybox, init.sh and the modules for mounting the root
 */

/** The metapackage that depends on Debian's current kernel for this architecture. */
const METAPACKAGE = 'linux-image-amd64';

/** Parts of the modules' tree that guests get. */
const MODULE_TREES = [
  'arch/x86/crypto',
  'crypto',
  'lib',
  'net',
  'fs/9p',
  'fs/fscache',
  'fs/netfs',
  'fs/overlayfs',
  'drivers/net/wireguard',
  'drivers/virtio',
];
/** Single modules besides: tunnels and virtual links, and the rig's serial ports. */
const MODULE_FILES = [
  'drivers/net/dummy.ko',
  'drivers/net/geneve.ko',
  'drivers/net/ifb.ko',
  'drivers/net/tun.ko',
  'drivers/net/tap.ko',
  'drivers/net/veth.ko',
  'drivers/net/vxlan/vxlan.ko',
  'drivers/char/virtio_console.ko',
];
/** What init.sh loads before it has a root. */
const BOOT_MODULES = ['virtio_mmio', 'virtio_console', '9pnet_virtio', '9p', 'overlay'];

export type Kernel = {
  /** "6.1.0-56-amd64". */
  readonly release: string;
  readonly image: string;
  readonly initrd: string;
  /** The folder that a guest sees as /usr/lib/modules. */
  readonly modules: string;
};

/**
 * A cached kernel, or one fetched now; rejects with what to do when there is neither. With `file`, the one in
 * that package (linux-image-….deb of any Debian).
 */
export async function prepareKernel(cache: string, file?: string): Promise<Kernel> {
  await mkdir(cache, { recursive: true });
  const key = file === undefined ? await currentKernel(cache) : await kernelOf(cache, file);
  const home = path.join(cache, key);
  const modules = path.join(home, 'modules/lib/modules');
  const [release = ''] = await readdir(modules);
  const initrd = await buildInitrd(home, release);
  return { release, image: path.join(home, 'vmlinux'), initrd, modules };
}

/** The entry of the kernel that apt would install now, else of any that is here. */
async function currentKernel(cache: string): Promise<string> {
  const wanted = await candidate();
  const kept = await entries(cache);
  if (wanted && kept.includes(keyOf(wanted))) return keyOf(wanted);
  try {
    if (!wanted) throw new Error(`apt knows no ${METAPACKAGE}: run "apt-get update"`);
    return await addKernel(cache, wanted, async (folder) => {
      await capture('apt-get', ['download', `${wanted.name}=${wanted.version}`], folder);
      const deb = (await readdir(folder)).find((name) => name.endsWith('.deb'));
      if (deb === undefined) throw new Error('apt-get download left no package');
      return path.join(folder, deb);
    });
  } catch (error) {
    const any = kept.toSorted().at(-1);
    if (any !== undefined) return any;
    throw new Error(`no kernel for the guest: ${reason(error)}`, { cause: error });
  }
}

/** The entry of the kernel in a package. */
async function kernelOf(cache: string, file: string): Promise<string> {
  const shown = await capture('dpkg-deb', ['-W', '--showformat=${Package} ${Version}', file]);
  const [name = '', version = ''] = shown.split(' ');
  if (!name.startsWith('linux-image-')) throw new Error(`${file} is no kernel but ${name}`);
  const wanted = { name, version };
  if ((await entries(cache)).includes(keyOf(wanted))) return keyOf(wanted);
  return addKernel(cache, wanted, async () => path.resolve(file));
}

async function entries(cache: string): Promise<readonly string[]> {
  return (await readdir(cache)).filter((name) => name.startsWith('linux-image-'));
}

type Package = { readonly name: string; readonly version: string };

/** Another choice of modules is another entry of the cache. */
const CHOICE = createHash('sha256')
  .update([...MODULE_TREES, ...MODULE_FILES].join('\n'))
  .digest('hex')
  .slice(0, 8);

function keyOf(wanted: Package): string {
  return `${wanted.name}_${wanted.version.replaceAll(/[^\w.+~-]/g, '_')}_${CHOICE}`;
}

/** The kernel package that the metapackage depends on, as apt would install it now. */
async function candidate(): Promise<Package | undefined> {
  const shown = await capture('apt-cache', ['show', '--no-all-versions', METAPACKAGE]).catch(
    () => '',
  );
  const depends = /^Depends:.*?(linux-image-\S+)(?: \(= ([^)]+)\))?/m.exec(shown);
  const version = depends?.[2] ?? /^Version: (\S+)/m.exec(shown)?.[1];
  return depends?.[1] && version ? { name: depends[1], version } : undefined;
}

/**
 * Unpacks and slims a kernel package, which `obtain` finds or puts into a folder; appears in the cache whole
 * or not at all.
 */
async function addKernel(
  cache: string,
  wanted: Package,
  obtain: (folder: string) => Promise<string>,
): Promise<string> {
  const work = await mkdtemp(path.join(cache, 'fetch-'));
  try {
    await capture('dpkg-deb', ['-x', await obtain(work), 'full'], work);
    const tree = (await exists(path.join(work, 'full/lib/modules'))) ? 'lib' : 'usr/lib';
    const unpacked = path.join(work, 'full', tree, 'modules');
    const [release = ''] = await readdir(unpacked);
    const home = path.join(work, 'home');
    await mkdir(home);
    await writeFile(
      path.join(home, 'vmlinux'),
      await uncompressed(path.join(work, `full/boot/vmlinuz-${release}`)),
    );
    await slimModules(path.join(unpacked, release), home, release);
    await rename(home, path.join(cache, keyOf(wanted)));
    return keyOf(wanted);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function slimModules(from: string, home: string, release: string): Promise<void> {
  const to = path.join(home, 'modules/lib/modules', release);
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) {
    if (name.startsWith('modules.')) await copyFile(path.join(from, name), path.join(to, name));
  }
  for (const tree of MODULE_TREES) {
    // Kernels of other ages have some of it elsewhere.
    if (!(await exists(path.join(from, 'kernel', tree)))) continue;
    await cp(path.join(from, 'kernel', tree), path.join(to, 'kernel', tree), { recursive: true });
  }
  for (const file of MODULE_FILES) {
    const found = (await exists(path.join(from, 'kernel', file))) ? file : `${file}.xz`;
    if (!(await exists(path.join(from, 'kernel', found)))) continue;
    await mkdir(path.dirname(path.join(to, 'kernel', file)), { recursive: true });
    await copyFile(path.join(from, 'kernel', found), path.join(to, 'kernel', found));
  }
  const files = async (suffix: string): Promise<readonly string[]> =>
    (await readdir(to, { recursive: true }))
      .filter((name) => name.endsWith(suffix))
      .map((name) => path.join(to, name));
  const packed = await files('.ko.xz');
  if (packed.length > 0) await capture('xz', ['-d', ...packed]);
  // Without debug information the appended signature goes too: checking one costs 40 ms emulated.
  await capture('strip', ['--strip-debug', ...(await files('.ko'))]);
  await capture('depmod', ['-b', path.join(home, 'modules'), release]);
}

async function buildInitrd(home: string, release: string): Promise<string> {
  const init = path.join(PROJECT, 'test/vm/rig/init.sh');
  const busybox = await readFile('/usr/bin/busybox');
  const hash = createHash('sha256')
    .update(await readFile(init))
    .update(busybox)
    .digest('hex');
  const initrd = path.join(home, `initrd-${hash.slice(0, 12)}.cpio`);
  if (await exists(initrd)) return initrd;
  const work = await mkdtemp(path.join(home, 'initrd-work-'));
  try {
    const tree = path.join(work, 'tree');
    for (const folder of ['bin', 'lib', 'proc', 'sys', 'dev', 'ro', 'rw', 'new', 'run']) {
      await mkdir(path.join(tree, folder), { recursive: true });
    }
    await cp('/usr/bin/busybox', path.join(tree, 'bin/busybox'), { dereference: true });
    await copyFile(init, path.join(tree, 'init'));
    const order = await loadOrder(path.join(home, 'modules'), release);
    for (const file of order) await copyFile(file, path.join(tree, 'lib', path.basename(file)));
    const names = order.map((file) => `${path.basename(file)}\n`).join('');
    await writeFile(path.join(tree, 'lib/order'), names);
    const pack = 'chmod 755 init && find . | LC_ALL=C sort | cpio -o -H newc --quiet > ../initrd';
    await capture('sh', ['-c', pack], tree);
    await rename(path.join(work, 'initrd'), initrd);
    return initrd;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Files of the boot modules and of what they depend on, each once, dependencies first. */
async function loadOrder(root: string, release: string): Promise<readonly string[]> {
  const shown = await capture('modprobe', [
    ...['-d', root, '-S', release, '--show-depends', '-a'],
    ...BOOT_MODULES,
  ]);
  const files = [...shown.matchAll(/^insmod (\S+)/gm)].map((match) => match[1] ?? '');
  return [...new Set(files)];
}

/**
 * The ELF image inside a bzImage: setup_sects, payload_offset and payload_length of the setup
 * header (Documentation/arch/x86/boot.rst). The payload ends with its size, which is no part of it.
 */
async function uncompressed(file: string): Promise<Uint8Array> {
  const SETUP_SECTS = 0x1f1;
  const HEADER_MAGIC = 0x202;
  const PAYLOAD_OFFSET = 0x248;
  const PAYLOAD_LENGTH = 0x24c;
  const image = await readFile(file);
  if (image.toString('latin1', HEADER_MAGIC, HEADER_MAGIC + 4) !== 'HdrS') {
    throw new Error(`${file} is no bzImage`);
  }
  const protectedMode = ((image[SETUP_SECTS] ?? 0) + 1) * 512;
  const start = protectedMode + image.readUInt32LE(PAYLOAD_OFFSET);
  const payload = image.subarray(start, start + image.readUInt32LE(PAYLOAD_LENGTH) - 4);
  const magic = payload.toString('hex', 0, 2);
  const tool = { '1f8b': 'gzip', fd37: 'xz', '28b5': 'zstd', '0422': 'lz4' }[magic];
  if (tool === undefined) throw new Error(`${file}: compression ${magic} is not known`);
  const options = tool === 'xz' ? ['-dc', '--single-stream'] : ['-dc'];
  return filter(tool, options, payload);
}

async function filter(tool: string, args: readonly string[], input: Buffer): Promise<Uint8Array> {
  const options = { encoding: 'buffer', maxBuffer: 2 ** 30 } as const;
  const filtered = promisify(execFile)(tool, args, options);
  filtered.child.stdin?.end(input);
  return (await filtered).stdout;
}

async function capture(tool: string, args: readonly string[], cwd?: string): Promise<string> {
  const options = cwd === undefined ? {} : { cwd };
  try {
    return (await promisify(execFile)(tool, args, { ...options, maxBuffer: 2 ** 26 })).stdout;
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    const why = stderr.trim() || reason(error);
    throw new Error(`${tool} ${args.slice(0, 3).join(' ')}: ${why}`, { cause: error });
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
