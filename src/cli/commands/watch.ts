import { Rates, type Rate } from '../../app/management/rates.ts';
import { surveyTunnels, type AnsweringTunnel, type Tunnel } from '../../app/management/survey.ts';
import { EXIT } from '../../core/exit-codes.ts';
import type { PeerStatus } from '../../ports/control.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findRuns, NO_TUNNELS } from '../find-run.ts';
import { COLOR_FLAG, paintFor, type Paint } from '../paint.ts';
import { PeerTable, troubleLines } from '../peer-lines.ts';
import { printable } from '../print-error.ts';
import { SUMMARIES } from './summaries.ts';

/** Milliseconds between two looks. */
const LOOK_EVERY = 1000;
/** Lines of a terminal that does not say. */
const ROWS = 24;
/** Lines of a tunnel besides its peers'. */
const ROWS_BESIDES = 4;

/** ANSI: the cursor to the corner; what is behind it on its line, and below. */
const HOME = '\u001b[H';
const REST_OF_LINE = '\u001b[K';
const BELOW = '\u001b[J';
const CLEAR = `${HOME}\u001b[2J`;

export const watchCommand: Command = {
  name: 'watch',
  summary: SUMMARIES.watch,
  usage: `ipipou watch [NAME|FILE|DEVICE] [--color WHEN]

A line a peer, renewed every second until interrupted: its state, where it is, when it was heard,
what it received and sent, how much that is a second now, and the largest packet on its way. As many
peers as the terminal has lines for, those with most traffic first.`,
  async run(args, context) {
    const shape = { valued: { color: COLOR_FLAG }, names: [0, 1] as const, what: 'a tunnel' };
    const { names, values } = readGiven('watch', args, shape);
    const [word] = names;
    const paint = paintFor('watch', values.get('color'), context);
    const daemons = await context.daemons();
    const entries = () => findRuns(word, daemons.runs);
    const rates = new Rates();
    context.stdout(CLEAR);
    for (;;) {
      const tunnels = await surveyTunnels(entries(), daemons, () => Infinity);
      const now = Date.now();
      rates.look(tunnels, daemons.clock.now().monotonic);
      context.stdout(screenOf(tunnels, rates, { now, height: context.rows() ?? ROWS, paint }));
      if (await interrupted(context.signal)) return EXIT.ok;
    }
  },
};

function screenOf(
  tunnels: readonly Tunnel[],
  rates: Rates,
  { now, height, paint }: { readonly now: number; readonly height: number; readonly paint: Paint },
): string {
  const rows = Math.floor(height / Math.max(1, tunnels.length));
  const most = Math.max(1, rows - ROWS_BESIDES);
  const text =
    tunnels.length === 0
      ? NO_TUNNELS
      : tunnels.map((tunnel) => linesOf(tunnel, rates, { now, most, paint })).join('\n');
  return `${HOME}${text.replaceAll('\n', `${REST_OF_LINE}\n`)}${BELOW}`;
}

function linesOf(
  tunnel: Tunnel,
  rates: Rates,
  { now, most, paint }: { readonly now: number; readonly most: number; readonly paint: Paint },
): string {
  const title = `${tunnel.device} (${tunnel.name}): ${tunnel.role}, ${tunnel.plane}`;
  if (tunnel.daemon !== 'answers') return `${printable(`${title}: ${tunnel.why}`)}\n`;
  const rateOf = (peer: PeerStatus): Rate | undefined => rates.of(tunnel, peer);
  const shown = busiestFirst(tunnel, rateOf).slice(0, most);
  const untold = tunnel.peers.length - shown.length;
  const { establishedCount, peerCount } = tunnel;
  const lines = [
    printable(`${title}, ${establishedCount} of ${peerCount} established`),
    ...new PeerTable({ now, rateOf, paint }).add(shown),
    ...(untold > 0 ? [`  and ${untold} more`] : []),
    ...troubleLines(tunnel, paint),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function busiestFirst(
  { peers }: AnsweringTunnel,
  rateOf: (peer: PeerStatus) => Rate | undefined,
): readonly PeerStatus[] {
  const load = (peer: PeerStatus): number => {
    const rate = rateOf(peer);
    return rate === undefined ? 0 : rate.received + rate.sent;
  };
  return peers.toSorted((a, b) => load(b) - load(a));
}

/** Waits for the next look; whether the end comes before. */
function interrupted(signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(true);
    const end = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      resolve(false);
    }, LOOK_EVERY);
    signal.addEventListener('abort', end, { once: true });
  });
}
