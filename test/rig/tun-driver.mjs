// Holds a tun plane in the network namespace it is started in (a plane opens its descriptors in the
// namespace of its process) and does what its parent says over IPC. Argument: URL of the plane's
// built index.js (plane.js lies beside it). See test/rig/tun-host.ts for the other end.
import { readdirSync, readlinkSync } from 'node:fs';

const { tunPlane } = await import(process.argv[2]);
const { TunPlane } = await import(new URL('plane.js', process.argv[2]));
let plane;
let admitSenders = false;

const tell = (message) => process.send(message);

const listener = {
  async packet(packet) {
    tell({ event: 'packet', path: packet.path, payload: packet.payload.slice() });
    if (admitSenders) await plane.admit('default', { path: packet.path });
  },
  disturbed: (what, repaired) => tell({ event: 'disturbed', what, repaired }),
  failed: (error) => tell({ event: 'failed', message: error.message }),
};

const calls = {
  async open({ config, authLengths, offloads }) {
    const journal = { load: () => undefined, save: () => undefined };
    const log = (level, event, fields) => tell({ event: 'log', level, text: event, fields });
    plane = await TunPlane.open({ config, authLengths, journal, listener, log }, offloads);
  },
  probe: () => tunPlane.probe({ load: false }),
  configure: (peers) => plane.configure(peers),
  remove: (peers) => plane.remove(peers),
  admit: ({ peer, path }) => plane.admit(peer, { path }),
  limitMtu: ({ peer, mtu }) => plane.limitMtu(peer, mtu),
  /** From now on whoever sends a control packet is admitted before the handler settles. */
  admitSenders: async () => {
    admitSenders = true;
  },
  evict: () => plane.evict('default'),
  send: (packet) => plane.send(packet),
  counters: (peer) => plane.counters(peer),
  describePeer: (peer) => plane.describePeer(peer),
  /** The clock that a peer was heard by. */
  now: async () => performance.now(),
  describe: () => plane.describe(),
  refresh: () => plane.refresh(),
  close: (mode) => plane.close(mode),
  /** What a path that is none does to the forwarding thread. */
  crash: () => plane.admit('default', { path: { local: { port: 10000 } } }),
  /** Ends the process without closing anything. */
  exit: (code) => process.exit(code),
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
