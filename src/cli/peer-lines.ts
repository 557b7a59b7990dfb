/** A line a peer: what `show` and `watch` tell of a tunnel. */
import type { AnsweringTunnel } from '../app/management/survey.ts';
import { formatEndpoint } from '../core/addr.ts';
import type { Rate } from '../app/management/rates.ts';
import type { PeerStatus } from '../ports/control.ts';
import { formatBytes, formatSpan } from './format-show.ts';
import { PLAIN, type Paint } from './paint.ts';
import { printable } from './print-error.ts';

type About = {
  /** Unix time in milliseconds. */
  readonly now: number;
  /** What passes now, where that is known. */
  readonly rateOf?: (peer: PeerStatus) => Rate | undefined;
  readonly paint?: Paint;
};

type Column = {
  readonly title: string;
  /** Undefined: there is nothing to say. */
  readonly cell: (peer: PeerStatus, about: About) => string | undefined;
  readonly dye?: (peer: PeerStatus) => keyof Paint;
  /** It is left out where the first peers say nothing of it. */
  readonly optional?: true;
};

const ALWAYS: readonly Column[] = [
  { title: 'PEER', cell: ({ id }) => id },
  {
    title: 'STATE',
    cell: ({ phase, invitedUntil }) => (invitedUntil === undefined ? phase : 'invited'),
    dye: ({ phase }) => (phase === 'established' ? 'good' : 'waiting'),
  },
  {
    title: 'ENDPOINT',
    cell: ({ path, remote }) => (path ? formatEndpoint(path.remote) : remote),
  },
  {
    title: 'HEARD',
    cell: ({ lastHeardAt }, { now }) => {
      if (!lastHeardAt) return undefined;
      return `${formatSpan(Math.max(0, Math.round((now - lastHeardAt) / 1000)))} ago`;
    },
  },
  { title: 'RECEIVED', cell: ({ traffic }) => traffic && formatBytes(traffic.rxBytes) },
  { title: 'SENT', cell: ({ traffic }) => traffic && formatBytes(traffic.txBytes) },
  {
    title: 'IN',
    cell: (peer, { rateOf }) => perSecond(rateOf?.(peer)?.received),
    optional: true,
  },
  { title: 'OUT', cell: (peer, { rateOf }) => perSecond(rateOf?.(peer)?.sent), optional: true },
  { title: 'MTU', cell: ({ mtu }) => (mtu === undefined ? undefined : String(mtu)) },
  {
    title: 'SESSION',
    cell: ({ session }) => (session === undefined ? undefined : `v${session.version}`),
    optional: true,
  },
  { title: 'INTEGRITY', cell: ({ session }) => session?.integrity, optional: true },
  {
    title: 'TROUBLE',
    cell: ({ troubles }) =>
      troubles.length === 0 ? undefined : troubles.map(({ words }) => words).join('; '),
    dye: ({ troubles }) => (troubles.length === 0 ? 'faint' : 'bad'),
  },
];

function perSecond(bytes: number | undefined): string | undefined {
  return bytes === undefined ? undefined : `${formatBytes(bytes)}/s`;
}

/** A table whose lines come in portions; its columns grow as wider words come, and never narrow. */
export class PeerTable {
  readonly #about: About;
  readonly #paint: Paint;
  #columns: readonly Column[] | undefined;
  readonly #widths = new Map<Column, number>();

  constructor(about: About) {
    this.#about = about;
    this.#paint = about.paint ?? PLAIN;
  }

  /** Lines of the next peers, the head before the first ones; none of no peers. */
  add(peers: readonly PeerStatus[]): readonly string[] {
    if (peers.length === 0) return [];
    const isFirst = this.#columns === undefined;
    const columns = (this.#columns ??= ALWAYS.filter((column) => this.#isOf(column, peers)));
    const rows = peers.map((peer) => columns.map((column) => this.#cell(column, peer) ?? '-'));
    for (const [place, column] of columns.entries()) {
      const longest = Math.max(...rows.map((cells) => cells[place]?.length ?? 0));
      const before = this.#widths.get(column) ?? column.title.length;
      this.#widths.set(column, Math.max(before, longest));
    }
    const head = isFirst
      ? [
          this.#line(
            columns,
            columns.map(({ title }) => title),
          ),
        ]
      : [];
    return [...head, ...rows.map((cells, row) => this.#line(columns, cells, peers[row]))];
  }

  #isOf(column: Column, peers: readonly PeerStatus[]): boolean {
    return !column.optional || peers.some((peer) => this.#cell(column, peer) !== undefined);
  }

  #cell(column: Column, peer: PeerStatus): string | undefined {
    const text = column.cell(peer, this.#about);
    return text === undefined ? undefined : printable(text);
  }

  /** The head where no peer is given. */
  #line(columns: readonly Column[], cells: readonly string[], peer?: PeerStatus): string {
    const last = cells.length - 1;
    const padded = cells.map((cell, place) => {
      const column = columns[place];
      const width = column && place < last ? (this.#widths.get(column) ?? 0) : 0;
      const dye = peer ? column?.dye?.(peer) : 'faint';
      const painted = dye === undefined ? cell : this.#paint[dye](cell);
      return painted + ' '.repeat(Math.max(0, width - cell.length));
    });
    return `  ${padded.join('  ')}`;
  }
}

/** What is wrong with a tunnel; what is wrong with its peers stands with them. */
export function troubleLines(
  { troubles, peers }: Pick<AnsweringTunnel, 'troubles' | 'peers'>,
  paint: Paint = PLAIN,
): readonly string[] {
  const ofPeers = new Set(
    peers.flatMap(({ troubles: theirs }) => theirs.map(({ words }) => words)),
  );
  const own = troubles.filter(({ words }) => !ofPeers.has(words));
  return [...new Set(own.map(({ words }) => words))].map(
    (words) => `  ${paint.bad('trouble')}: ${printable(words)}`,
  );
}
