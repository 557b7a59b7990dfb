import { describe, expect, test } from 'vitest';
import {
  formatBytes,
  formatDead,
  formatLiving,
  formatSpan,
  formatTime,
  type LivingTunnel,
} from '../../../src/cli/format-show.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import { ip, pathTo } from '../app/fakes.ts';

const NOW = Date.UTC(2026, 10, 23, 1, 0, 0);

const LIVING: LivingTunnel = {
  alive: true,
  name: 'home',
  role: 'server',
  pid: 42,
  since: millis(NOW - 3_600_000),
  plane: 'tun',
  planeReason: 'fou lacks kernel module fou; this one has all it needs',
  device: 'ipipou0',
  mtu: 1472,
  innerIp: ip('172.28.0.0'),
  innerPeerIp: ip('172.28.0.1'),
  localPort: 10000,
  remote: undefined,
  localAlt: undefined,
  phase: 'established',
  path: pathTo(1),
  authenticatedAt: millis(NOW - 27_000),
  lastHeardAt: millis(NOW - 1000),
  rememberedUntil: millis(NOW + 3_600_000),
  keepalive: seconds(0),
  traffic: { rxBytes: 2048, rxPackets: 2, txBytes: 5, txPackets: 1 },
  refused: { signature: 3 },
  refusedBelow: 4,
  authPacketsSent: 0,
  repliesVerified: 0,
  troubles: ['cannot send'],
  configPath: '/etc/ipipou/home.conf',
};

describe('show', () => {
  test('of a running tunnel', () => {
    expect(formatLiving(LIVING, NOW)).toBe(`ipipou0 (home): server, established
  plane           tun (fou lacks kernel module fou; this one has all it needs)
  inner           172.28.0.0 to 172.28.0.1, MTU 1472
  local           192.0.2.1:10000
  remote          198.51.100.1:20000
  authenticated   2026-11-23 00:59:33 UTC (27 s ago)
  last heard      2026-11-23 00:59:59 UTC (1 s ago)
  remembered      until 2026-11-23 02:00:00 UTC (in 1 h)
  received        2.0 KiB in 2 packets
  sent            5 B in 1 packets
  refused         3 signature, 4 below user space
  authentication  0 sent, 0 replies verified
  keepalive       none
  daemon          process 42, since 2026-11-23 00:00:00 UTC (1 h ago)
  config          /etc/ipipou/home.conf
  trouble         cannot send
`);
  });

  test('of one that knows nobody yet has no times', () => {
    const text = formatLiving(
      { ...LIVING, phase: 'listening', path: undefined, authenticatedAt: undefined },
      NOW,
    );
    expect(text).toMatch(/local +port 10000\n +remote +not known yet/);
    expect(text).not.toMatch(/ {2}authenticated {2}|remembered/);
  });

  test('of one that never forgets', () => {
    expect(formatLiving({ ...LIVING, rememberedUntil: undefined }, NOW)).toMatch(
      /remembered +for ever/,
    );
  });

  test.each([
    [true, /the kernel still forwards/],
    [false, /nothing is forwarded/],
  ])('of one whose daemon is dead, forwarding %s', (forwarding, says) => {
    const { name, role, device, plane, planeReason, pid, since, configPath } = LIVING;
    const text = formatDead({
      ...{ name, role, device, plane, planeReason, pid, since, configPath, forwarding },
      alive: false,
      innerIp: LIVING.innerIp,
      innerPeerIp: LIVING.innerPeerIp,
      path: pathTo(1),
      traffic: undefined,
    });
    expect(text).toMatch(/daemon dead/);
    expect(text).toMatch(says);
    expect(text).toMatch(/ipipou up \/etc\/ipipou\/home\.conf .* ipipou down ipipou0/);
  });
});

test.each([
  [0, '0 s'],
  [59, '59 s'],
  [60, '1 min'],
  [61, '1 min 1 s'],
  [3599, '59 min 59 s'],
  [3600, '1 h'],
  [90_000, '1 d 1 h'],
  [86_401, '1 d'],
])('%d seconds are %s', (seconds_, text) => expect(formatSpan(seconds_)).toBe(text));

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1_572_864, '1.5 MiB'],
])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test('times in the future say so', () => {
  expect(formatTime(NOW + 61_000, NOW)).toBe('2026-11-23 01:01:01 UTC (in 1 min 1 s)');
});
