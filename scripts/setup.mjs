// What the demo, the tests and the benchmarks need on a bare Debian machine: packages, npm modules, a build.
//   node scripts/setup.mjs --for code|demo|netns|test|bench     default: demo
// Installs only what is missing and says what it does; exits 1 with what to do when it cannot.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { installPackages, missingPackages, requireApt, updateLists } from './apt.mjs';
import { fetchFromDebian13 } from './debian-13.mjs';
import { debianNode } from './debian-node.mjs';
import { debianResolved } from './debian-resolved.mjs';

export const PROJECT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Of the compiler of the eBPF programs. */
const BUILD_PACKAGES = ['clang', 'llvm', 'libbpf-dev', 'linux-libc-dev'];
/** Of a tunnel, and of a lab of namespaces to try it in. */
const DEMO_PACKAGES = [
  ...BUILD_PACKAGES,
  ...['nftables', 'libnftables1', 'iproute2', 'iputils-ping', 'iperf3', 'tcpdump', 'conntrack'],
  ...['ethtool', 'procps', 'kmod', 'util-linux'],
];
/** Of the other tunnels in the contest, and of what reads the metrics. */
const NETNS_PACKAGES = [
  ...DEMO_PACKAGES,
  // Another implementation of Noise.
  'python3-dissononce',
  'prometheus',
  ...['openvpn', 'openssl', 'fastd', 'wireguard-go', 'wireguard-tools', 'openssh-client'],
  // The shells that completions are for, what finds fault with packages, and what runs the package's service.
  ...['zsh', 'fish', 'lintian', 'systemd', 'dbus-daemon'],
  // What people have at home.
  ...['nginx-light', 'openssh-server', 'curl'],
  // Firewalls of both kinds, and what looks at the page.
  ...['iptables', 'chromium'],
];
/** Of a virtual machine with Debian's kernel. */
const TEST_PACKAGES = [
  ...NETNS_PACKAGES,
  ...['qemu-system-x86', 'busybox-static', 'cpio', 'binutils', 'xz-utils'],
];
const PACKAGES = {
  ...{ code: [], demo: DEMO_PACKAGES, netns: NETNS_PACKAGES, test: TEST_PACKAGES },
  bench: [...TEST_PACKAGES, 'haproxy', 'socat', 'linux-perf'],
};
/**
 * The oldest releases that will do, one of a major version; later major versions than the last will, too.
 * The build and the tests (rolldown, vitest, oxlint) ask for them; what is built runs on 18.13.
 */
const OLDEST_NODE = ['20.19', '22.12'];

/** Makes the machine ready for a purpose: "code" (modules only), "demo", "netns", "test" or "bench"; throws when it cannot. */
export function setUp(purpose) {
  // `su` without a hyphen keeps a user's PATH, in which dpkg and the tests miss half of their programs.
  process.env.PATH += ':/usr/sbin:/sbin';
  const unfit = unfitNode(process.versions.node);
  if (unfit) throw new Error(unfit);
  if (purpose !== 'code') requireRoot();
  installMissing(PACKAGES[purpose]);
  if (purpose === 'netns' || purpose === 'test') fetchFromDebian();
  if (purpose === 'test' || purpose === 'bench') requireKernelSource();
  if (purpose === 'bench') fetchRivals();
  installModules();
  if (purpose !== 'code') build();
  if (purpose === 'netns' || purpose === 'test') fetchImageParts();
}

/**
 * Goes on as `ipipou COMMAND OPTION…`, as it was built last: in this process, so that a signal to it is one to
 * the command, too.
 */
export async function becomeCommand(command, options) {
  const main = path.join(PROJECT, 'dist/cli/main.js');
  process.argv.splice(1, process.argv.length, main, command, ...options);
  await import(pathToFileURL(main).href);
}

/** Why a version of Node ("20.6.1") will not do; undefined when it will. */
export function unfitNode(version) {
  const [major, minor] = version.split('.').map(Number);
  const oldest = OLDEST_NODE.map((release) => release.split('.').map(Number));
  const same = oldest.find(([candidate]) => candidate === major);
  if (same ? minor >= same[1] : major > oldest.at(-1)[0]) return undefined;
  const wanted = OLDEST_NODE.join(' or ');
  return `Node ${wanted} or newer is needed; this is v${version} (see https://nodejs.org/en/download)`;
}

function requireRoot() {
  if (process.getuid?.() === 0) return;
  throw new Error(
    'root is needed (network namespaces, tunnels): run it again as root, e.g. by sudo',
  );
}

function installMissing(wanted) {
  const missing = missingPackages(wanted);
  if (missing.length === 0) return;
  requireApt(`these packages are missing: ${missing.join(' ')}`);
  say(`installing Debian packages: ${missing.join(' ')}`);
  installPackages(missing);
}

/** What is built is tried with the Node that packages of this Debian depend on, and with its systemd-resolved. */
function fetchFromDebian() {
  requireApt("Debian's own Node is tried, too");
  debianNode(path.join(PROJECT, '.cache/debian-node'));
  debianResolved(path.join(PROJECT, '.cache/debian-resolved'));
}

/** Without them their contestants have no turn. */
function fetchRivals() {
  try {
    fetchFromDebian13(path.join(PROJECT, '.cache/debian-13'), 'wireguard-go');
  } catch (error) {
    say(`no wireguard-go of Debian 13: ${error.message}`);
  }
}

/** A suite has a network of its own, from which the parts of the container image cannot be had. */
function fetchImageParts() {
  if (existsSync(path.join(PROJECT, '.cache/image'))) return;
  say('fetching the parts of the container image');
  run(process.execPath, [path.join(PROJECT, 'scripts/image.mjs'), '--fetch']);
}

/** The guest's kernel is a Debian package that apt downloads: apt must know it. */
function requireKernelSource() {
  const cache = path.join(PROJECT, '.cache/vm');
  const cached =
    existsSync(cache) && readdirSync(cache).some((name) => name.startsWith('linux-image-'));
  if (cached) return;
  requireApt('the kernel for the test machine is not downloaded yet');
  // Also when apt knows it: old lists name a version that mirrors may have no more.
  updateLists();
  if (spawnSync('apt-cache', ['show', 'linux-image-amd64']).status === 0) return;
  throw new Error('apt knows no linux-image-amd64: see /etc/apt/sources.list');
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
    ['src', 'bpf', 'ui', 'scripts'].flatMap((folder) =>
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

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: PROJECT, stdio: 'inherit' });
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
