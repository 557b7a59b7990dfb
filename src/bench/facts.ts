import { readFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import process from 'node:process';
import { run } from '../adapters/lab/process.ts';
import { packageFile } from '../adapters/system/package-files.ts';
import { DEBIAN_13_WIREGUARD } from './debian-13.ts';
import { millis } from '../core/units.ts';
import { object, record, text, number, type Decoder } from './decode.ts';
import type { Facts } from './results.ts';
import { IpipouError } from '../core/errors.ts';

/* What a run was made on. */

const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  iperf3: ['iperf3', '--version'],
  ping: ['ping', '-V'],
  iproute2: ['ip', '-V'],
  nftables: ['nft', '--version'],
  openvpn: ['openvpn', '--version'],
  fastd: ['fastd', '--version'],
  'wireguard-tools': ['wg', '--version'],
  'wireguard-go': ['wireguard-go', '--version'],
  'wireguard-go of Debian 13': [DEBIAN_13_WIREGUARD, '--version'],
  openssh: ['ssh', '-V'],
  openssl: ['openssl', 'version'],
};

/** Ciphers that contestants use, with the bytes of a full packet. */
const CIPHERS = ['aes-256-gcm', 'chacha20-poly1305'];
const CIPHER_BYTES = '1420';
const MEBI = 2 ** 20;

/** What only the machine around a guest knows. */
export type Outside = {
  readonly commit: string;
  readonly cpu: string;
  readonly crypto: Facts['crypto'];
};

const outsideDecoder: Decoder<Outside> = object({
  commit: text(100),
  cpu: text(200),
  crypto: record(10, text(60), number(0, 1e9)),
});

/** Throws with exit `arguments` for what is none. */
export function decodeOutside(json: string): Outside {
  const decoded = outsideDecoder(JSON.parse(json), 'outside');
  if (!decoded.ok) throw new IpipouError('arguments', `bench: ${decoded.reason}`);
  return decoded.value;
}

type Circumstances = { readonly outside: Outside | undefined; readonly signal: AbortSignal };

/** `encrypted`: whether anybody encrypts; else the ciphers' speed does not matter. */
export async function gatherFacts(
  netem: boolean,
  encrypted: boolean,
  { outside, signal }: Circumstances,
): Promise<Facts> {
  return {
    place: outside === undefined ? 'host' : 'guest',
    kernel: await kernel(),
    cpu: outside === undefined ? cpuName() : `QEMU, emulated on ${outside.cpu}`,
    cpus: cpus().length,
    memoryMiB: Math.round(totalmem() / MEBI),
    versions: { node: process.versions.node, ...(await versions()) },
    commit: outside?.commit ?? (await commit()),
    date: new Date().toISOString(),
    netem,
    crypto: encrypted ? await measureCrypto(signal) : {},
    ...(outside === undefined ? {} : { cryptoOutside: outside.crypto }),
  };
}

export async function gatherOutside(signal: AbortSignal): Promise<Outside> {
  return { commit: await commit(), cpu: cpuName(), crypto: await measureCrypto(signal) };
}

async function kernel(): Promise<string> {
  const text = await readFile('/proc/version', 'utf8').catch(() => '');
  const debian = /Debian [0-9][^ )]*/.exec(text)?.[0];
  return debian === undefined ? release() : `${release()} (${debian})`;
}

function cpuName(): string {
  return cpus()[0]?.model.replaceAll(/\s+/g, ' ').trim() ?? 'unknown';
}

async function versions(): Promise<Readonly<Record<string, string>>> {
  const found: [string, string][] = [];
  for (const [name, argv] of Object.entries(PROGRAMS)) {
    const said = await run(argv).catch(() => undefined);
    const version = parseVersion(`${said?.stdout ?? ''}${said?.stderr ?? ''}`);
    if (version !== undefined) found.push([name, version]);
  }
  return Object.fromEntries(found);
}

/** The first number of what a program says of itself that is no part of a name. */
export function parseVersion(text: string): string | undefined {
  return /(?<![A-Za-z0-9])v?([0-9][0-9.p]*)/.exec(text)?.[1];
}

/** The commit of the clone that this runs from, with a mark when files differ from it. */
async function commit(): Promise<string> {
  const git = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout } = await run(['git', '-C', packageFile('.'), ...args]);
    return code === 0 ? stdout.trim() : '';
  };
  try {
    const head = await git('rev-parse', '--short=10', 'HEAD');
    if (head === '') return 'no clone';
    const changed = await git('status', '--porcelain', '--untracked-files=no');
    return changed === '' ? head : `${head} and changes`;
  } catch {
    return 'no git';
  }
}

/** MB/s of one processor, by cipher; without openssl none. */
async function measureCrypto(signal: AbortSignal): Promise<Readonly<Record<string, number>>> {
  const found: [string, number][] = [];
  for (const cipher of CIPHERS) {
    signal.throwIfAborted();
    const speed = ['openssl', 'speed', '-seconds', '1', '-bytes', CIPHER_BYTES, '-evp', cipher];
    const said = await run(speed, { timeout: millis(60_000) }).catch(() => undefined);
    const rate = parseSpeed(said?.stdout ?? '');
    if (rate !== undefined) found.push([cipher, rate]);
  }
  return Object.fromEntries(found);
}

/** The last line of `openssl speed`, "AES-256-GCM    1656424.20k": thousands of bytes a second. */
export function parseSpeed(text: string): number | undefined {
  const match = /^\S+\s+([0-9.]+)k\s*$/m.exec(text)?.[1];
  return match === undefined ? undefined : Number(match) / 1000;
}
