/** A line a peer: what `watch` shows of a tunnel. */
import type { AnsweringTunnel, Tunnel } from '../app/management/survey.ts';
import { formatEndpoint } from '../core/addr.ts';
import type { PeerStatus } from '../ports/control.ts';
import { formatBytes, formatSpan } from './format-show.ts';
import { printable } from './print-error.ts';

/** Bytes a second from and to a peer. */
export type Rate = { readonly received: number; readonly sent: number };

const HEAD = [
  'PEER',
  'STATE',
  'ENDPOINT',
  'HEARD',
  'RECEIVED',
  'SENT',
  'IN',
  'OUT',
  'MTU',
] as const;

/** A tunnel, and of its peers `most` lines at most; `rateOf` tells what passes now, where that is known. */
export function formatLines(
  tunnel: Tunnel,
  {
    now,
    most,
    rateOf,
  }: {
    readonly now: number;
    readonly most: number;
    readonly rateOf: (peer: PeerStatus) => Rate | undefined;
  },
): string {
  const title = `${tunnel.device} (${tunnel.name}): ${tunnel.role}, ${tunnel.plane}`;
  if (tunnel.daemon !== 'answers') return `${printable(`${title}: ${tunnel.why}`)}\n`;
  const shown = tunnel.peers.slice(0, most);
  const rows = shown.map((peer) => cellsOf(peer, rateOf(peer), now));
  const untold = tunnel.peers.length - shown.length;
  const lines = [
    `${title}, ${tunnel.establishedCount} of ${tunnel.peerCount} established`,
    ...aligned([HEAD, ...rows]).map((line) => `  ${line}`),
    ...(untold > 0 ? [`  and ${untold} more`] : []),
    ...troublesOf(tunnel),
  ];
  return lines.map((line) => `${printable(line)}\n`).join('');
}

function cellsOf(peer: PeerStatus, rate: Rate | undefined, now: number): readonly string[] {
  const { id, phase, path, lastHeardAt, traffic, mtu } = peer;
  const heard = lastHeardAt && formatSpan(Math.max(0, Math.round((now - lastHeardAt) / 1000)));
  return [
    id,
    phase,
    path ? formatEndpoint(path.remote) : (peer.remote ?? '-'),
    heard ? `${heard} ago` : '-',
    traffic ? formatBytes(traffic.rxBytes) : '-',
    traffic ? formatBytes(traffic.txBytes) : '-',
    rate ? `${formatBytes(rate.received)}/s` : '-',
    rate ? `${formatBytes(rate.sent)}/s` : '-',
    mtu === undefined ? '-' : String(mtu),
  ];
}

function troublesOf({ troubles, peers }: AnsweringTunnel): readonly string[] {
  // Those of a sole peer are the tunnel's.
  const ofPeers = peers.length > 1 ? peers.flatMap(({ troubles: theirs }) => theirs) : [];
  return [...new Set([...troubles, ...ofPeers].map(({ words }) => `  trouble: ${words}`))];
}

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const [head = []] = rows;
  const widths = head.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  return rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
