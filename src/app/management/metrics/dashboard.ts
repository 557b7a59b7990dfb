/** What to look at, and when to be woken: made into a Grafana dashboard and into rules for Prometheus. */

/** Stands in expressions for the span that a rate is taken over. */
export const SPAN = '$__rate_interval';

export type Panel = {
  readonly title: string;
  /** Grafana's name of a unit. */
  readonly unit: string;
  readonly queries: readonly { readonly expression: string; readonly legend: string }[];
};

const perPeer = '{{device}} {{peer}}';

export const PANELS: readonly Panel[] = [
  {
    title: 'Tunnels that answer',
    unit: 'bool_yes_no',
    queries: [{ expression: 'ipipou_tunnel_up', legend: '{{device}} ({{name}}, {{plane}})' }],
  },
  {
    title: 'Peers',
    unit: 'short',
    queries: [
      { expression: 'sum by (device, state) (ipipou_peers)', legend: '{{device}} {{state}}' },
    ],
  },
  {
    title: 'Received',
    unit: 'bps',
    queries: [
      { expression: `8 * rate(ipipou_peer_receive_bytes_total[${SPAN}])`, legend: perPeer },
    ],
  },
  {
    title: 'Sent',
    unit: 'bps',
    queries: [
      { expression: `8 * rate(ipipou_peer_transmit_bytes_total[${SPAN}])`, legend: perPeer },
    ],
  },
  {
    title: 'Packets',
    unit: 'pps',
    queries: [
      {
        expression: `rate(ipipou_peer_receive_packets_total[${SPAN}])`,
        legend: `${perPeer} received`,
      },
      {
        expression: `rate(ipipou_peer_transmit_packets_total[${SPAN}])`,
        legend: `${perPeer} sent`,
      },
    ],
  },
  {
    title: 'Packets refused, by reason',
    unit: 'pps',
    queries: [
      {
        expression: `sum by (device, by, reason) (rate(ipipou_refused_packets_total[${SPAN}]))`,
        legend: '{{device}} {{by}}: {{reason}}',
      },
    ],
  },
  {
    title: 'Since something was heard of a peer',
    unit: 's',
    queries: [{ expression: 'time() - ipipou_peer_last_heard_timestamp_seconds', legend: perPeer }],
  },
  {
    title: 'Largest inner packet on the way',
    unit: 'bytes',
    queries: [{ expression: 'ipipou_peer_path_mtu_bytes', legend: perPeer }],
  },
  {
    title: 'Where peers are',
    unit: 'short',
    queries: [{ expression: 'ipipou_peer_info', legend: `${perPeer} at {{endpoint}}` }],
  },
  {
    title: 'What is wrong',
    unit: 'short',
    queries: [
      { expression: 'ipipou_troubles', legend: '{{device}}' },
      { expression: 'ipipou_peer_troubles', legend: perPeer },
    ],
  },
];

/** An alert: it fires when `value` is as `when` says, for so long. */
export type Alert = {
  readonly name: string;
  readonly value: string;
  readonly when: string;
  readonly for: string;
  readonly severity: 'warning' | 'critical';
  readonly summary: string;
};

export const ALERTS: readonly Alert[] = [
  {
    name: 'IpipouTunnelDown',
    ...{ value: 'ipipou_tunnel_up', when: '== 0', for: '1m', severity: 'critical' },
    summary: 'The daemon of {{ $labels.device }} does not answer: ipipou show {{ $labels.device }}',
  },
  {
    name: 'IpipouServerLost',
    value: 'ipipou_peer_established * on (device) group_left () ipipou_tunnel_up{role="client"}',
    ...{ when: '== 0', for: '2m', severity: 'critical' },
    summary: '{{ $labels.device }} has not reached its server {{ $labels.peer }} for two minutes',
  },
  {
    name: 'IpipouPeerSilent',
    value: '(time() - ipipou_peer_last_heard_timestamp_seconds) * (ipipou_peer_established == 1)',
    ...{ when: '> 300', for: '1m', severity: 'warning' },
    summary: 'Nothing was heard of {{ $labels.peer }} on {{ $labels.device }} for five minutes',
  },
  {
    name: 'IpipouTrouble',
    ...{ value: 'ipipou_troubles', when: '> 0', for: '5m', severity: 'warning' },
    summary: 'Something is wrong with {{ $labels.device }}: ipipou show {{ $labels.device }}',
  },
  {
    name: 'IpipouRefusals',
    value: 'sum by (device, reason) (rate(ipipou_refused_packets_total{by="daemon"}[5m]))',
    ...{ when: '> 1', for: '10m', severity: 'warning' },
    summary: '{{ $labels.device }} refuses packets ({{ $labels.reason }}) all the time',
  },
];

const COLUMNS = 2;
const GRID = { width: 24, height: 8 };

/** A dashboard for Grafana (schema version 39, of Grafana 10 and later), to be imported. */
export function formatDashboard(): string {
  const datasource = { type: 'prometheus', uid: '${DS_PROMETHEUS}' };
  const width = GRID.width / COLUMNS;
  const panels = PANELS.map(({ title, unit, queries }, index) => ({
    id: index + 1,
    type: 'timeseries',
    title,
    datasource,
    gridPos: {
      x: (index % COLUMNS) * width,
      y: Math.floor(index / COLUMNS) * GRID.height,
      w: width,
      h: GRID.height,
    },
    fieldConfig: { defaults: { unit }, overrides: [] },
    targets: queries.map(({ expression, legend }, at) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + at),
      datasource,
      expr: expression,
      legendFormat: legend,
    })),
  }));
  const dashboard = {
    __inputs: [
      { name: 'DS_PROMETHEUS', label: 'Prometheus', type: 'datasource', pluginId: 'prometheus' },
    ],
    title: 'ipipou',
    uid: 'ipipou',
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

/** Rules for Prometheus, as its configuration reads them. */
export function formatAlerts(): string {
  const rules = ALERTS.flatMap(({ name, value, when, for: span, severity, summary }) => [
    `      - alert: ${name}`,
    `        expr: ${quote(`${value} ${when}`)}`,
    `        for: ${span}`,
    `        labels:`,
    `          severity: ${severity}`,
    `        annotations:`,
    `          summary: ${quote(summary)}`,
  ]);
  return `${['groups:', '  - name: ipipou', '    rules:', ...rules].join('\n')}\n`;
}

/** A text in single quotes, as YAML has it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
