import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  ALERTS,
  formatAlerts,
  formatDashboard,
  PANELS,
} from '../../../src/app/management/metrics/dashboard.ts';
import { replaceMetricsTable } from '../../../src/app/management/metrics/page.ts';
import { METRICS, type Scene } from '../../../src/app/management/metrics/table.ts';
import { formatFor, formatMetrics } from '../../../src/app/management/metrics/text.ts';
import type { AnsweringTunnel, RecordedTunnel } from '../../../src/app/management/survey.ts';
import type { PeerStatus } from '../../../src/ports/control.ts';
import { ip } from '../../rig/addresses.ts';

const read = (name: string): string =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

const PEER = {
  ...{ id: 'laptop', phase: 'established', mtu: 1472, troubles: [], requestsAccepted: 2 },
  path: { local: { ip: ip('192.0.2.1'), port: 10 }, remote: { ip: ip('2001:db8::2'), port: 20 } },
  traffic: { rxBytes: 10, rxPackets: 1, txBytes: 20, txPackets: 2 },
  ...{ authenticatedAt: 1500, lastHeardAt: 2500, repliesVerified: 0 },
  session: { attestation: { injected: { bytes: 30 }, lost: { bytes: 40 } } },
} as unknown as PeerStatus;
const STRANGER = {
  ...{ id: 'other', phase: 'listening', troubles: [], requestsAccepted: 0, repliesVerified: 0 },
} as unknown as PeerStatus;
const SERVER = {
  ...{ daemon: 'answers', device: 'ipipou0', name: 'ho"me\\', role: 'server', plane: 'bpf' },
  ...{ since: 1000, mtu: 1472, peerCount: 2, establishedCount: 1, troubles: [] },
  ...{ refused: { signature: 3 }, refusedBelow: { stranger: 4 }, peers: [PEER, STRANGER] },
} as unknown as AnsweringTunnel;
const DEAD = {
  ...{ daemon: 'dead', device: 'ipipou1', name: 'away', role: 'client', plane: 'fou' },
} as unknown as RecordedTunnel;
const SCENE: Scene = { version: '1.2.3', tunnels: [SERVER, DEAD] };

describe('metrics', () => {
  test('are all there, one of each peer, and nothing of a daemon that does not answer', async () => {
    const text = formatMetrics(SCENE, { format: 'prometheus', perPeer: true });
    await expect(text).toMatchFileSnapshot('../../fixtures/metrics.txt');
    for (const { name } of METRICS) expect(text).toContain(`# TYPE ${name} `);
    expect(text).not.toMatch(/ipipou1.*peer/);
  });

  test('as OpenMetrics have an end, and counters named by their family', () => {
    const text = formatMetrics(SCENE, { format: 'openmetrics', perPeer: true });
    expect(text).toMatch(/# TYPE ipipou_refused_packets counter\nipipou_refused_packets_total\{/);
    expect(text).toMatch(/\n# EOF\n$/);
  });

  test('of single peers can be left out', () => {
    const text = formatMetrics(SCENE, { format: 'prometheus', perPeer: false });
    expect(text).not.toContain('laptop');
    expect(text).toContain('ipipou_peers{device="ipipou0",state="established"} 1');
  });

  test.each([
    [undefined, 'prometheus'],
    ['text/plain', 'prometheus'],
    ['application/openmetrics-text;version=1.0.0,text/plain;q=0.5', 'openmetrics'],
  ] as const)('are told to who accepts %j as %s', (accept, format) => {
    expect(formatFor(accept)).toBe(format);
  });
});

describe('what is made of the table (else: npm run docs)', () => {
  test('is what the docs have', () => {
    expect(replaceMetricsTable(read('METRICS.md'))).toBe(read('METRICS.md'));
    expect(formatDashboard()).toBe(read('grafana-dashboard.json'));
    expect(formatAlerts()).toBe(read('alerts.yml'));
  });

  test('asks for metrics that there are, and for every one', () => {
    const names = new Set(METRICS.map(({ name }) => name));
    const expressions = [
      ...PANELS.flatMap(({ queries }) => queries.map(({ expression }) => expression)),
      ...ALERTS.map(({ value }) => value),
    ].join(' ');
    const asked = new Set(expressions.match(/ipipou_[a-z_]+/g));
    expect([...asked].filter((name) => !names.has(name))).toEqual([]);
  });
});
