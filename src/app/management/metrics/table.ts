/**
 * Every metric, once: what is served, docs/METRICS.md, the dashboard and the tests are made from this table.
 * Names and units follow the Prometheus naming rules. What changes as a peer moves is a label of
 * `ipipou_peer_info` alone, so that no other series begins anew.
 */
import { formatEndpoint } from '../../../core/addr.ts';
import type { PeerStatus, TrafficCounts } from '../../../ports/control.ts';
import type { AnsweringTunnel, Tunnel } from '../survey.ts';

export type Labels = Readonly<Record<string, string>>;
export type Sample = { readonly labels: Labels; readonly value: number };

export type Metric = {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  /** Label names, for the manual. */
  readonly labels: readonly string[];
  readonly samples: (of: Scene) => readonly Sample[];
};

/** What the metrics are of. */
export type Scene = {
  readonly version: string;
  readonly tunnels: readonly Tunnel[];
};

const SECOND = 1000;

export const METRICS: readonly Metric[] = [
  {
    name: 'ipipou_build_info',
    type: 'gauge',
    help: 'The version of ipipou that tells; always 1.',
    labels: ['version'],
    samples: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  {
    name: 'ipipou_tunnel_up',
    type: 'gauge',
    help: 'Whether the daemon of a tunnel answers.',
    labels: ['device', 'name', 'role', 'plane'],
    samples: ({ tunnels }) =>
      tunnels.map(({ device, name, role, plane, daemon }) => ({
        labels: { device, name, role, plane },
        value: daemon === 'answers' ? 1 : 0,
      })),
  },
  ofTunnel(
    'ipipou_tunnel_start_timestamp_seconds',
    'gauge',
    'When its daemon was started, unix time.',
    {
      value: ({ since }) => since / SECOND,
    },
  ),
  ofTunnel('ipipou_tunnel_mtu_bytes', 'gauge', 'Largest inner packet of its device.', {
    value: ({ mtu }) => mtu,
  }),
  ofTunnel('ipipou_troubles', 'gauge', 'How many things are wrong now though the tunnel runs.', {
    value: ({ troubles }) => troubles.length,
  }),
  {
    name: 'ipipou_peers',
    type: 'gauge',
    help: 'Peers of the config by state: established, or waiting for their proof.',
    labels: ['device', 'state'],
    samples: ({ tunnels }) =>
      answering(tunnels).flatMap(({ device, peerCount, establishedCount }) => [
        { labels: { device, state: 'established' }, value: establishedCount },
        { labels: { device, state: 'waiting' }, value: peerCount - establishedCount },
      ]),
  },
  {
    name: 'ipipou_refused_packets_total',
    type: 'counter',
    help: 'Packets refused, by reason: by the daemon, or by the data plane before the daemon saw them.',
    labels: ['device', 'by', 'reason'],
    samples: ({ tunnels }) =>
      answering(tunnels).flatMap(({ device, refused, refusedBelow }) => [
        ...byReason({ device, by: 'daemon' }, refused),
        ...byReason({ device, by: 'plane' }, refusedBelow),
      ]),
  },
  {
    name: 'ipipou_peer_info',
    type: 'gauge',
    help: 'Where a peer is; always 1.',
    labels: ['device', 'peer', 'endpoint', 'plane'],
    samples: ({ tunnels }) =>
      peersOf(tunnels).flatMap(({ tunnel: { device, plane }, peer: { id, path } }) =>
        path === undefined
          ? []
          : [
              {
                labels: { device, peer: id, endpoint: formatEndpoint(path.remote), plane },
                value: 1,
              },
            ],
      ),
  },
  ofPeer('ipipou_peer_established', 'gauge', 'Whether a peer has proved itself and is carried.', {
    value: ({ phase }) => (phase === 'established' ? 1 : 0),
  }),
  traffic('ipipou_peer_receive_bytes_total', 'Inner bytes from a peer.', 'rxBytes'),
  traffic('ipipou_peer_receive_packets_total', 'Inner packets from a peer.', 'rxPackets'),
  traffic('ipipou_peer_transmit_bytes_total', 'Inner bytes to a peer.', 'txBytes'),
  traffic('ipipou_peer_transmit_packets_total', 'Inner packets to a peer.', 'txPackets'),
  ofPeer(
    'ipipou_peer_last_authentication_timestamp_seconds',
    'gauge',
    'When a peer proved itself last, unix time.',
    { value: ({ authenticatedAt }) => authenticatedAt && authenticatedAt / SECOND },
  ),
  ofPeer(
    'ipipou_peer_last_heard_timestamp_seconds',
    'gauge',
    'When something was heard of a peer last, unix time.',
    { value: ({ lastHeardAt }) => lastHeardAt && lastHeardAt / SECOND },
  ),
  ofPeer('ipipou_peer_path_mtu_bytes', 'gauge', 'Largest inner packet on the way to a peer.', {
    value: ({ mtu }) => mtu,
  }),
  ofPeer(
    'ipipou_peer_proofs_total',
    'counter',
    'Proofs of a peer: requests or replies that were authentic.',
    {
      value: ({ requestsAccepted, repliesVerified }) => requestsAccepted + repliesVerified,
    },
  ),
  ofPeer(
    'ipipou_peer_injected_bytes_total',
    'counter',
    'Inner bytes that came from a peer beyond what it says that it has sent.',
    { value: ({ session }) => session?.attestation?.injected.bytes },
  ),
  ofPeer(
    'ipipou_peer_lost_bytes',
    'gauge',
    'Inner bytes that a peer says that it has sent, less those that came.',
    { value: ({ session }) => session?.attestation?.lost.bytes },
  ),
  ofPeer('ipipou_peer_troubles', 'gauge', "How many things are wrong with a peer's session now.", {
    value: ({ troubles }) => troubles.length,
  }),
];

/** The metrics that are of single peers: as many series as there are peers. */
export const PEER_METRICS: ReadonlySet<string> = new Set(
  METRICS.filter(({ labels }) => labels.includes('peer')).map(({ name }) => name),
);

/** One value a tunnel whose daemon answers. */
function ofTunnel(
  name: string,
  type: Metric['type'],
  help: string,
  { value }: { readonly value: (tunnel: AnsweringTunnel) => number },
): Metric {
  const samples = ({ tunnels }: Scene): readonly Sample[] =>
    answering(tunnels).map((tunnel) => ({
      labels: { device: tunnel.device },
      value: value(tunnel),
    }));
  return { name, type, help, labels: ['device'], samples };
}

/** One value a peer, but for peers that have none. */
function ofPeer(
  name: string,
  type: Metric['type'],
  help: string,
  { value }: { readonly value: (peer: PeerStatus) => number | undefined },
): Metric {
  const samples = ({ tunnels }: Scene): readonly Sample[] =>
    peersOf(tunnels).flatMap(({ tunnel: { device }, peer }) => {
      const found = value(peer);
      return found === undefined ? [] : [{ labels: { device, peer: peer.id }, value: found }];
    });
  return { name, type, help, labels: ['device', 'peer'], samples };
}

function traffic(name: string, help: string, what: keyof TrafficCounts): Metric {
  return ofPeer(name, 'counter', help, { value: ({ traffic: counts }) => counts?.[what] });
}

function byReason(labels: Labels, counts: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(counts).map(([reason, value]) => ({
    labels: { ...labels, reason },
    value,
  }));
}

function answering(tunnels: readonly Tunnel[]): readonly AnsweringTunnel[] {
  return tunnels.filter((tunnel) => tunnel.daemon === 'answers');
}

function peersOf(
  tunnels: readonly Tunnel[],
): readonly { readonly tunnel: AnsweringTunnel; readonly peer: PeerStatus }[] {
  return answering(tunnels).flatMap((tunnel) => tunnel.peers.map((peer) => ({ tunnel, peer })));
}
