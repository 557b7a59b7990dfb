import { askDaemon, tryDaemon } from '../../app/management/ask-daemon.ts';
import { formatField, isField } from '../../app/management/fields.ts';
import { peersJson, tunnelsJsonInPieces } from '../../app/management/json.ts';
import {
  peerPages,
  surveyTunnels,
  type AnsweringTunnel,
  type Tunnel,
} from '../../app/management/survey.ts';
import { PEER_NAME_MAX } from '../../core/config/limits.ts';
import { parseDecimal } from '../../core/config/syntax.ts';
import type { PeerId } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import type { PeerStatus } from '../../ports/control.ts';
import type { RunEntry } from '../../ports/run-store.ts';
import { misuse, readGiven, type Given } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { findRun, findRunIfAny, NO_TUNNELS } from '../find-run.ts';
import { formatPeer, formatTunnel, formatTunnelAlone, titleOf } from '../format-show.ts';
import type { Daemons } from '../machine.ts';
import { COLOR_FLAG, paintFor, type Paint } from '../paint.ts';
import { PeerTable, troubleLines } from '../peer-lines.ts';
import { printable } from '../print-error.ts';
import { SUMMARIES } from './summaries.ts';

/** Peers of a tunnel that a terminal is given which does not ask for more. */
const ON_TERMINAL = 50;
/** Peers that are asked for before anything is told, so that a tunnel whose daemon hangs is told as such. */
const AT_FIRST = 256;
const LIMIT_MAX = 1_000_000_000;

export const showCommand: Command = {
  name: 'show',
  summary: SUMMARIES.show,
  usage: `ipipou show [--limit N] [--color WHEN] [--json]
ipipou show NAME|FILE|DEVICE [--limit N] [--after PEER] [--color WHEN] [--json]
ipipou show PEER [--json]
ipipou show NAME|FILE|DEVICE [peer] PEER [--json]
ipipou show NAME|FILE|DEVICE FIELD

Each tunnel with a line a peer: its state, where it is, when it was heard, what it carried, what is
wrong. Of a tunnel that is named, all that is known; so of a peer (\`peer\` goes before a name that
means something else here). Of a tunnel whose daemon does not answer within some seconds (it starts,
hangs, is stopped or dead) what is known without it. Exit code 0 when all daemons answered, else 1.
A terminal is given ${ON_TERMINAL} peers of a tunnel, anything else all of them: --limit N says how many,
--after PEER behind which one. WHEN is ${COLOR_FLAG}; NO_COLOR is never. With --json
all of it, as docs/JSON.md describes. FIELD is for scripts: a line a peer, its name and, behind a
tab, one of: peers (names alone), phases, endpoints, inner-ips, allowed-ips,
last-authenticated, last-heard (unix seconds), transfer (bytes received, bytes sent), mtu,
keepalive.`,
  endsAtOnce: true,
  async run(args, context) {
    const valued = { limit: 'a number', after: 'a peer', color: COLOR_FLAG };
    const shape = { flags: ['json'], valued, names: [0, 3] as const, what: 'a tunnel' };
    const given = readGiven('show', args, shape);
    const daemons = await context.daemons();
    const [word, second, third] = given.names;
    if (third !== undefined && second !== 'peer') {
      throw misuse('show', `unexpected ${JSON.stringify(third)}`);
    }
    if (second === 'peer' && third === undefined) {
      throw misuse('show', 'expected the name of a peer behind `peer`');
    }
    if (word === undefined) {
      const entries = daemons.runs.list();
      return new Show(given, context, daemons).list(entries);
    }
    if (second !== undefined) return showPart(findRun(word, daemons.runs), given, context, daemons);
    const entry = findRunIfAny(word, daemons.runs);
    if (entry !== undefined) return new Show(given, context, daemons).whole(entry);
    const owner = await ownerOf(word, daemons);
    // Says that there is no such tunnel.
    if (owner === undefined) findRun(word, daemons.runs);
    else showPeers(owner, given, context);
    return EXIT.ok;
  },
};

type Found = { readonly entry: RunEntry; readonly peers: readonly PeerStatus[] };

/** The first tunnel that has a peer of that name. */
async function ownerOf(peer: string, daemons: Daemons): Promise<Found | undefined> {
  if (peer.length > PEER_NAME_MAX) return undefined;
  const entries = daemons.runs.list();
  const found = await Promise.all(
    entries.map(async (entry) => {
      const answer = await tryDaemon(entry, daemons, { request: 'peer', peer });
      return { entry, peers: answer.kind === 'reply' && answer.reply.ok ? answer.reply.peers : [] };
    }),
  );
  for (const { entry, peers = [] } of found) if (peers.length > 0) return { entry, peers };
  return undefined;
}

/** A field of all peers, or one peer. */
async function showPart(
  entry: RunEntry,
  given: Given,
  context: CommandContext,
  daemons: Daemons,
): Promise<ExitCode> {
  const [, word = '', named] = given.names;
  if (named === undefined && isField(word)) return showField(entry, word, context, daemons);
  const request = { request: 'peer', peer: named ?? word } as const;
  if (named === undefined) {
    const answer = await tryDaemon(entry, daemons, request);
    if (answer.kind === 'reply' && !answer.reply.ok) {
      throw misuse('show', `no field ${JSON.stringify(word)}, and no peer of that name`);
    }
  }
  const { peers = [] } = await askDaemon(entry, daemons, request);
  showPeers({ entry, peers }, given, context);
  return EXIT.ok;
}

function showPeers({ entry, peers }: Found, { flags, values }: Given, context: CommandContext) {
  const paint = paintFor('show', values.get('color'), context);
  const { role } = entry.record.config;
  const told = (peer: PeerStatus): string => formatPeer(peer, role, Date.now(), paint);
  context.stdout(flags.has('json') ? peersJson(peers) : peers.map(told).join(''));
}

/** One field of every peer. */
async function showField(
  entry: RunEntry,
  field: string,
  { stdout, flushed }: CommandContext,
  daemons: Daemons,
): Promise<ExitCode> {
  const pages = peerPages(entry, daemons, undefined);
  for (;;) {
    const { done, value } = await pages.next();
    if (done !== true) stdout(formatField(field, value) ?? '');
    else if (value === undefined) return EXIT.ok;
    else throw new IpipouError('generic', `${entry.device}: ${value.why}`);
    if (!(await flushed())) return EXIT.ok;
  }
}

/** One run of the command over tunnels. */
class Show {
  readonly #context: CommandContext;
  readonly #daemons: Daemons;
  readonly #json: boolean;
  readonly #paint: Paint;
  readonly #limit: number;
  readonly #after: PeerId | undefined;
  readonly #now = Date.now();
  /** All daemons have answered. */
  #complete = true;

  constructor({ flags, values, names }: Given, context: CommandContext, daemons: Daemons) {
    this.#context = context;
    this.#daemons = daemons;
    this.#json = flags.has('json');
    this.#paint = paintFor('show', values.get('color'), context);
    const limit = values.get('limit');
    const most = limit === undefined ? this.#most() : parseDecimal(limit, 0, LIMIT_MAX);
    if (most === undefined) throw misuse('show', `--limit takes a number from 0 to ${LIMIT_MAX}`);
    this.#limit = most;
    // A name that no peer has is refused by the daemon.
    this.#after = values.get('after') as PeerId | undefined;
    if (this.#after !== undefined && names.length === 0) {
      throw misuse('show', '--after is about the peers of one tunnel: name it');
    }
  }

  #most(): number {
    return this.#json || this.#context.rows() === undefined ? Infinity : ON_TERMINAL;
  }

  /** A line a peer. */
  async list(entries: readonly RunEntry[]): Promise<ExitCode> {
    const tunnels = await this.#survey(entries);
    if (this.#json) return this.#tellJson(tunnels);
    for (const [place, tunnel] of tunnels.entries()) {
      if (place > 0) this.#context.stdout('\n');
      if (tunnel.daemon !== 'answers') this.#tell(formatTunnel(tunnel, this.#now, this.#paint));
      else if (!(await this.#tellLines(tunnel, this.#headOf(tunnel)))) break;
    }
    if (tunnels.length === 0) this.#context.stderr(NO_TUNNELS);
    return this.#exit();
  }

  #headOf(tunnel: AnsweringTunnel): string {
    const lines = [titleOf(tunnel, this.#paint), ...troubleLines(tunnel, this.#paint)];
    return lines.map((line) => `${line}\n`).join('');
  }

  /** All of one; of several peers a line each. */
  async whole(entry: RunEntry): Promise<ExitCode> {
    const tunnels = await this.#survey([entry]);
    if (this.#json) return this.#tellJson(tunnels);
    for (const tunnel of tunnels) {
      if (tunnel.daemon !== 'answers' || tunnel.peerCount <= 1) {
        this.#tell(formatTunnel(tunnel, this.#now, this.#paint));
      } else await this.#tellLines(tunnel, formatTunnelAlone(tunnel, this.#now, this.#paint));
    }
    return this.#exit();
  }

  async #survey(entries: readonly RunEntry[]): Promise<readonly Tunnel[]> {
    const howMany = (): number => Math.min(this.#limit, AT_FIRST);
    const tunnels = await surveyTunnels(entries, this.#daemons, howMany, this.#after);
    this.#complete = tunnels.every(({ daemon }) => daemon === 'answers');
    return tunnels;
  }

  /** Whether anybody still reads. */
  async #tellLines(tunnel: AnsweringTunnel, head: string): Promise<boolean> {
    const table = new PeerTable({ now: this.#now, paint: this.#paint });
    const { device, peers, peerCount } = tunnel;
    this.#tell(head);
    this.#tellAll(table.add(peers));
    let told = peers.length;
    for await (const page of this.#rest(tunnel)) {
      this.#tellAll(table.add(page));
      told += page.length;
      if (!(await this.#context.flushed())) return false;
    }
    const untold = this.#after === undefined ? peerCount - told : 0;
    if (untold > 0 && told >= this.#limit) {
      const how = `show ${device} --limit N, --after PEER`;
      this.#tell(`  ${this.#paint.faint(`and ${untold} more: ${how}`)}\n`);
    }
    return true;
  }

  async #tellJson(tunnels: readonly Tunnel[]): Promise<ExitCode> {
    const more = (tunnel: Tunnel) =>
      tunnel.daemon === 'answers' && tunnel.peers.length > 0 ? this.#rest(tunnel) : undefined;
    for await (const piece of tunnelsJsonInPieces(tunnels, more)) {
      this.#tell(piece);
      if (!(await this.#context.flushed())) break;
    }
    return this.#exit();
  }

  /** Pages of the peers behind those that were asked for at first. */
  async *#rest({ device, peers }: AnsweringTunnel): AsyncGenerator<readonly PeerStatus[]> {
    let left = this.#limit - peers.length;
    const entry = this.#daemons.runs.find(device);
    if (entry === undefined || left <= 0 || peers.length < AT_FIRST) return;
    const pages = peerPages(entry, this.#daemons, peers.at(-1)?.id);
    while (left > 0) {
      const { done, value } = await pages.next();
      if (done === true) {
        if (value === undefined) return;
        this.#complete = false;
        this.#context.stderr(`${device}: not all peers are told: ${printable(value.why)}\n`);
        return;
      }
      yield value.slice(0, left);
      left -= value.length;
    }
  }

  #tellAll(lines: readonly string[]): void {
    this.#tell(lines.map((line) => `${line}\n`).join(''));
  }

  #tell(text: string): void {
    this.#context.stdout(text);
  }

  #exit(): ExitCode {
    return this.#complete ? EXIT.ok : EXIT.generic;
  }
}
