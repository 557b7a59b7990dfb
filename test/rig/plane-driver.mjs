// Holds a data plane in the network namespace it is started in (a plane opens its descriptors in the
// namespace of its process) and does what its parent says over IPC. Arguments: URL of the plane's built
// index.js, the name of its factory there, and the file that is its journal. The other end is
// test/rig/plane-host.ts.
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';

const [, , url, factoryName, journalFile] = process.argv;
const { [factoryName]: factory } = await import(url);
let plane;
let saves = 0;
let admitSenders = false;

const tell = (message) => process.send(message);

const listener = {
  async packet(packet) {
    tell({ event: 'packet', path: packet.path, payload: packet.payload.slice() });
    if (admitSenders) await plane.admit('default', { path: packet.path });
  },
  outerError: (error) => tell({ event: 'outerError', error }),
  roamed: (peer, path) => tell({ event: 'roamed', peer, path }),
  disturbed: (what, repaired) => tell({ event: 'disturbed', what, repaired }),
  failed: (error) => tell({ event: 'failed', message: error.message }),
};

const journal = {
  load: () => (existsSync(journalFile) ? JSON.parse(readFileSync(journalFile, 'utf8')) : undefined),
  save(record) {
    saves += 1;
    writeFileSync(journalFile, JSON.stringify(record));
  },
};
const log = (level, event, fields) => tell({ event: 'log', level, text: event, fields });

const calls = {
  async open({ config, authLengths, offloads }) {
    const context = { config, authLengths, journal, listener, log };
    // Only the tun plane can do without some, and only its class can be told.
    if (offloads === undefined) plane = await factory.open(context);
    else plane = await (await import(new URL('plane.js', url))).TunPlane.open(context, offloads);
    return [...plane.adopted];
  },
  probe: () => factory.probe({ load: false, trial: true }),
  clean: (config) => factory.clean({ config, journal, log }),
  configure: (peers) => plane.configure(peers),
  remove: (peers) => plane.remove(peers),
  admit: ({ peer, ...properties }) => plane.admit(peer, properties),
  /** Milliseconds that it took to admit them all. */
  async admitAll(admissions) {
    const from = performance.now();
    for (const { peer, path } of admissions) await plane.admit(peer, { path });
    return performance.now() - from;
  },
  /** From now on whoever sends a control packet is admitted before the handler settles. */
  admitSenders() {
    admitSenders = true;
  },
  evict: (peer) => plane.evict(peer),
  limitMtu: ({ peer, mtu }) => plane.limitMtu(peer, mtu),
  send: (packet) => plane.send(packet),
  counters: (peer) => plane.counters(peer),
  describe: () => plane.describe(),
  describePeer: (peer) => plane.describePeer(peer),
  refresh: () => plane.refresh(),
  close: (mode) => plane.close(mode),
  /** What a path that is none does to the forwarding thread of the tun plane. */
  crash: () => plane.admit('default', { path: { local: { port: 10000 } } }),
  /** Ends the process without closing anything. */
  exit: (code) => process.exit(code),
  /** As if nothing had been opened yet. */
  async reset() {
    await plane?.close('remove');
    plane = undefined;
    admitSenders = false;
    rmSync(journalFile, { force: true });
  },
  now: () => performance.now(),
  /** How often the journal was written. */
  saves: () => saves,
  /** Resident memory and what of it is on the heap, bytes, after a collection where one can be asked for. */
  memory() {
    globalThis.gc?.();
    return process.memoryUsage();
  },
  // What is open, without the descriptor that lists it.
  descriptors: async () =>
    readdirSync('/proc/self/fd')
      .map((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).replace(/\[[0-9]+\]$/, '');
        } catch {
          return '';
        }
      })
      .filter((name) => name !== '')
      .toSorted(),
};

process.on('message', async ({ id, call, argument }) => {
  try {
    tell({ id, value: await calls[call](argument) });
  } catch (error) {
    const { message, exit, errno, hint } = error;
    tell({ id, error: { message, exit, errno, hint } });
  }
});
process.on('disconnect', () => process.exit());
tell({ event: 'ready' });
