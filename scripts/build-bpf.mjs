// Compiles bpf/*.bpf.c into dist/bpf/*.o. Needs clang 14 or newer, llvm-strip, libbpf-dev and kernel headers.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const PROJECT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const SOURCES = path.join(PROJECT, 'bpf');
const OBJECTS = path.join(PROJECT, 'dist/bpf');

/**
 * -mcpu=v3 is what Linux 5.15 runs; without it clang makes longer programs. The multiarch folder has
 * asm/types.h, which clang finds by itself for the machine's own target only.
 */
function compile(source, object) {
  const target = spawnSync('cc', ['-print-multiarch'], { encoding: 'utf8' }).stdout?.trim();
  const arch = { x64: 'x86_64', arm64: 'aarch64' }[process.arch] ?? process.arch;
  const headers = `/usr/include/${target || `${arch}-linux-gnu`}`;
  run(tool('clang'), [
    ...['-O2', '-g', '-Wall', '-Wextra', '-Werror', '-target', 'bpf', '-mcpu=v3'],
    ...[`-ffile-prefix-map=${PROJECT}=.`, ...(existsSync(headers) ? ['-I', headers] : [])],
    ...['-c', source, '-o', object],
  ]);
  // BTF stays; DWARF goes.
  run(tool('llvm-strip'), ['-g', object]);
}

/** A tool of LLVM by its plain name, or by the oldest version that will do. */
function tool(name) {
  const names = [name, ...[14, 15, 16, 17, 18, 19, 20].map((version) => `${name}-${version}`)];
  const found = names.find((name) => spawnSync(name, ['--version']).status === 0);
  if (found) return found;
  throw new Error(`no ${name}: install clang, llvm and libbpf-dev, or run "npm run setup"`);
}

function run(command, args) {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\n${error?.message ?? stderr}`);
}

try {
  mkdirSync(OBJECTS, { recursive: true });
  for (const name of readdirSync(SOURCES).filter((name) => name.endsWith('.bpf.c'))) {
    const object = path.join(OBJECTS, name.replace(/c$/, 'o'));
    // Appears whole: another process may be loading the old one.
    const fresh = `${object}.${process.pid}`;
    compile(path.join(SOURCES, name), fresh);
    renameSync(fresh, object);
  }
} catch (error) {
  console.error(`build-bpf: ${error.message}`);
  process.exit(1);
}
