import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import type { Path } from '../../../core/addr.ts';
import { asError, IpipouError } from '../../../core/errors.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import type { Loss } from './counters.ts';
import { takeThread } from './spare-thread.ts';
import { EXIT_WAIT, WORKER_TIMEOUT } from './limits.ts';
import {
  START_ID,
  type FromWorker,
  type ToWorker,
  type WorkerRequest,
  type WorkerStart,
} from './worker-protocol.ts';

export interface WorkerListener {
  /** Answer with `handled` in any case. */
  control(path: Path, payload: Uint8Array): void;
  trouble(operation: string, errno: string, loss: Loss): void;
  tooBig(peer: PeerId): void;
  roamed(peer: PeerId, path: Path): void;
  deviceLost(): void;
  /** The thread ended by itself; every open request rejects too. */
  failed(error: Error): void;
}

type Pending = {
  readonly resolve: (errno: string | undefined) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
};

/** The forwarding thread as its owner sees it. At most one request is open at a time per caller. */
export class WorkerHandle {
  readonly #worker: Worker;
  readonly #listener: WorkerListener;
  readonly #pending = new Map<number, Pending>();
  readonly #stopped = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  /** For a process that exits all of a sudden: see worker.ts for why the thread must stop first. */
  readonly #stopNow = (): void => {
    this.#post({ kind: 'request', id: this.#nextId, request: { kind: 'stop' } });
    Atomics.wait(this.#stopped, 0, 0, EXIT_WAIT);
  };
  #nextId = START_ID + 1;
  #state: 'running' | 'stopping' | 'ended' = 'running';

  private constructor(start: Omit<WorkerStart, 'stopped'>, listener: WorkerListener) {
    this.#listener = listener;
    this.#worker = takeThread();
    const whole: WorkerStart = { ...start, stopped: this.#stopped.buffer };
    this.#worker.postMessage(whole, []);
    process.once('exit', this.#stopNow);
    this.#worker.on('message', (message: FromWorker) => {
      this.#hear(message);
    });
    let cause: Error | undefined;
    this.#worker.on('error', (error: unknown) => {
      cause = asError(error);
    });
    this.#worker.once('exit', (code) => {
      this.#end(cause ?? new Error(`exit code ${code}`));
    });
  }

  /** Resolves once the thread forwards. */
  static async start(
    start: Omit<WorkerStart, 'stopped'>,
    listener: WorkerListener,
  ): Promise<WorkerHandle> {
    const handle = new WorkerHandle(start, listener);
    try {
      await handle.#answer(START_ID);
      return handle;
    } catch (error) {
      await handle.stop();
      throw error;
    }
  }

  /** The errno name that kept it from being done; undefined when it was done. */
  async request(request: WorkerRequest): Promise<string | undefined> {
    if (this.#state !== 'running') throw ended(new Error('it was stopped'));
    const id = this.#nextId;
    this.#nextId += 1;
    this.#post({ kind: 'request', id, request });
    return this.#answer(id);
  }

  /** The session has dealt with a control packet. */
  handled(path: Path, payload: Uint8Array): void {
    if (this.#state === 'running') this.#post({ kind: 'handled', path, payload });
  }

  /** Ends the thread; afterwards its descriptors are free. Rejects when it does not end. */
  async stop(): Promise<void> {
    if (this.#state === 'ended') return;
    if (this.#state === 'running') {
      this.#state = 'stopping';
      this.#post({ kind: 'request', id: this.#nextId, request: { kind: 'stop' } });
    }
    const signal = AbortSignal.timeout(WORKER_TIMEOUT);
    try {
      await once(this.#worker, 'exit', { signal });
    } catch (error) {
      // It hangs, and terminate() would end the whole process: see worker.ts.
      this.#worker.unref();
      throw new IpipouError('cleanUp', 'the forwarding thread does not end', { cause: error });
    }
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message, []);
  }

  async #answer(id: number): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(ended(new Error(`no answer in ${WORKER_TIMEOUT} ms`)));
      }, WORKER_TIMEOUT);
      this.#pending.set(id, { resolve, reject, timer });
    });
  }

  #hear(message: FromWorker): void {
    switch (message.kind) {
      case 'done':
        this.#settle(message.id, (pending) => {
          pending.resolve(message.errno);
        });
        break;
      case 'control':
        this.#listener.control(message.path, message.payload);
        break;
      case 'trouble':
        this.#listener.trouble(message.operation, message.errno, message.loss);
        break;
      case 'too-big':
        this.#listener.tooBig(message.peer);
        break;
      case 'roamed':
        this.#listener.roamed(message.peer, message.path);
        break;
      case 'device-lost':
        this.#listener.deviceLost();
        break;
    }
  }

  #end(cause: Error): void {
    const before = this.#state;
    if (before === 'ended') return;
    this.#state = 'ended';
    process.off('exit', this.#stopNow);
    const error = ended(cause);
    for (const id of this.#pending.keys()) {
      this.#settle(id, (pending) => {
        pending.reject(error);
      });
    }
    if (before === 'running') this.#listener.failed(error);
  }

  #settle(id: number, act: (pending: Pending) => void): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    act(pending);
  }
}

function ended(cause: Error): IpipouError {
  return new IpipouError('createTunnel', `the forwarding thread ended: ${cause.message}`, {
    cause,
  });
}
