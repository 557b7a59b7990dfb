import { askDaemon } from '../../app/management/ask-daemon.ts';
import { surveyTunnels } from '../../app/management/survey.ts';
import { DEFAULT_PEER } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import type { TunnelStatus } from '../../ports/control.ts';
import type { RunEntry } from '../../ports/run-store.ts';
import { misuse, readGiven } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { findRun, findRuns, NO_TUNNELS } from '../find-run.ts';
import { formatPeer, formatTunnel } from '../format-show.ts';
import { formatField } from '../../app/management/fields.ts';
import { peersJson, tunnelsJson } from '../../app/management/json.ts';

/** Peers of a tunnel that are shown to a person who does not ask for all. */
const PEERS_SHOWN = 50;

export const showCommand: Command = {
  name: 'show',
  summary: 'show the tunnels of this network namespace, and their peers',
  usage: `ipipou show [NAME|FILE|DEVICE] [--all] [--json]
ipipou show NAME|FILE|DEVICE peer PEER [--json]
ipipou show NAME|FILE|DEVICE FIELD

What each tunnel is, whom it is connected to, how much it carried, and what is wrong; of its peers
the first ${PEERS_SHOWN}, or with --all every one. Of a tunnel whose daemon does not answer within some
seconds (it starts, hangs, is stopped or dead) what is known without it. Exit code 0 when all
daemons answered, else 1. With --json all of it, as docs/JSON.md describes. FIELD is for scripts: a
line a peer, its name and, behind a tab, one of: peers (names alone), phases, endpoints, inner-ips,
allowed-ips, last-authenticated, last-heard (unix seconds), transfer (bytes received, bytes sent),
mtu, keepalive.`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { flags: ['json', 'all'], names: [0, 3] as const, what: 'a tunnel' };
    const { flags, names } = readGiven('show', args, shape);
    const machine = await context.machine();
    const [word, keyword, peer] = names;
    if (keyword !== undefined && word !== undefined && keyword !== 'peer') {
      if (peer !== undefined) throw misuse('show', `unexpected ${JSON.stringify(peer)}`);
      return showField(findRun(word, machine.runs), keyword, context);
    }
    if (keyword !== undefined) {
      if (peer === undefined || word === undefined) {
        throw new IpipouError('arguments', 'show: expected `peer` and its name after the tunnel');
      }
      await showPeer(findRun(word, machine.runs), peer, flags.has('json'), context);
      return EXIT.ok;
    }
    const entries = findRuns(word, machine.runs);
    const json = flags.has('json');
    const most = json || flags.has('all') ? Infinity : PEERS_SHOWN;
    const howMany = ({ peer, role }: TunnelStatus): number => {
      // A person reads of a peer without name in what is said of its tunnel, but for what it exposes.
      if (peer === DEFAULT_PEER && !json) return role === 'server' ? 1 : 0;
      return most;
    };
    const tunnels = await surveyTunnels(entries, machine, howMany);
    const now = Date.now();
    context.stdout(
      json ? tunnelsJson(tunnels) : tunnels.map((one) => formatTunnel(one, now)).join('\n'),
    );
    if (tunnels.length === 0 && !json) context.stderr(NO_TUNNELS);
    return tunnels.every(({ daemon }) => daemon === 'answers') ? EXIT.ok : EXIT.generic;
  },
};

/** One field of every peer. */
async function showField(
  entry: RunEntry,
  field: string,
  context: CommandContext,
): Promise<ExitCode> {
  if (formatField(field, []) === undefined) {
    throw misuse('show', `no field ${JSON.stringify(field)}`);
  }
  const [tunnel] = await surveyTunnels([entry], await context.machine(), () => Infinity);
  if (tunnel?.daemon !== 'answers') {
    throw new IpipouError('generic', `${entry.device}: ${tunnel?.why ?? 'it is gone'}`);
  }
  context.stdout(formatField(field, tunnel.peers) ?? '');
  return EXIT.ok;
}

async function showPeer(
  entry: RunEntry,
  peer: string,
  json: boolean,
  context: CommandContext,
): Promise<void> {
  const { peers = [] } = await askDaemon(entry, await context.machine(), {
    request: 'peer',
    peer,
  });
  const { role } = entry.record.config;
  context.stdout(
    json ? peersJson(peers) : peers.map((one) => formatPeer(one, role, Date.now())).join(''),
  );
}
