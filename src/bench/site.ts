import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ipBatch } from '../adapters/lab/namespaces.ts';
import { ProgramError, type Finished, type Program } from '../adapters/lab/process.ts';
import { ROUTER_LAN_ADDRESS, NAT_ADDRESSES, type Topology } from '../adapters/lab/topology.ts';
import { parseInnerIp, addToIp, type Family, type InnerIp, type OuterIp } from '../core/addr.ts';
import { IpipouError } from '../core/errors.ts';
import { overheadOf } from '../core/wire/overhead.ts';
import { millis, type Millis } from '../core/units.ts';

const POLL = 5;
const STEP_TIMEOUT = millis(30_000);

/** Inner addresses of every contestant that is no bare path. */
export const INNER_SERVER = innerAddress(0);

/** Inner address of a client, or of the server for -1 + 1. */
function innerAddress(index: number): InnerIp {
  const base = parseInnerIp('10.77.0.1');
  if (base === undefined) throw new RangeError('inner address');
  return addToIp(base, index);
}

/**
 * Where a contestant has its turn: the lab, and a private folder for keys and configs. Disposing
 * takes the lab down, and then removes the folder and what programs left outside of it.
 */
export class Site implements AsyncDisposable {
  readonly lab: Topology;
  readonly folder: string;
  /** Of the outside. */
  readonly family: Family;
  readonly #leaving: (() => Promise<void>)[] = [];

  private constructor(lab: Topology, folder: string, family: Family) {
    this.lab = lab;
    this.family = family;
    this.folder = folder;
  }

  static async open(lab: Topology, family: Family = 'ipv4'): Promise<Site> {
    return new Site(lab, await mkdtemp(path.join(tmpdir(), 'ipipou-bench-')), family);
  }

  /** The server's outer address. */
  get server(): OuterIp {
    return this.lab.serverAddress(this.family);
  }

  /** A client's own outer address. */
  clientAddress(index = 0): OuterIp {
    return this.lab.clientAddress(index, this.family);
  }

  /** The outer address that the server sees a client at: there is no translation of IPv6. */
  seenAddress(index = 0): OuterIp {
    return this.family === 'ipv4' ? this.lab.natAddress(index) : this.clientAddress(index);
  }

  /** What is left of an MTU inside, which fits outer IPv4, where the outside is IPv6. */
  mtu(overIpv4: number): number {
    return overIpv4 - (overheadOf(this.family) - overheadOf('ipv4'));
  }

  /** Has something done once no program runs any more, also after a turn that was interrupted. */
  onLeave(undo: () => Promise<void>): void {
    this.#leaving.push(undo);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.down();
    const left = await Promise.allSettled(this.#leaving.map(async (undo) => undo()));
    await rm(this.folder, { recursive: true, force: true });
    const failed = left.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  /**
   * Seconds between keepalives of a client, where a tunnel has them: the shortest where recovery
   * counts; among many clients what people set, lest their sum is what is measured.
   */
  get keepalive(): number {
    return this.lab.clients.length === 1 ? 1 : 25;
  }

  innerClient(index: number): InnerIp {
    return innerAddress(index + 1);
  }

  /** Path of a file in the private folder. */
  path(name: string): string {
    return path.join(this.folder, name);
  }

  async folderNamed(name: string): Promise<string> {
    await mkdir(this.path(name), { recursive: true, mode: 0o700 });
    return this.path(name);
  }

  async write(name: string, lines: readonly string[]): Promise<string> {
    await writeFile(this.path(name), `${lines.join('\n')}\n`, { mode: 0o600 });
    return this.path(name);
  }

  async ip(namespace: string, lines: readonly string[]): Promise<void> {
    await ipBatch(namespace, lines);
  }

  /** Runs a program that must succeed. */
  async exec(namespace: string, argv: readonly string[], input?: string): Promise<Finished> {
    const options = { timeout: STEP_TIMEOUT, group: 'own' } as const;
    const finished = await this.lab.exec(
      namespace,
      argv,
      input === undefined ? options : { ...options, input },
    );
    if (finished.code !== 0) {
      throw new ProgramError(argv, `exit code ${finished.code}`, finished.stdout + finished.stderr);
    }
    return finished;
  }

  spawn(
    namespace: string,
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Program {
    return this.lab.spawn(namespace, argv, { env, group: 'own' });
  }

  /** Waits for a condition; rejects with the programs' words when one ends or it takes too long. */
  async until(
    what: string,
    holds: () => Promise<boolean>,
    programs: readonly Program[] = [],
    timeout: Millis = STEP_TIMEOUT,
  ): Promise<void> {
    const deadline = performance.now() + timeout;
    while (!(await holds())) {
      const ended = programs.find(({ running }) => !running);
      if (ended !== undefined || performance.now() > deadline) {
        const why = ended === undefined ? `not in ${timeout} ms` : 'a program has ended';
        throw new IpipouError('generic', `${what}: ${why}\n${outputs(programs)}`);
      }
      await delay(POLL);
    }
  }

  /** Waits until a namespace has a device. */
  async untilDevice(namespace: string, device: string, program: Program): Promise<void> {
    const look = ['ip', 'link', 'show', device];
    const there = async () => (await this.lab.exec(namespace, look)).code === 0;
    await this.until(`device ${device}`, there, [program]);
  }

  /** Addresses of a point-to-point device, and sets it up. */
  async setUp(namespace: string, device: string, client: number, mtu: number): Promise<void> {
    const ends = [INNER_SERVER, this.innerClient(client)];
    const [own, peer] = namespace === this.lab.server ? ends : ends.toReversed();
    await this.ip(namespace, [
      `addr add ${own} peer ${peer} dev ${device}`,
      `link set ${device} mtu ${mtu} up`,
    ]);
  }

  /** Lets the router pass addresses as they are, and the server find the clients; returns the undo. */
  async withoutNat(): Promise<() => Promise<void>> {
    const { router, server } = this.lab;
    if (this.family === 'ipv6') {
      const pass = ['nft', 'insert rule ip6 lab forward iifname "wan" accept'];
      await this.exec(router, pass);
      return async () => undefined;
    }
    await this.exec(router, ['nft', 'insert rule ip lab nat oifname "wan" accept']);
    const lan = ROUTER_LAN_ADDRESS.replace(/[0-9]+$/, '0/24');
    await this.ip(server, [`route add ${lan} via ${NAT_ADDRESSES[0]}`]);
    return async () => this.ip(server, [`route del ${lan} via ${NAT_ADDRESSES[0]}`]);
  }
}

function outputs(programs: readonly Program[]): string {
  const LINES = 12;
  return programs
    .map((program) => program.output().trimEnd().split('\n').slice(-LINES).join('\n'))
    .join('\n');
}
