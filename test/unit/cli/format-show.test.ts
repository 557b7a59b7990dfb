import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  formatBytes,
  formatPeer,
  formatSpan,
  formatTime,
  formatTunnel,
} from '../../../src/cli/format-show.ts';
import { peersJson, tunnelsJson } from '../../../src/app/management/json.ts';
import type { AnsweringTunnel, RecordedTunnel } from '../../../src/app/management/survey.ts';
import { DEFAULT_PEER, type PeerId } from '../../../src/core/config/tunnel-config.ts';
import type { PeerStatus } from '../../../src/ports/control.ts';
import type { SecureStatus } from '../../../src/core/session/secure/state.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import { pathTo } from '../app/fakes.ts';
import { inner } from '../../rig/addresses.ts';
import { expectBySchema } from '../../rig/json-schema.ts';

const NOW = Date.UTC(2026, 10, 23, 1, 0, 0);

const LIVING: AnsweringTunnel = {
  daemon: 'answers',
  name: 'home',
  role: 'server',
  pid: 42,
  since: millis(NOW - 3_600_000),
  plane: 'tun',
  planeReason: 'fou lacks kernel module fou; this one has all it needs',
  device: 'ipipou0',
  mtu: 1472,
  innerIps: [inner('172.28.0.0')],
  peerCount: 1,
  establishedCount: 1,
  peer: DEFAULT_PEER,
  innerPeerIps: [inner('172.28.0.1')],
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
  refusedBelow: { guard: 3, 'queue-full': 1, other: 0 },
  authPacketsSent: 0,
  repliesVerified: 0,
  requestsAccepted: 7,
  troubles: [{ kind: 'not-sent', purpose: 'reply', error: 'EPERM', words: 'cannot send' }],
  configPath: '/etc/ipipou/home.conf',
  log: 'journal',
  peers: [],
};

const DEAD: RecordedTunnel = {
  ...{ daemon: 'dead', why: 'its daemon (process 42) is dead', hint: 'ipipou up home' },
  ...{ name: 'home', role: 'server', device: 'ipipou0', configPath: '/etc/ipipou/home.conf' },
  ...{ plane: 'fou', planeReason: 'asked for by the config', pid: 42, processState: undefined },
  since: millis(NOW - 3_600_000),
  log: '/var/log/ipipou/ipipou0.log',
  innerIps: [inner('172.28.0.0')],
  innerPeerIps: [inner('172.28.0.1')],
  path: pathTo(1),
  forwarding: true,
  traffic: { rxBytes: 2048, rxPackets: 2, txBytes: 5, txPackets: 1 },
};

const PEER: PeerStatus = {
  id: 'laptop' as PeerId,
  innerIps: [inner('172.28.0.2')],
  allowedIps: ['172.28.0.2/32', '10.1.0.0/16'],
  remote: undefined,
  localAlt: undefined,
  mtu: 1472,
  phase: 'established',
  path: pathTo(1),
  authenticatedAt: millis(NOW - 27_000),
  lastHeardAt: millis(NOW - 1000),
  rememberedUntil: undefined,
  keepalive: seconds(25),
  traffic: { rxBytes: 2048, rxPackets: 2, txBytes: 5, txPackets: 1 },
  refused: { replay: 1, 'inner-source': 2 },
  authPacketsSent: 0,
  repliesVerified: 0,
  requestsAccepted: 2,
  troubles: [],
};

const ABSENT: PeerStatus = {
  ...PEER,
  id: 'phone' as PeerId,
  innerIps: [inner('172.28.0.3')],
  allowedIps: Array.from({ length: 12 }, (_, index) => `10.2.${index}.0/24`),
  remote: 'phone.example',
  mtu: undefined,
  phase: 'listening',
  path: undefined,
  authenticatedAt: undefined,
  lastHeardAt: undefined,
  keepalive: seconds(0),
  traffic: undefined,
  refused: {},
};

/** A tunnel of several peers, of which these are told. */
const MANY: AnsweringTunnel = {
  ...LIVING,
  peerCount: 5,
  establishedCount: 1,
  peer: undefined,
  innerPeerIps: undefined,
  path: undefined,
  traffic: undefined,
  keepalive: undefined,
  refused: { hint: 3 },
  troubles: [],
  peers: [PEER, ABSENT],
};

describe('show', () => {
  test('of a running tunnel', () => {
    expect(formatTunnel(LIVING, NOW)).toBe(`ipipou0 (home): server, established
  plane           tun (fou lacks kernel module fou; this one has all it needs)
  inner           172.28.0.0 to 172.28.0.1, MTU 1472
  local           192.0.2.1:10000
  remote          198.51.100.1:20000
  authenticated   2026-11-23 00:59:33 UTC (27 s ago)
  last heard      2026-11-23 00:59:59 UTC (1 s ago)
  remembered      until 2026-11-23 02:00:00 UTC (in 1 h)
  received        2.0 KiB in 2 packets
  sent            5 B in 1 packet
  refused         3 signature, 4 below user space (3 guard, 1 queue-full)
  authentication  7 requests accepted
  keepalive       none
  daemon          process 42, since 2026-11-23 00:00:00 UTC (1 h ago)
  config          /etc/ipipou/home.conf
  log             the journal (journalctl _PID=42)
  trouble         cannot send
`);
  });

  test('of one that knows nobody yet has no times', () => {
    const text = formatTunnel(
      { ...LIVING, phase: 'listening', path: undefined, authenticatedAt: undefined },
      NOW,
    );
    expect(text).toMatch(/local +port 10000\n +remote +not known yet/);
    expect(text).not.toMatch(/ {2}authenticated {2}|remembered/);
  });

  test('of one that never forgets', () => {
    expect(formatTunnel({ ...LIVING, rememberedUntil: undefined }, NOW)).toMatch(
      /remembered +forever/,
    );
  });

  test('of several peers tells of each that it is given', () => {
    expect(formatTunnel(MANY, NOW)).toBe(`ipipou0 (home): server, 1 of 5 peers established
  plane    tun (fou lacks kernel module fou; this one has all it needs)
  inner    172.28.0.0, MTU 1472
  local    port 10000
  refused  3 hint, 4 below user space (3 guard, 1 queue-full)
  daemon   process 42, since 2026-11-23 00:00:00 UTC (1 h ago)
  config   /etc/ipipou/home.conf
  log      the journal (journalctl _PID=42)

  peer laptop: established
    inner           172.28.0.2, MTU 1472
    allowed         172.28.0.2/32, 10.1.0.0/16
    local           192.0.2.1:10000
    remote          198.51.100.1:20000
    authenticated   2026-11-23 00:59:33 UTC (27 s ago)
    last heard      2026-11-23 00:59:59 UTC (1 s ago)
    remembered      forever
    received        2.0 KiB in 2 packets
    sent            5 B in 1 packet
    refused         1 replay, 2 inner-source
    authentication  2 requests accepted
    keepalive       every 25 s

  peer phone: listening
    inner           172.28.0.3
    allowed         ${ABSENT.allowedIps.slice(0, 8).toString().replaceAll(',', ', ')}, and 4 more
    remote          phone.example
    refused         nothing
    authentication  2 requests accepted
    keepalive       none
`);
  });

  test('of a client says whom it asks, and how often', () => {
    const client: AnsweringTunnel = {
      ...LIVING,
      ...{ role: 'client', phase: 'authenticating', name: 'home', planeReason: undefined },
      ...{ remote: 'home.example:10000', path: undefined, traffic: undefined },
      ...{ authenticatedAt: undefined, lastHeardAt: undefined, rememberedUntil: undefined },
      ...{ refused: {}, refusedBelow: {}, authPacketsSent: 3, keepalive: seconds(27) },
      troubles: [{ kind: 'no-key', words: 'home.example does not answer' }],
    };
    expect(formatTunnel(client, NOW)).toBe(`ipipou0 (home): client, authenticating
  plane           tun
  inner           172.28.0.0 to 172.28.0.1, MTU 1472
  local           port 10000
  remote          home.example:10000
  refused         nothing
  authentication  3 requests sent, 0 replies verified
  keepalive       every 27 s
  daemon          process 42, since 2026-11-23 00:00:00 UTC (1 h ago)
  config          /etc/ipipou/home.conf
  log             the journal (journalctl _PID=42)
  trouble         home.example does not answer
`);
  });

  test('of a client counts what was sent to each server', () => {
    const text = formatPeer({ ...PEER, authPacketsSent: 3, repliesVerified: 2 }, 'client', NOW);
    expect(text).toMatch(/^peer laptop: established\n/);
    expect(text).toContain('authentication  3 requests sent, 2 replies verified');
    expect(text).not.toContain('remembered');
  });

  test('tells what the peer has sent, against what came', () => {
    const attestation = {
      counting: 'exact',
      ...{ at: millis(NOW - 5000), injectedAt: undefined },
      ...{ lost: { packets: 2, bytes: 80 }, injected: { packets: 0, bytes: 0 } },
    } as const;
    const session = {
      version: 2,
      integrity: 'none',
      since: undefined,
      observed: undefined,
    } as const;
    const textOf = (of: Partial<SecureStatus['attestation']>): string =>
      formatPeer(
        { ...PEER, session: { ...session, attestation: { ...attestation, ...of } } },
        'server',
        NOW,
      );
    expect(textOf({})).toContain(
      'attested        no more came than was sent; 80 B in 2 packets lost; told',
    );
    const injected = { packets: 9, bytes: 2048 };
    expect(textOf({ injected, injectedAt: millis(NOW) })).toContain(
      'attested        2.0 KiB in 9 packets MORE CAME THAN WAS SENT, seen last',
    );
    expect(textOf({ counting: 'merged' })).toContain('80 B lost');
  });

  test('of one peer that has a name is as of several', () => {
    const refused = { ...PEER.refused, 'unknown-peer': 7 };
    const text = formatTunnel(
      { ...MANY, peerCount: 1, peer: PEER.id, refused, peers: [PEER] },
      NOW,
    );
    expect(text).toMatch(/^ipipou0 \(home\): server, 1 of 1 peer established\n/);
    expect(text).toMatch(
      /^ {2}refused {2}7 unknown-peer, 4 below user space \(3 guard, 1 queue-full\)$/m,
    );
    expect(text).toMatch(/^ {2}peer laptop: established$/m);
    expect(text).not.toContain('more');
  });

  test('of a daemon that is dead', () => {
    expect(formatTunnel(DEAD, NOW)).toBe(`ipipou0 (home): server, daemon dead
  state     its daemon (process 42) is dead
  packets   the kernel still forwards; nobody answers authentication
  plane     fou (asked for by the config)
  inner     172.28.0.0 to 172.28.0.1
  remote    198.51.100.1:20000
  received  2.0 KiB in 2 packets
  sent      5 B in 1 packet
  config    /etc/ipipou/home.conf
  log       /var/log/ipipou/ipipou0.log
  hint      ipipou up home
`);
  });

  test('of a daemon that is stopped', () => {
    const tunnel: RecordedTunnel = {
      ...DEAD,
      ...{ daemon: 'stopped', processState: 'T', forwarding: false, traffic: undefined },
      ...{ why: 'its daemon (process 42) is stopped (state T)', hint: 'kill -CONT 42' },
    };
    expect(formatTunnel(tunnel, NOW)).toBe(`ipipou0 (home): server, daemon stopped
  state    its daemon (process 42) is stopped (state T)
  packets  nothing is forwarded
  plane    fou (asked for by the config)
  inner    172.28.0.0 to 172.28.0.1
  remote   198.51.100.1:20000
  since    2026-11-23 00:00:00 UTC (1 h ago)
  config   /etc/ipipou/home.conf
  log      /var/log/ipipou/ipipou0.log
  hint     kill -CONT 42
`);
  });

  test('of a daemon that is starting, with several peers, of which nothing is known', () => {
    const tunnel: RecordedTunnel = {
      ...DEAD,
      ...{ daemon: 'starting', processState: 'S', forwarding: undefined, traffic: undefined },
      ...{ innerPeerIps: undefined, path: undefined, hint: undefined },
      why: 'its daemon (process 42) is still starting',
    };
    expect(formatTunnel(tunnel, NOW)).toBe(`ipipou0 (home): server, starting
  state   its daemon (process 42) is still starting
  plane   fou (asked for by the config)
  inner   172.28.0.0
  since   2026-11-23 00:00:00 UTC (1 h ago)
  config  /etc/ipipou/home.conf
  log     /var/log/ipipou/ipipou0.log
`);
  });
});

describe('show --json', () => {
  test('has every key of a tunnel and of its peers, whatever is known of them', () => {
    const parsed = JSON.parse(tunnelsJson([{ ...MANY, peers: [PEER, ABSENT] }, DEAD])) as {
      readonly tunnels: readonly Readonly<Record<string, unknown>>[];
    };
    const [living, dead] = parsed.tunnels;
    expect(Object.keys(living ?? {})).toEqual(Object.keys(dead ?? {}));
    expect(parsed).toMatchObject({
      version: 1,
      tunnels: [
        {
          daemon: 'answers',
          why: null,
          keepalive: null,
          path: null,
          peers: [
            {
              id: 'laptop',
              keepalive: 25_000,
              rememberedUntil: null,
              authenticatedAt: NOW - 27_000,
            },
            { id: 'phone', keepalive: 0, traffic: null, mtu: null },
          ],
        },
        { daemon: 'dead', why: 'its daemon (process 42) is dead', mtu: null, peers: null },
      ],
    });
  });

  test('has every key also of a daemon that said nothing of some', () => {
    const { localAlt: _, ...heard } = PEER;
    const parsed: unknown = JSON.parse(peersJson([heard as PeerStatus]));
    expect(parsed).toMatchObject({ version: 1, peers: [{ id: 'laptop', localAlt: null }] });
  });

  test('is as its schema says, whatever is known', () => {
    const session2 = {
      version: 2,
      integrity: 'full',
      since: undefined,
      observed: undefined,
      attestation: {
        counting: 'exact',
        ...{ at: millis(NOW), injectedAt: undefined },
        ...{ lost: { packets: 1, bytes: 40 }, injected: { packets: 0, bytes: 0 } },
      },
    } as const;
    const one = { kind: 'no-key', words: 'a' } as const;
    const counts = { connections: 1, refused: 0, packets: 2, bytes: 3, shadows: false };
    const exposing: PeerStatus = {
      ...{ ...PEER, session: session2, troubles: [one] },
      exposed: [{ peer: PEER.id, service: 'tcp/443', ...counts, leavesOut: [] }],
    };
    const tunnels = [LIVING, { ...MANY, peers: [exposing, ABSENT] }, DEAD];
    expectBySchema('show', tunnelsJson(tunnels));
    expectBySchema('show', tunnelsJson([]));
    expectBySchema('show', peersJson([exposing, ABSENT]));
    const broken = tunnelsJson([LIVING]).replace('"pid": 42', '"pid": "42"');
    expect(() => expectBySchema('show', broken)).toThrow('to deeply equal');
  });

  test('all its keys are described', () => {
    const described = readFileSync('docs/JSON.md', 'utf8');
    const parsed = JSON.parse(tunnelsJson([MANY])) as {
      readonly tunnels: readonly [{ readonly peers: readonly [Readonly<Record<string, unknown>>] }];
    };
    const [tunnel] = parsed.tunnels;
    for (const key of [...Object.keys(tunnel), ...Object.keys(tunnel.peers[0])]) {
      expect(described).toContain(`\`${key}\``);
    }
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
