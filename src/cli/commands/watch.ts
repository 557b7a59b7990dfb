import { surveyTunnels, type Tunnel } from '../../app/management/survey.ts';
import { EXIT } from '../../core/exit-codes.ts';
import type { PeerStatus } from '../../ports/control.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { findRuns, NO_TUNNELS } from '../find-run.ts';
import { formatLines, type Rate } from '../peer-lines.ts';

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
  summary: 'show the tunnels of this network namespace live, with what passes now',
  usage: `ipipou watch [NAME|FILE|DEVICE]

A line a peer, renewed every second until interrupted: its state, where it is, when it was heard,
what it received and sent, how much that is a second now, and the largest packet on its way. As many
peers as the terminal has lines for, those with most traffic first.`,
  async run(args, context) {
    const [word] = readGiven('watch', args, { names: [0, 1], what: 'a tunnel' }).names;
    const machine = await context.machine();
    const entries = () => findRuns(word, machine.runs);
    const rates = new Rates();
    context.stdout(CLEAR);
    for (;;) {
      const tunnels = await surveyTunnels(entries(), machine, () => Infinity);
      const now = Date.now();
      rates.look(tunnels, machine.clock.now().monotonic);
      context.stdout(screenOf(tunnels, rates, now, context.rows() ?? ROWS));
      if (await interrupted(context.signal)) return EXIT.ok;
    }
  },
};

function screenOf(tunnels: readonly Tunnel[], rates: Rates, now: number, height: number): string {
  const rows = Math.floor(height / Math.max(1, tunnels.length));
  const most = Math.max(1, rows - ROWS_BESIDES);
  const text =
    tunnels.length === 0
      ? NO_TUNNELS
      : tunnels
          .map((tunnel) => {
            const rateOf = (peer: PeerStatus): Rate | undefined => rates.of(tunnel, peer);
            return formatLines(busiestFirst(tunnel, rateOf), { now, most, rateOf });
          })
          .join('\n');
  return `${HOME}${text.replaceAll('\n', `${REST_OF_LINE}\n`)}${BELOW}`;
}

function busiestFirst(tunnel: Tunnel, rateOf: (peer: PeerStatus) => Rate | undefined): Tunnel {
  if (tunnel.daemon !== 'answers') return tunnel;
  const load = (peer: PeerStatus): number => {
    const rate = rateOf(peer);
    return rate === undefined ? 0 : rate.received + rate.sent;
  };
  return { ...tunnel, peers: tunnel.peers.toSorted((a, b) => load(b) - load(a)) };
}

/** What passes between two looks. */
class Rates {
  #before = new Map<string, { readonly at: number; readonly traffic: PeerStatus['traffic'] }>();
  #rates = new Map<string, Rate>();

  look(tunnels: readonly Tunnel[], at: number): void {
    const before = this.#before;
    this.#before = new Map();
    this.#rates = new Map();
    for (const tunnel of tunnels) {
      for (const peer of tunnel.daemon === 'answers' ? tunnel.peers : []) {
        const key = keyOf(tunnel, peer);
        this.#before.set(key, { at, traffic: peer.traffic });
        const last = before.get(key);
        if (!last?.traffic || !peer.traffic) continue;
        const seconds = (at - last.at) / 1000;
        // Counters that begin anew are no traffic.
        const received = Math.max(0, peer.traffic.rxBytes - last.traffic.rxBytes) / seconds;
        const sent = Math.max(0, peer.traffic.txBytes - last.traffic.txBytes) / seconds;
        this.#rates.set(key, { received, sent });
      }
    }
  }

  of(tunnel: Tunnel, peer: PeerStatus): Rate | undefined {
    return this.#rates.get(keyOf(tunnel, peer));
  }
}

function keyOf({ device }: Tunnel, { id }: PeerStatus): string {
  return `${device} ${id}`;
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
