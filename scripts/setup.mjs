// What the demo, the tests and the benchmarks need on a bare Debian machine: packages, npm modules, a build.
//   node scripts/setup.mjs --for code|demo|netns|test|bench     default: demo
// Installs only what is missing and says what it does; exits 1 with what to do when it cannot.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const PROJECT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Of the compiler of the eBPF programs. */
const BUILD_PACKAGES = ['clang', 'llvm', 'libbpf-dev', 'linux-libc-dev'];
/** Of a tunnel, and of a lab of namespaces to try it in. */
const DEMO_PACKAGES = [
  ...BUILD_PACKAGES,
  ...['nftables', 'libnftables1', 'iproute2', 'iputils-ping', 'iperf3', 'tcpdump', 'conntrack'],
  ...['ethtool', 'procps', 'kmod', 'util-linux'],
];
/** Of the other tunnels in the contest. */
const NETNS_PACKAGES = [
  ...DEMO_PACKAGES,
  ...['openvpn', 'openssl', 'fastd', 'wireguard-go', 'wireguard-tools', 'openssh-client'],
];
/** Of a virtual machine with Debian's kernel. */
const TEST_PACKAGES = [
  ...NETNS_PACKAGES,
  ...['iptables', 'qemu-system-x86', 'busybox-static', 'cpio', 'binutils', 'xz-utils'],
  'systemd',
];
const PACKAGES = {
  ...{ code: [], demo: DEMO_PACKAGES, netns: NETNS_PACKAGES, test: TEST_PACKAGES },
  bench: [...TEST_PACKAGES, 'openssh-server', 'linux-perf'],
};
const OLDEST_NODE = [20, 6];

/** Makes the machine ready for a purpose: "code" (modules only), "demo", "netns", "test" or "bench"; throws when it cannot. */
export function setUp(purpose) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    throw new Error(`Node ${OLDEST_NODE.join('.')} or newer is needed; this is ${process.version}`);
  }
  if (purpose !== 'code') requireRoot();
  installPackages(PACKAGES[purpose]);
  if (purpose === 'test' || purpose === 'bench') requireKernelSource();
  installModules();
  if (purpose !== 'code') build();
}

function requireRoot() {
  if (process.getuid?.() === 0) return;
  throw new Error(
    'root is needed (network namespaces, tunnels): run it again as root, e.g. by sudo',
  );
}

function installPackages(wanted) {
  const missing = wanted.filter((name) => !installed(wanted).has(name));
  if (missing.length === 0) return;
  requireApt(`these packages are missing: ${missing.join(' ')}`);
  say(`installing Debian packages: ${missing.join(' ')}`);
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  run('apt-get', ['update']);
  const start = () => run('apt-get', install, { DEBIAN_FRONTEND: 'noninteractive' });
  if (missing.includes('openssh-server')) withoutService('ssh', start);
  else start();
}

/** Installs without starting a server on this machine, now or at its next start. */
function withoutService(unit, install) {
  // Debian's packages ask this program (invoke-rc.d(8)); 101: forbidden.
  const policy = '/usr/sbin/policy-rc.d';
  const own = !existsSync(policy);
  if (own) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    install();
  } finally {
    if (own) rmSync(policy);
  }
  say(`${unit} is installed for the benchmark only: it is not started, and disabled`);
  spawnSync('systemctl', ['disable', unit], { stdio: 'ignore' });
}

function installed(names) {
  const format = '${Package} ${db:Status-Status}\n';
  const shown = spawnSync('dpkg-query', ['-W', '-f', format, ...names], { encoding: 'utf8' });
  const lines = (shown.stdout ?? '').split('\n').filter((line) => line.endsWith(' installed'));
  return new Set(lines.map((line) => line.split(' ')[0]));
}

/** The guest's kernel is a Debian package that apt downloads: apt must know it. */
function requireKernelSource() {
  const cache = path.join(PROJECT, '.cache/vm');
  const cached =
    existsSync(cache) && readdirSync(cache).some((name) => name.startsWith('linux-image-'));
  const known = () => spawnSync('apt-cache', ['show', 'linux-image-amd64']).status === 0;
  if (cached || known()) return;
  requireApt('the kernel for the test machine is not downloaded yet');
  run('apt-get', ['update']);
  if (!known()) throw new Error('apt knows no linux-image-amd64: see /etc/apt/sources.list');
}

function requireApt(why) {
  if (spawnSync('apt-get', ['--version']).status === 0) return;
  throw new Error(
    `${why}, and there is no apt-get to install them with (Debian or Ubuntu is needed)`,
  );
}

/** `npm ci` unless every module of the lock file is there in its version. */
function installModules() {
  const read = (file) => JSON.parse(readFileSync(path.join(PROJECT, file), 'utf8')).packages;
  const there = existsSync(path.join(PROJECT, 'node_modules/.package-lock.json'))
    ? read('node_modules/.package-lock.json')
    : {};
  const complete = Object.entries(read('package-lock.json')).every(
    ([name, { version, optional }]) =>
      name === '' || there[name]?.version === version || (optional && !there[name]),
  );
  if (complete) return;
  say('installing npm modules');
  run('npm', ['ci', '--no-audit', '--no-fund']);
}

/** Compiles when a source is newer than what was compiled. */
function build() {
  const main = path.join(PROJECT, 'dist/cli/main.js');
  const built = existsSync(main) ? statSync(main).mtimeMs : 0;
  const sources = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json'].concat(
    ['src', 'bpf', 'scripts'].flatMap((folder) =>
      readdirSync(path.join(PROJECT, folder), { recursive: true }).map((name) =>
        path.join(folder, name),
      ),
    ),
  );
  const programs = existsSync(path.join(PROJECT, 'dist/bpf/ipipou.bpf.o'));
  if (programs && sources.every((name) => statSync(path.join(PROJECT, name)).mtimeMs <= built))
    return;
  say('compiling');
  run('npm', ['run', '--silent', 'build']);
}

function run(command, args, env = {}) {
  const options = { cwd: PROJECT, stdio: 'inherit', env: { ...process.env, ...env } };
  const { status, error } = spawnSync(command, args, options);
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}`);
}

function say(text) {
  console.error(`setup: ${text}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [flag = '--for', purpose = 'demo', ...rest] = process.argv.slice(2);
  if (flag !== '--for' || !(purpose in PACKAGES) || rest.length > 0) {
    console.error(`usage: node scripts/setup.mjs [--for ${Object.keys(PACKAGES).join('|')}]`);
    process.exit(2);
  }
  try {
    setUp(purpose);
  } catch (error) {
    console.error(`setup: ${error.message}`);
    process.exit(1);
  }
}
