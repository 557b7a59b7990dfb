/** What the page is told: JSON, of bounded size. */
import { formatEndpoint } from '../../core/addr.ts';
import type { PeerStatus, ToldEvent, TrafficCounts } from '../../ports/control.ts';
import type { Tunnel } from '../management/survey.ts';
import type { Sample } from './history.ts';

/** Peers of a page, and troubles of a tunnel that are told. */
export const PAGE_PEERS = 50;
const TROUBLES_MAX = 20;

export type Wanted = {
  /** Of which tunnel the peers and the hour are told; undefined: of the first. */
  readonly device: string | undefined;
  /** What a peer's name, state, endpoint or inner addresses must have in it. */
  readonly filter: string;
  /** From nought. */
  readonly page: number;
};

export type View = {
  readonly at: number;
  readonly tunnels: readonly TunnelView[];
  readonly chosen: ChosenView | undefined;
  readonly events: readonly EventView[];
};

export type TunnelView = {
  readonly device: string;
  readonly name: string;
  readonly role: string;
  readonly plane: string;
  /** In a word; `why` where its daemon does not answer. */
  readonly state: string;
  readonly why: string | undefined;
  readonly peerCount: number | undefined;
  readonly establishedCount: number | undefined;
};

export type ChosenView = {
  readonly device: string;
  readonly since: number;
  readonly mtu: number | undefined;
  readonly innerIps: readonly string[];
  readonly troubles: readonly { readonly peer: string | undefined; readonly words: string }[];
  readonly rates: readonly Sample[];
  /** How many peers there are, and how many of them the filter leaves. */
  readonly total: number;
  readonly matching: number;
  readonly page: number;
  readonly pages: number;
  readonly peers: readonly PeerView[];
};

export type PeerView = {
  readonly id: string;
  readonly phase: string;
  readonly endpoint: string | undefined;
  readonly innerIps: readonly string[];
  readonly heard: number | undefined;
  readonly traffic: TrafficCounts | undefined;
  readonly mtu: number | undefined;
  readonly trouble: string | undefined;
};

export type EventView = Pick<ToldEvent, 'at' | 'level' | 'words'> & {
  readonly device: string;
  readonly peer: string | undefined;
  readonly fields: string;
};

export function viewOf(
  at: number,
  tunnels: readonly Tunnel[],
  events: readonly EventView[],
  ratesOf: (device: string) => readonly Sample[],
  wanted: Wanted,
): View {
  const chosen = tunnels.find(({ device }) => device === wanted.device) ?? tunnels[0];
  return {
    at,
    tunnels: tunnels.map(tunnelView),
    chosen: chosen && chosenView(chosen, ratesOf(chosen.device), wanted),
    events,
  };
}

function tunnelView(tunnel: Tunnel): TunnelView {
  const { device, name, role, plane } = tunnel;
  const common = { device, name, role, plane };
  if (tunnel.daemon !== 'answers') {
    const silent = { peerCount: undefined, establishedCount: undefined };
    return { ...common, ...silent, state: tunnel.daemon, why: tunnel.why };
  }
  const { phase, peerCount, establishedCount } = tunnel;
  return { ...common, peerCount, establishedCount, state: phase, why: undefined };
}

function chosenView(tunnel: Tunnel, rates: readonly Sample[], wanted: Wanted): ChosenView {
  const { device, since, innerIps } = tunnel;
  const answers = tunnel.daemon === 'answers' ? tunnel : undefined;
  const all = answers?.peers ?? [];
  const matching = all.filter((peer) => matches(peer, wanted.filter.toLowerCase()));
  const pages = Math.max(1, Math.ceil(matching.length / PAGE_PEERS));
  const page = Math.min(wanted.page, pages - 1);
  return {
    ...{ device, since, innerIps, rates, page, pages },
    mtu: answers?.mtu,
    troubles: (answers?.troubles ?? [])
      .slice(0, TROUBLES_MAX)
      .map(({ peer, words }) => ({ peer, words })),
    total: all.length,
    matching: matching.length,
    peers: matching.slice(page * PAGE_PEERS, (page + 1) * PAGE_PEERS).map(peerView),
  };
}

function matches({ id, phase, path, innerIps }: PeerStatus, filter: string): boolean {
  const texts = [id, phase, path ? formatEndpoint(path.remote) : '', ...innerIps];
  return texts.some((text) => text.toLowerCase().includes(filter));
}

function peerView({
  id,
  phase,
  path,
  innerIps,
  lastHeardAt,
  traffic,
  mtu,
  troubles,
}: PeerStatus): PeerView {
  return {
    ...{ id, phase, innerIps, traffic, mtu },
    endpoint: path && formatEndpoint(path.remote),
    heard: lastHeardAt,
    trouble: troubles[0]?.words,
  };
}
