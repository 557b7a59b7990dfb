import { DEFAULT_PEER } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import type { PeerStatus, TunnelStatus } from '../../ports/control.ts';
import type { RunEntry } from '../../ports/run-store.ts';
import { readGiven } from '../arguments.ts';
import { askDaemon } from '../ask-daemon.ts';
import type { Command, CommandContext } from '../command.ts';
import { findRun } from '../find-run.ts';
import {
  formatDead,
  formatLiving,
  formatPeer,
  type DeadTunnel,
  type LivingTunnel,
} from '../format-show.ts';
import type { Machine } from '../machine.ts';

/** Peers of a tunnel that are shown to a person who does not ask for all. */
const PEERS_SHOWN = 50;

export const showCommand: Command = {
  name: 'show',
  summary: 'show the tunnels of this network namespace, and their peers',
  usage: `ipipou show [NAME|FILE|DEVICE] [--all] [--json]
ipipou show NAME|FILE|DEVICE peer PEER [--json]

What each tunnel is, whom it is connected to, how much it carried, and what is wrong; of its peers
the first ${PEERS_SHOWN}, or with --all every one. With --json an array with all of them, times in
milliseconds of unix time.`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { flags: ['json', 'all'], names: [0, 3] as const, what: 'a tunnel' };
    const { flags, names } = readGiven('show', args, shape);
    const machine = await context.machine();
    const [word, keyword, peer] = names;
    if (keyword !== undefined) {
      if (keyword !== 'peer' || peer === undefined || word === undefined) {
        throw new IpipouError('arguments', 'show: expected `peer` and its name after the tunnel');
      }
      await showPeer(findRun(word, machine.runs), peer, flags.has('json'), context);
      return EXIT.ok;
    }
    const entries = word === undefined ? machine.runs.list() : [findRun(word, machine.runs)];
    const json = flags.has('json');
    const most = json || flags.has('all') ? Infinity : PEERS_SHOWN;
    const howMany = ({ peer }: TunnelStatus): number =>
      // A person reads of a peer without name in what is said of its tunnel.
      peer === DEFAULT_PEER && !json ? 0 : most;
    const tunnels = await Promise.all(entries.map((entry) => look(entry, machine, howMany)));
    if (json) {
      context.stdout(`${JSON.stringify(tunnels, undefined, 2)}\n`);
      return EXIT.ok;
    }
    const now = Date.now();
    const blocks = tunnels.map((tunnel) =>
      tunnel.alive ? formatLiving(tunnel, now) : formatDead(tunnel),
    );
    context.stdout(blocks.join('\n'));
    if (blocks.length === 0) context.stderr('no tunnels in this network namespace\n');
    return EXIT.ok;
  },
};

async function showPeer(
  entry: RunEntry,
  peer: string,
  json: boolean,
  context: CommandContext,
): Promise<void> {
  const { peers = [] } = await askDaemon(entry, await context.machine(), { request: 'peer', peer });
  const { role } = entry.record.config;
  context.stdout(
    json
      ? `${JSON.stringify(peers, undefined, 2)}\n`
      : peers.map((one) => formatPeer(one, role, Date.now())).join(''),
  );
}

async function look(
  entry: RunEntry,
  machine: Machine,
  howMany: (status: TunnelStatus) => number,
): Promise<LivingTunnel | DeadTunnel> {
  if (!entry.alive) return describeDead(entry, machine);
  const { status } = await askDaemon(entry, machine, { request: 'status' });
  if (!status) throw new IpipouError('generic', `${entry.device}: it gave no status`);
  const peers = await askPeers(entry, machine, Math.min(howMany(status), status.peerCount));
  return { alive: true, configPath: entry.record.configPath, ...status, peers };
}

/** At most so many of the peers, the first ones. */
async function askPeers(
  entry: RunEntry,
  machine: Machine,
  most: number,
): Promise<readonly PeerStatus[]> {
  const found: PeerStatus[] = [];
  while (found.length < most) {
    const after = found.at(-1)?.id;
    const request = { request: 'peers', ...(after !== undefined && { after }) } as const;
    const { peers = [], more = false } = await askDaemon(entry, machine, request);
    for (const peer of peers) found.push(peer);
    if (!more) break;
  }
  return found.slice(0, most);
}

/** What is known without the daemon: its record, and the kernel's device. */
function describeDead({ device, record }: RunEntry, machine: Machine): DeadTunnel {
  const counts = machine.deviceCounters(device);
  const { config } = record;
  const [sole] = config.peers;
  return {
    alive: false,
    name: config.name,
    role: config.role,
    device,
    plane: record.plane,
    planeReason: record.planeReason,
    pid: record.process.pid,
    since: record.since,
    configPath: record.configPath,
    innerIp: config.inner.ip,
    innerPeerIp: sole?.innerIp,
    path: record.path,
    // Only what is in the kernel goes on without user space, and only towards admitted peers; of
    // several of them the record says nothing.
    forwarding:
      record.plane !== 'tun' &&
      counts !== undefined &&
      (record.path !== undefined || sole === undefined),
    // What programs of the `bpf` plane take passes the device's own counters by.
    traffic: record.plane === 'bpf' ? undefined : counts,
  };
}
