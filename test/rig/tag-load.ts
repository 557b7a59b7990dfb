import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import type { Reason } from '../../src/adapters/planes/bpf/abi.ts';
import type { HeldTags } from '../../src/adapters/planes/bpf/tag-maps.ts';
import { TAG_LENGTH } from '../../src/core/tag/layout.ts';
import { TAG_KEY_LENGTH, type TagKey, type TagLevel } from '../../src/core/tag/types.ts';
import { INNER, type BpfPair } from './bpf-pair.ts';
import { inNamespace } from './in-namespace.ts';

/** Makes room for tags on both sides, and has the kernel fill in checksums. */
export async function readyForTags(pair: BpfPair, mtu: number): Promise<void> {
  for (const side of [0, 1] as const) {
    await pair.sure(side, ...'ethtool -K near tx off'.split(' '));
    await pair.sure(side, ...`ip link set near mtu ${mtu - TAG_LENGTH}`.split(' '));
  }
}

/** Sessions between the two sides of a pair, one after the other. */
export class PairSessions {
  readonly #pair: BpfPair;
  readonly #level: TagLevel;
  readonly #index: number;
  #sessions = 0;
  #held: readonly [HeldTags | undefined, HeldTags | undefined] = [undefined, undefined];
  /** To the first side, and to the second. */
  #now: readonly TagKey[] = [];

  /** Of the peer at `index` on either side. */
  constructor(pair: BpfPair, level: TagLevel, index = 0) {
    this.#pair = pair;
    this.#level = level;
    this.#index = index;
  }

  /** The next session: both sides hear under its keys before either sends so, and under those before as well. */
  next(): void {
    const before = this.#now;
    this.#sessions += 1;
    const key = (): TagKey => ({
      index: (this.#sessions * 7919) & 0xff_ffff,
      key: randomBytes(TAG_KEY_LENGTH),
    });
    this.#now = [key(), key()];
    if (before.length > 0) this.#hold(before, before);
    this.#hold(this.#now, before);
  }

  #hold(send: readonly TagKey[], before: readonly TagKey[]): void {
    this.#held = [this.#holdOn(0, send[1], before[0]), this.#holdOn(1, send[0], before[1])];
  }

  #holdOn(side: 0 | 1, send: TagKey | undefined, before: TagKey | undefined): HeldTags | undefined {
    const { programs, namespace, config } = side === 0 ? this.#pair.a : this.#pair.b;
    const peer = programs.entries.peer(this.#index);
    const fresh = this.#now[side];
    if (!peer || !send || !fresh) throw new Error('no peer');
    const receive = before ? [fresh, before] : [fresh];
    const held = programs.tags.prepare(this.#index, this.#held[side], {
      level: this.#level,
      send,
      receive,
    });
    inNamespace(namespace, () => {
      programs.configure({ ...config, tags: true });
      programs.admit(this.#index, { ...peer, tagsOut: held.number });
    });
    programs.tags.retire(this.#held[side], held);
    return held;
  }
}

export type KeyChanges = {
  readonly changes: number;
  readonly sent: bigint;
  readonly taken: bigint;
  readonly refused: Partial<Record<Reason, bigint>>;
};

/** Sends that many packets over TCP while keys change every few milliseconds; what became of them. */
export async function changeKeysUnderLoad(
  pair: BpfPair,
  level: TagLevel,
  packets: number,
): Promise<KeyChanges> {
  const sessions = new PairSessions(pair, level);
  sessions.next();
  await pair.startServer();
  const argv = ['iperf3', '-c', INNER[1], '-t', '3600'];
  const client = new Program(inside(pair.namespaces[0], argv));
  const sent = (): bigint => pair.a.programs.entries.counters(0).txPackets;
  const taken = (): bigint => pair.b.programs.entries.counters(0).rxPackets;
  let changes = 0;
  for (; sent() < packets; changes += 1) {
    sessions.next();
    await sleep(5);
  }
  await client.stop();
  for (let quiet = 0, last = -1n; quiet < 20;) {
    await sleep(50);
    quiet = last === taken() ? quiet + 1 : 0;
    last = taken();
  }
  const reasons = Object.entries(pair.b.programs.reasons()).filter(([, count]) => count > 0n);
  return { changes, sent: sent(), taken: taken(), refused: Object.fromEntries(reasons) };
}
