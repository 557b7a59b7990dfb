import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import type { RunEntry } from '../../ports/run-store.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findRun } from '../find-run.ts';
import { formatDead, formatLiving, type DeadTunnel, type LivingTunnel } from '../format-show.ts';
import type { Machine } from '../machine.ts';

export const showCommand: Command = {
  name: 'show',
  summary: 'show the tunnels of this network namespace',
  usage: `ipipou show [NAME|FILE|DEVICE] [--json]

What each tunnel is, whom it is connected to, how much it carried, and what is wrong. With --json an
array, times in milliseconds of unix time.`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { flags: ['json'], names: [0, 1] as const, what: 'a tunnel' };
    const { flags, names } = readGiven('show', args, shape);
    const machine = await context.machine();
    const [word] = names;
    const entries = word === undefined ? machine.runs.list() : [findRun(word, machine.runs)];
    const tunnels = await Promise.all(entries.map((entry) => look(entry, machine)));
    if (flags.has('json')) {
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

async function look(entry: RunEntry, machine: Machine): Promise<LivingTunnel | DeadTunnel> {
  if (!entry.alive) return describeDead(entry, machine);
  const reply = await machine.control.ask(entry.controlPath, { request: 'status' });
  if (!reply.ok || !reply.status) {
    const why = reply.ok ? 'it gave no status' : reply.error;
    throw new IpipouError('generic', `${entry.device}: ${why}`);
  }
  return { alive: true, configPath: entry.record.configPath, ...reply.status };
}

/** What is known without the daemon: its record, and the kernel's device. */
function describeDead({ device, record }: RunEntry, machine: Machine): DeadTunnel {
  const traffic = machine.deviceCounters(device);
  const { config } = record;
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
    innerPeerIp: config.peers[0]?.innerIp ?? config.inner.ip,
    path: record.path,
    // Only the kernel's own plane goes on without user space, and only towards an admitted peer.
    forwarding: record.plane === 'fou' && record.path !== undefined && traffic !== undefined,
    traffic,
  };
}
