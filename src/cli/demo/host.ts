import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inventory, surplus, type Inventory } from '../../adapters/lab/inventory.ts';
import type { Finished, Program } from '../../adapters/lab/process.ts';
import type { Topology } from '../../adapters/lab/topology.ts';
import { millis } from '../../core/units.ts';
import { StepFailed } from './report.ts';

/** How long a tunnel may take to come up, in milliseconds. */
const ESTABLISH_TIMEOUT = 60_000;
const POLL = 100;
/** Lines of a daemon's log that a failure shows. */
const LOG_LINES = 15;

/** One machine of the lab that runs ipipou daemons, with folders of its own for what they keep. */
export class Host {
  readonly name: string;
  readonly namespace: string;
  readonly #lab: Topology;
  readonly #folder: string;
  /** Node and the command's own file: the demo runs the very program that it is part of. */
  readonly #ipipou: readonly string[];
  readonly #daemons: Program[] = [];
  #before: Inventory | undefined;

  constructor(name: string, namespace: string, lab: Topology, folder: string, main: string) {
    this.name = name;
    this.namespace = namespace;
    this.#lab = lab;
    this.#folder = path.join(folder, name.replaceAll(' ', '-'));
    this.#ipipou = [process.execPath, main];
  }

  /** Writes a config file and starts a daemon on it. */
  async start(device: string, lines: readonly string[]): Promise<void> {
    this.#before ??= await inventory(this.namespace);
    await mkdir(this.#folder, { recursive: true });
    const file = path.join(this.#folder, `${device}.conf`);
    await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    const argv = [...this.#ipipou, '--config', file];
    this.#daemons.push(this.#lab.spawn(this.namespace, argv, { env: this.#env() }));
  }

  /** Resolves once `show` calls the tunnel established; throws with the log when that takes too long. */
  async established(device: string): Promise<void> {
    const deadline = performance.now() + ESTABLISH_TIMEOUT;
    for (;;) {
      const tunnel = (await this.#tunnels()).find((found) => found['device'] === device);
      if (tunnel?.['phase'] === 'established') return;
      const ended = this.#daemons.some(({ running }) => !running);
      if (ended || performance.now() > deadline) {
        const why = ended ? 'a daemon has ended' : `not in ${ESTABLISH_TIMEOUT / 1000} s`;
        throw new StepFailed(`${this.name}: ${why}\n${this.log()}`);
      }
      await delay(POLL);
    }
  }

  /** What `ipipou show` prints here. */
  async show(): Promise<string> {
    const shown = await this.#run(['show']);
    if (shown.code !== 0) throw new StepFailed(`${this.name}: show: ${shown.stderr}`);
    return shown.stdout;
  }

  /** Whether so many are answered, within so many seconds. */
  async ping(target: string, count = 3, deadline = 5): Promise<Finished> {
    return this.#lab.exec(this.namespace, [
      'ping',
      ...['-c', String(count), '-i', '0.2', '-w', String(deadline), target],
    ]);
  }

  /** Ends the daemons by SIGTERM; throws when one complains or leaves something in the namespace. */
  async stop(): Promise<void> {
    for (const daemon of this.#daemons.splice(0)) {
      const { code } = await daemon.stop();
      if (code !== 0) throw new StepFailed(`${this.name}: exit code ${code}\n${tail(daemon)}`);
    }
    if (this.#before === undefined) return;
    const after = await inventory(this.namespace);
    const left = [
      ...surplus(after.links, this.#before.links),
      ...surplus(after.addresses, this.#before.addresses),
      ...surplus(after.routes, this.#before.routes),
      ...surplus(after.nftables, this.#before.nftables),
    ];
    if (left.length > 0) throw new StepFailed(`${this.name}: left behind:\n${left.join('\n')}`);
  }

  /** The last lines of every daemon's log. */
  log(): string {
    return this.#daemons.map(tail).join('\n');
  }

  async #tunnels(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const shown = await this.#run(['show', '--json']);
    if (shown.code !== 0) return [];
    // The shape is show's (docs/JSON.md).
    return (JSON.parse(shown.stdout) as { tunnels: Readonly<Record<string, unknown>>[] }).tunnels;
  }

  async #run(args: readonly string[]): Promise<Finished> {
    const timeout = millis(30_000);
    return this.#lab.exec(this.namespace, [...this.#ipipou, ...args], {
      env: this.#env(),
      timeout,
    });
  }

  #env(): Readonly<Record<string, string>> {
    return {
      IPIPOU_RUN_DIR: path.join(this.#folder, 'run'),
      IPIPOU_STATE_DIR: path.join(this.#folder, 'state'),
    };
  }
}

function tail(daemon: Program): string {
  return daemon.output().trimEnd().split('\n').slice(-LOG_LINES).join('\n');
}
