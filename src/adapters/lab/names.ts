import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { OuterIp } from '../../core/addr.ts';

/** Names and their addresses, in the order in which they are given. */
export type Names = Readonly<Record<string, readonly OuterIp[]>>;

/**
 * An /etc/hosts for programs of a lab. `ip netns exec` gives every program a mount namespace of its own, in
 * which this file is laid over the machine's; nothing of the machine is touched.
 */
export class NamesFile implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(names: Names): Promise<NamesFile> {
    const file = new NamesFile(await mkdtemp(path.join(tmpdir(), 'ipipou-names-')));
    await file.write(names);
    return file;
  }

  /** From now on these are the names, also for programs that run already. */
  async write(names: Names): Promise<void> {
    const lines = Object.entries(names).flatMap(([name, ips]) => ips.map((ip) => `${ip} ${name}`));
    const local = ['127.0.0.1 localhost', '::1 localhost'];
    // In place: the file that is mounted is this one, whatever its name becomes.
    await writeFile(this.#path, `${[...local, ...lines].join('\n')}\n`);
  }

  /** The argument vector that runs a program with these names, by `ip netns exec`. */
  around(argv: readonly string[]): readonly string[] {
    const mount = 'mount --bind "$0" /etc/hosts && exec "$@"';
    return ['sh', '-c', mount, this.#path, ...argv];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #path(): string {
    return path.join(this.#folder, 'hosts');
  }
}
