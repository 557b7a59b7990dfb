// npm run deb [-- --version VERSION] [--out FOLDER (this clone's)]: a Debian package for this machine's architecture,
// from what is built (`npm run build`). It needs nothing but Debian's own packages, here (dpkg-deb) and where it is
// installed. The same sources give the same bytes (source-epoch.mjs).
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { PROJECT } from './setup.mjs';
import { sourceEpoch } from './source-epoch.mjs';

/** What the program asks for at run time; which libraries koffi's module needs is in Debian's essential set but one. */
const DEPENDS = [
  'nodejs (>= 18.13)',
  'adduser',
  'libnftables1',
  'libbpf1 (>= 1:1.0)',
  'kmod',
  'libc6 (>= 2.34)',
  'libstdc++6 (>= 11)',
];

const at = (name) => path.join(PROJECT, name);
const read = (name) => readFileSync(at(name), 'utf8');

/** The files of the package, put below `root`. */
function layOut(root, { version, epoch }) {
  const into = (name) => {
    const target = path.join(root, name);
    mkdirSync(path.dirname(target), { recursive: true });
    return target;
  };
  const copy = (from, to) =>
    cpSync(path.resolve(PROJECT, from), into(to), { recursive: true, dereference: true });
  const write = (name, text) => writeFileSync(into(name), text);
  const zipped = (name, text) =>
    write(name, capture('gzip', ['-9n'], { input: text, encoding: null }));

  const home = 'usr/lib/ipipou';
  copy('dist', `${home}/dist`);
  const { name, license } = JSON.parse(read('package.json'));
  write(`${home}/package.json`, json({ name, version, license, type: 'module' }));
  // The command is Debian's Node's, whatever else PATH has.
  const main = `${home}/dist/cli/main.js`;
  write(main, read('dist/cli/main.js').replace(/^#!.*/, '#!/usr/bin/node'));
  mkdirSync(path.dirname(into('usr/bin/ipipou')), { recursive: true });
  symlinkSync('../lib/ipipou/dist/cli/main.js', path.join(root, 'usr/bin/ipipou'));
  layOutKoffi(`${home}/node_modules`, { copy });

  for (const unit of readdirSync(at('systemd')))
    copy(`systemd/${unit}`, `usr/lib/systemd/system/${unit}`);
  copy('completions/ipipou.bash', 'usr/share/bash-completion/completions/ipipou');
  copy('completions/_ipipou', 'usr/share/zsh/vendor-completions/_ipipou');
  copy('completions/ipipou.fish', 'usr/share/fish/vendor_completions.d/ipipou.fish');
  for (const page of ['ipipou.8', 'ipipou.conf.5']) {
    zipped(`usr/share/man/man${page.at(-1)}/${page}.gz`, read(`docs/${page}`));
  }

  const docs = 'usr/share/doc/ipipou';
  const pages = ['MANUAL.md', 'OPTIONS.md', 'JSON.md', 'CONTROL.md', 'METRICS.md', 'PROTOCOL.md'];
  for (const folder of ['schema', 'images']) copy(`docs/${folder}`, `${docs}/${folder}`);
  // The README is of the clone.
  for (const page of pages)
    write(`${docs}/${page}`, read(`docs/${page}`).replace('[README](../README.md)', 'README'));
  for (const file of ['alerts.yml', 'grafana-dashboard.json'])
    copy(`docs/${file}`, `${docs}/${file}`);
  const words = read('LICENSE').split('\n\n').slice(2).join('\n\n').trim();
  const indented = words
    .split('\n')
    .map((line) => ` ${line === '' ? '.' : line}`)
    .join('\n');
  write(`${docs}/copyright`, `${read('packaging/deb/copyright').trimEnd()}\n${indented}\n`);
  zipped(`${docs}/changelog.gz`, changelog(version, epoch));
  copy('packaging/deb/lintian-overrides', 'usr/share/lintian/overrides/ipipou');
  mkdirSync(path.join(root, 'etc/ipipou'), { recursive: true });
}

/** koffi without its sources, and its native module for this architecture and glibc alone. */
function layOutKoffi(modules, { copy }) {
  for (const file of [
    'package.json',
    'index.cjs',
    'src/koffi/index.cjs',
    'src/koffi/src/static.cjs',
  ]) {
    copy(`node_modules/koffi/${file}`, `${modules}/koffi/${file}`);
  }
  const native = `@koromix/koffi-linux-${process.arch}`;
  const binary = readdirSync(at(`node_modules/${native}`)).find((name) =>
    name.startsWith('linux_'),
  );
  for (const file of ['package.json', 'index.js', `${binary}/koffi.node`]) {
    copy(`node_modules/${native}/${file}`, `${modules}/${native}/${file}`);
  }
}

/** In Debian's form; what is new stands in CHANGELOG.md. */
function changelog(version, epoch) {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  const what = 'What is new is told in CHANGELOG.md of the sources.';
  return `ipipou (${version}) unstable; urgency=medium\n\n  * ${what}\n\n -- ${maintainer()}  ${date}\n`;
}

function control(version, root) {
  const kib = files(path.join(root, '.')).reduce((sum, name) => {
    const file = path.join(root, name);
    return sum + (statSync(file).isFile() ? Math.ceil(statSync(file).size / 1024) : 1);
  }, 0);
  return [
    'Package: ipipou',
    `Version: ${version}`,
    `Architecture: ${capture('dpkg', ['--print-architecture']).trim()}`,
    `Maintainer: ${maintainer()}`,
    `Installed-Size: ${kib}`,
    'Pre-Depends: init-system-helpers (>= 1.54~)',
    `Depends: ${DEPENDS.join(', ')}`,
    'Suggests: nftables, iproute2',
    'Section: net',
    'Priority: optional',
    'Description: tunnel to hosts behind NAT, IP in UDP, forwarded by the kernel',
    ' The client, behind NAT, proves who it is with one small packet; the server',
    ' learns where that came from and points the tunnel there. From then on the',
    ' kernel carries the packets (FOU and IPIP, or eBPF programs), or a thread of',
    ' the program does. Inner traffic is not encrypted.',
    '',
  ].join('\n');
}

/** As Debian's own tools have it (debchange(1)). */
function maintainer() {
  const { DEBFULLNAME = 'ipipou', DEBEMAIL = 'ipipou@packages.invalid' } = process.env;
  return `${DEBFULLNAME} <${DEBEMAIL}>`;
}

/** Everything below a folder, in order. */
function files(root) {
  // By code units, whatever the language is.
  return readdirSync(root, { recursive: true }).toSorted((a, b) => (a < b ? -1 : 1));
}

/** Modes and times that do not depend on who builds, and when. */
function settle(root, epoch) {
  for (const name of [...files(root).toReversed(), '.']) {
    const file = path.join(root, name);
    const isLink = name === 'usr/bin/ipipou';
    if (!isLink) chmodSync(file, modeOf(name, statSync(file).isDirectory()));
    lutimesSync(file, epoch, epoch);
  }
}

function modeOf(name, isFolder) {
  if (name === 'etc/ipipou') return 0o700;
  const script = /^DEBIAN\/(?:pre|post)/.test(name) || name.endsWith('dist/cli/main.js');
  return isFolder || script ? 0o755 : 0o644;
}

function buildPackage({ out, version, epoch }) {
  const work = mkdtempSync(path.join(tmpdir(), 'ipipou-deb-'));
  const root = path.join(work, 'root');
  try {
    layOut(root, { version, epoch });
    const text = control(version, root);
    const sums = files(root).filter(
      (name) => statSync(path.join(root, name)).isFile() && name !== 'usr/bin/ipipou',
    );
    const md5 = capture('md5sum', sums, { cwd: root });
    mkdirSync(path.join(root, 'DEBIAN'));
    const meta = { control: text, md5sums: md5 };
    for (const script of ['postinst', 'prerm', 'postrm'])
      meta[script] = read(`packaging/deb/${script}`);
    for (const [name, content] of Object.entries(meta))
      writeFileSync(path.join(root, 'DEBIAN', name), content);
    settle(root, epoch);
    mkdirSync(out, { recursive: true });
    const architecture = /^Architecture: (.*)$/m.exec(text)[1];
    const file = path.join(out, `ipipou_${version}_${architecture}.deb`);
    const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch) };
    const compressor = env.DPKG_DEB_COMPRESSOR_TYPE ?? 'xz';
    capture('dpkg-deb', ['--root-owner-group', `-Z${compressor}`, '--build', root, file], { env });
    return file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function json(value) {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function capture(command, args, options = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, ...options });
  if (done.status === 0) return done.stdout;
  throw new Error(
    `${command} ${args.slice(0, 3).join(' ')}: ${done.error?.message ?? done.stderr}`,
  );
}

try {
  const { values } = parseArgs({
    options: { version: { type: 'string' }, out: { type: 'string' } },
  });
  for (const built of ['dist/cli/main.js', 'dist/bpf/ipipou.bpf.o']) {
    if (!existsSync(at(built))) throw new Error(`${built} is not there: npm run build`);
  }
  const file = buildPackage({
    out: path.resolve(values.out ?? PROJECT),
    version: values.version ?? JSON.parse(read('package.json')).version,
    epoch: sourceEpoch(),
  });
  console.log(file);
} catch (error) {
  console.error(`deb: ${error.message}`);
  process.exitCode = 1;
}
