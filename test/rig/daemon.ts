import { statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Finished, Program } from '../../src/adapters/lab/process.ts';
import type { Topology } from '../../src/adapters/lab/topology.ts';
import { controlClient } from '../../src/adapters/control/client.ts';
import { millis, type Millis } from '../../src/core/units.ts';
import type { PeerStatus, TunnelStatus } from '../../src/ports/control.ts';
import { PROJECT } from '../vm/rig/project.ts';
import { patience, pause } from './patience.ts';

/** The built command; `npm run build` makes it. */
export const IPIPOU = path.join(PROJECT, 'dist/cli/main.js');

/** Configs as the description has them, with what a test wants changed or added. */
export const DESCRIBED = {
  server: [
    'server',
    'number 0',
    'fou-dev eth0',
    'fou-local-port 10000',
    'tunl-ip 172.28.0.0',
    'auth-remote-pubkey-b64 eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=',
    'auth-secret topsecret',
    'auth-lifetime 3600',
    'reply-on-auth-ok',
    'verb 3',
  ],
  client: [
    'client',
    'number 0',
    'fou-local @eth0',
    'fou-remote 203.0.113.1:10000',
    'tunl-ip 172.28.0.1',
    'auth-key-b64 RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=',
    'auth-secret topsecret',
    'keepalive 27',
    'verb 3',
  ],
} as const;

/** `lines` with each change in the place of the line of the same key, or at the end; `-key` removes. */
export function changed(lines: readonly string[], ...changes: readonly string[]): string[] {
  const result = [...lines];
  for (const change of changes) {
    const [key = ''] = change.replace(/^-/, '').split(' ');
    const at = result.findIndex((line) => line.split(' ')[0] === key);
    if (change.startsWith('-')) result.splice(at, 1);
    else if (at >= 0) result[at] = change;
    else result.push(change);
  }
  return result;
}

/** A folder for configs, run directories and state of one test's daemons. */
export class Hosts implements AsyncDisposable {
  readonly lab: Topology;
  readonly folder: string;
  /** What runs the built program. */
  readonly #node: string;

  private constructor(lab: Topology, folder: string, node: string) {
    this.lab = lab;
    this.folder = folder;
    this.#node = node;
  }

  static async in(lab: Topology, node = process.execPath): Promise<Hosts> {
    return new Hosts(lab, await mkdtemp(path.join(tmpdir(), 'ipipou-test-')), node);
  }

  /** Where daemons keep run and state directories; one state per namespace, as on real hosts. */
  env(namespace: string): Record<string, string> {
    return {
      IPIPOU_RUN_DIR: path.join(this.folder, 'run'),
      IPIPOU_LOG_DIR: path.join(this.folder, 'log', namespace),
      IPIPOU_STATE_DIR: path.join(this.folder, 'state', namespace),
    };
  }

  /** Runs the command to its end in a namespace. */
  async run(
    namespace: string,
    args: readonly string[],
    options: { readonly timeout?: Millis; readonly input?: string } = {},
  ): Promise<Finished> {
    return this.lab.exec(namespace, [this.#node, IPIPOU, ...args], {
      timeout: patience(60_000),
      ...options,
      env: this.env(namespace),
    });
  }

  async writeConfig(namespace: string, name: string, lines: readonly string[]): Promise<string> {
    const file = path.join(this.folder, `${namespace}-${name}.conf`);
    await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    return file;
  }

  /** Starts a daemon from config lines; resolves at once. */
  async start(
    namespace: string,
    lines: readonly string[],
    device = 'ipipou0',
    env: Readonly<Record<string, string>> = {},
  ): Promise<Daemon> {
    const file = await this.writeConfig(namespace, device, lines);
    const program = this.lab.spawn(namespace, [this.#node, IPIPOU, '--config', file], {
      env: { ...this.env(namespace), ...env },
    });
    return new Daemon(program, this.controlPath(namespace, device));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private controlPath(namespace: string, device: string): string {
    const inode = statSync(`/run/netns/${namespace}`).ino;
    return path.join(this.folder, 'run', String(inode), device, 'control.sock');
  }
}

/** A running daemon, asked over its control socket (a process less than `ipipou show`). */
export class Daemon implements AsyncDisposable {
  readonly program: Program;
  /** Path of its control socket. */
  readonly control: string;

  constructor(program: Program, control: string) {
    this.program = program;
    this.control = control;
  }

  /** Undefined while it does not answer. */
  async status(): Promise<TunnelStatus | undefined> {
    try {
      const reply = await controlClient.ask(this.control, { request: 'status' });
      return reply.ok ? reply.status : undefined;
    } catch {
      return undefined;
    }
  }

  /** What it tells of one peer; throws when it does not. */
  async peer(peer: string): Promise<PeerStatus> {
    const reply = await controlClient.ask(this.control, { request: 'peer', peer });
    const [status] = reply.ok ? (reply.peers ?? []) : [];
    if (status === undefined) throw new Error(`nothing of peer ${peer}: ${JSON.stringify(reply)}`);
    return status;
  }

  /** The first status for which `holds`; rejects with the last one and the log. */
  async until(
    what: string,
    holds: (status: TunnelStatus) => boolean,
    timeout: Millis = millis(30_000),
  ): Promise<TunnelStatus> {
    const deadline = Date.now() + patience(timeout);
    for (;;) {
      const status = await this.status();
      if (status && holds(status)) return status;
      if (Date.now() > deadline || !this.program.running) {
        const seen = JSON.stringify(status, undefined, 1);
        throw new Error(`not ${what}: ${seen}\n${this.program.output()}`);
      }
      await delay(pause());
    }
  }

  async established(timeout?: Millis): Promise<TunnelStatus> {
    return this.until('established', (status) => status.phase === 'established', timeout);
  }

  /** Ready: the plane is open and the session runs. */
  async ready(timeout?: Millis): Promise<TunnelStatus> {
    return this.until('ready', () => true, timeout);
  }

  /** Asks it to go and waits; the exit code. */
  async stop(): Promise<number> {
    return (await this.program.stop()).code;
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.program.signal('SIGKILL');
    await this.program.finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}
