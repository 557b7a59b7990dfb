import '../../../core/es2023.ts';
import { parentPort } from 'node:worker_threads';
import { port } from '../../../core/units.ts';
import { errnoName } from '../../ffi/errno.ts';
import { SharedCounters } from './counters.ts';
import { Forwarder } from './forwarder.ts';
import { monotonicEpoch } from '../monotonic-epoch.ts';
import {
  START_ID,
  type FromWorker,
  type ToWorker,
  type WorkerRequest,
  type WorkerStart,
} from './worker-protocol.ts';

/** The thread that forwards: wires messages of worker-protocol.ts to a Forwarder. */
function run(owner: NonNullable<typeof parentPort>, start: WorkerStart): void {
  const tell = (message: FromWorker): void => {
    owner.postMessage(message, []);
  };
  const counters = new SharedCounters(start.counters);
  // Every thread's performance.now() has a zero of its own.
  const ahead = monotonicEpoch() - start.epoch;
  const authLengths = new Set(start.authLengths);
  const forwarder = new Forwarder({
    tunFd: start.tunFd,
    mtu: start.mtu,
    vnetHeader: start.vnetHeader,
    sockets: start.sockets,
    localPort: port(start.localPort),
    authLengths,
    initKeys: start.initKeys,
    carried: start.carried,
    innerIps: start.innerIps,
    counters,
    now: () => performance.now() + ahead,
    events: {
      control: (path, payload) => {
        tell({ kind: 'control', path, payload });
      },
      trouble: (operation, errno, loss) => {
        tell({ kind: 'trouble', operation, errno, loss });
      },
      tooBig: (peer) => {
        tell({ kind: 'too-big', peer });
      },
      roamed: (peer, path) => {
        tell({ kind: 'roamed', peer, path });
      },
      deviceLost: () => {
        tell({ kind: 'device-lost' });
      },
    },
  });
  const stopped = new Int32Array(start.stopped);
  // A thread that is torn down while koffi (3.3.4) still polls for it takes the process with it
  // (SIGSEGV). So this comes first, however the thread ends.
  process.once('exit', () => {
    forwarder.stop();
  });
  owner.on('message', (message: ToWorker) => {
    if (message.kind === 'handled') {
      forwarder.handled(message.path, message.payload);
      return;
    }
    const errno = carryOut(forwarder, counters, authLengths, message.request);
    tell({ kind: 'done', id: message.id, errno });
    if (message.request.kind !== 'stop') return;
    Atomics.store(stopped, 0, 1);
    Atomics.notify(stopped, 0);
    owner.close();
  });
  tell({ kind: 'done', id: START_ID, errno: undefined });
}

/** The name of the errno that kept it from being done; undefined when it was done. */
function carryOut(
  forwarder: Forwarder,
  counters: SharedCounters,
  authLengths: Set<number>,
  request: WorkerRequest,
): string | undefined {
  switch (request.kind) {
    case 'counters':
      counters.attach(request.memory);
      return undefined;
    case 'watch':
      for (const length of request.lengths) authLengths.add(length);
      forwarder.setInitKeys(request.initKeys);
      return undefined;
    case 'configure':
      forwarder.configure(request.members);
      return undefined;
    case 'remove':
      forwarder.remove(request.peers);
      return undefined;
    case 'admit':
      return forwarder.admit(request.peer, request.slot, request.path, request.tags);
    case 'evict':
      forwarder.evict(request.peer);
      return undefined;
    case 'sizes':
      forwarder.resize(request.sizes);
      return undefined;
    case 'send': {
      const code = forwarder.send(request.packet);
      return code === 0 ? undefined : errnoName(code);
    }
    case 'device':
      forwarder.setDevice(request.tunFd);
      return undefined;
    case 'mtu':
      forwarder.setMtu(request.mtu);
      return undefined;
    case 'stop':
    default:
      forwarder.stop();
      return undefined;
  }
}

if (!parentPort) throw new Error('worker.ts is started as a worker thread, not by itself');
const owner = parentPort;
owner.once('message', (start: WorkerStart | undefined) => {
  if (start) run(owner, start);
  else owner.close();
});
