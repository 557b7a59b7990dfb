import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { expect } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { familyOf, type Ip } from '../../src/core/addr.ts';
import { addressFamily } from '../../src/core/wire/sockaddr.ts';
import { PROJECT } from '../vm/rig/project.ts';

const AGENT = path.join(PROJECT, 'test/rig/transfer-agent.mjs');
const MODULES = `file://${PROJECT}/.cache/modules`;
const PORTS = { tcp: 5001, udp: 5002, streams: 5003 } as const;

type Word = {
  readonly id: number;
  readonly ready?: true;
  readonly digest?: string;
  readonly error?: string;
};

/** One side of a transfer. */
export class Work {
  readonly name: string;
  readonly agent: Agent;
  readonly ready: Promise<void>;
  /** Of all that it has sent or received. */
  readonly digest: Promise<string>;
  readonly #id: number;
  readonly #hearers: ((word: Omit<Word, 'id'>) => void)[] = [];

  constructor(agent: Agent, id: number, name: string) {
    this.agent = agent;
    this.name = name;
    this.#id = id;
    this.digest = new Promise((resolve, reject) => {
      this.#hearers.push(({ digest, error }) => {
        if (digest !== undefined) resolve(digest);
        if (error !== undefined) reject(new Error(`${name} in ${agent.namespace}: ${error}`));
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.#hearers.push(({ ready }) => ready && resolve());
      this.digest.catch(reject);
    });
    // Who waits for it sees the failure.
    this.ready.catch(() => undefined);
  }

  hear(word: Omit<Word, 'id'>): void {
    for (const hear of this.#hearers) hear(word);
  }

  /** Lets one that was begun `paused` read. */
  go(): void {
    this.agent.send({ id: this.#id, go: true });
  }
}

/** The process of a namespace that sends and receives (transfer-agent.mjs); it ends with the namespace. */
class Agent {
  static readonly #of = new Map<string, Agent>();
  static #nextId = 1;
  readonly namespace: string;
  readonly #child: ChildProcess;
  readonly #works = new Map<number, Work>();

  private constructor(namespace: string) {
    this.namespace = namespace;
    const [file = '', ...args] = inside(namespace, [process.execPath, AGENT]);
    this.#child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (message) => {
      const { id, ...word } = message as Word;
      this.#works.get(id)?.hear(word);
      if (!word.ready) this.#works.delete(id);
    });
    this.#child.on('exit', () => this.#gone());
    this.#child.on('error', () => this.#gone());
    this.#child.unref();
    this.#child.channel?.unref();
  }

  static begin(namespace: string, name: string, argument: object): Work {
    const there = Agent.#of.get(namespace);
    // What a failed test has left undone is in the way: there is one port for each work.
    if (name.startsWith('receive') && there?.works(name)) there.end();
    const agent = Agent.#of.get(namespace) ?? new Agent(namespace);
    Agent.#of.set(namespace, agent);
    const id = Agent.#nextId;
    Agent.#nextId += 1;
    const work = new Work(agent, id, name);
    agent.#works.set(id, work);
    agent.send({ id, work: name, argument });
    return work;
  }

  works(name: string): boolean {
    return [...this.#works.values()].some((work) => work.name === name);
  }

  send(message: object): void {
    this.#child.send(message);
  }

  end(): void {
    this.#child.kill('SIGKILL');
    this.#gone();
  }

  #gone(): void {
    if (Agent.#of.get(this.namespace) === this) Agent.#of.delete(this.namespace);
    for (const work of this.#works.values()) work.hear({ error: 'its process has ended' });
    this.#works.clear();
  }
}

/** A TCP server for one connection; with `paused` it does not read before `go`. */
export async function receiveTcp(
  namespace: string,
  at: Ip,
  { paused = false } = {},
): Promise<Work> {
  const work = Agent.begin(namespace, 'receiveTcp', { at, port: PORTS.tcp, paused });
  await work.ready;
  return work;
}

/** Sends random bytes to a receiver, in pieces of odd sizes. */
export function sendTcp(namespace: string, to: Ip, bytes: number): Work {
  return Agent.begin(namespace, 'sendTcp', { to, port: PORTS.tcp, bytes });
}

/** Asserts that what a sender sent is what a receiver got. */
export async function expectSame(sender: Work, receiver: Work): Promise<void> {
  try {
    const [sent, got] = await Promise.all([sender.digest, receiver.digest]);
    expect(got).toBe(sent);
  } catch (error) {
    sender.agent.end();
    receiver.agent.end();
    throw error;
  }
}

/** One TCP transfer from one namespace to the other. */
export async function expectTcp(from: string, to: string, at: Ip, bytes: number): Promise<void> {
  const receiver = await receiveTcp(to, at);
  await expectSame(sendTcp(from, at, bytes), receiver);
}

/** So many TCP connections at one time, each with random bytes of its own; what arrived is what was sent. */
export async function expectStreams(
  from: string,
  to: string,
  at: Ip,
  { streams, bytes }: { readonly streams: number; readonly bytes: number },
): Promise<void> {
  const port = PORTS.streams;
  const receiver = Agent.begin(to, 'receiveStreams', { at, port, streams });
  await receiver.ready;
  await expectSame(Agent.begin(from, 'sendStreams', { to: at, port, streams, bytes }), receiver);
}

/**
 * UDP datagrams of all sizes up to `largest`, some in bursts of one size (which the kernel may hand over
 * as one, UDP_SEGMENT; none without `bursts`: devices of the stock kernel lose such), each answered by its
 * length. Both sides' hashes must agree.
 */
export async function expectUdp(
  from: string,
  to: string,
  at: Ip,
  largest: number,
  { bursts = true } = {},
): Promise<void> {
  const port = PORTS.udp;
  const receiver = Agent.begin(to, 'receiveUdp', { at, port });
  await receiver.ready;
  const sizes: (readonly [number, number])[] = [];
  for (let size = 1; size <= largest; size += 37) sizes.push([size, 1]);
  for (const size of bursts ? [64, 333, largest >> 1, largest] : []) {
    sizes.push([size, Math.min(40, Math.floor(60_000 / size))]);
  }
  const family = addressFamily(familyOf(at));
  const argument = { modules: MODULES, to: at, port, family, sizes };
  await expectSame(Agent.begin(from, 'sendUdp', argument), receiver);
}
