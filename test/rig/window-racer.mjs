// Runs packets through a program of the process that started this thread (BPF_PROG_TEST_RUN), in an order of its own, and
// says which were taken. What it is given: the program's descriptor, the packets in shared memory, each of `length` bytes,
// and a number in shared memory of how many of the racers are not there yet: they start together.
import { parentPort, workerData } from 'node:worker_threads';
import koffi from 'koffi';

const { fd, packets, length, order, options, missing } = workerData;
const run = koffi
  .load('libbpf.so.1')
  .func('int bpf_prog_test_run_opts(int prog_fd, uint8_t *opts)');
const REDIRECT = 7;
const { size, dataIn, sizeIn, dataOut, sizeOut, repeat, retval } = options;

const bytes = new Uint8Array(length);
const out = new Uint8Array(length + 256);
const opts = new Uint8Array(size);
const view = new DataView(opts.buffer);
view.setBigUint64(0, BigInt(size), true);
view.setBigUint64(dataIn, koffi.address(bytes), true);
view.setBigUint64(dataOut, koffi.address(out), true);
view.setUint32(sizeIn, length, true);
view.setUint32(repeat, 1, true);

const all = new Uint8Array(packets);
const taken = [];
const start = new Int32Array(missing);
if (Atomics.sub(start, 0, 1) === 1) Atomics.notify(start, 0);
for (let left = Atomics.load(start, 0); left > 0; left = Atomics.load(start, 0))
  Atomics.wait(start, 0, left, 1);
for (const index of order) {
  bytes.set(all.subarray(index * length, (index + 1) * length));
  view.setUint32(sizeOut, out.length, true);
  if (run(fd, opts) !== 0) throw new Error('BPF_PROG_TEST_RUN');
  if (view.getUint32(retval, true) === REDIRECT) taken.push(index);
}
parentPort.postMessage(taken, []);
