import { expect, test } from 'vitest';
import { parseBusy, parseProgram } from '../../../src/bench/cpu.ts';
import { parseSpeed, parseVersion } from '../../../src/bench/facts.ts';
import { parseIperf } from '../../../src/bench/iperf.ts';
import { firstReplyAfter, parsePing } from '../../../src/bench/ping.ts';
import { parseProfile } from '../../../src/bench/profile.ts';

/* Output of programs, as they printed it on Debian 12. */

test('ping', () => {
  const said =
    '5 packets transmitted, 5 received\nrtt min/avg/max/mdev = 0.048/0.058/0.181/0.017 ms';
  expect(parsePing(said)).toEqual({ min: 0.048, avg: 0.058, max: 0.181, mdev: 0.017 });
  expect(parsePing('5 packets transmitted, 0 received, 100% packet loss')).toBeUndefined();
});

test('the first reply of ping -D after a time; errors are no replies', () => {
  const said = [
    'PING 10.77.0.1 (10.77.0.1) 56(84) bytes of data.',
    '[1700000000.100000] From 10.0.0.1 icmp_seq=1 Destination Net Unreachable',
    '[1700000000.200000] 64 bytes from 10.77.0.1: icmp_seq=2 ttl=64 time=0.1 ms',
    '[1700000000.300000] 64 bytes from 10.77.0.1: icmp_seq=3 ttl=64 time=0.1 ms',
  ].join('\n');
  expect(firstReplyAfter(said, 1_700_000_000_000)).toBeCloseTo(1_700_000_000_200, 3);
  expect(firstReplyAfter(said, 1_700_000_000_250)).toBeCloseTo(1_700_000_000_300, 3);
  expect(firstReplyAfter(said, 1_700_000_000_300)).toBeUndefined();
});

test('iperf3', () => {
  const sum = { bytes: 125_000_000, seconds: 1.0005, packets: 10, lost_packets: 2 };
  expect(parseIperf(JSON.stringify({ end: { sum_received: sum } }))).toEqual({
    ...{ bytes: 125_000_000, seconds: 1.0005, packets: 10, lost: 2 },
  });
});

test.each([
  { text: '', says: 'no JSON' },
  { text: '{"error": "the server is busy running a test"}', says: 'busy' },
  { text: '{"end": {}}', says: 'nothing received' },
  { text: '{"end": {"sum_received": {"bytes": 1, "seconds": 0}}}', says: 'nothing received' },
])('iperf3: $says', ({ text, says }) => {
  expect(parseIperf(text)).toContain(says);
});

test('/proc/stat: what was idle, waiting or stolen is not busy', () => {
  expect(parseBusy('cpu  100 20 300 9000 50 7 8 99 0 0\ncpu0 1 2 3\n')).toBeCloseTo(4.35);
  expect(parseBusy('')).toBe(0);
});

test('/proc/PID/stat: the name may hold blanks and brackets', () => {
  const line = '42 (a (b) c) S 7 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100';
  expect(parseProgram(line)).toEqual({ parent: 7, seconds: 2 });
  expect(parseProgram('')).toEqual({ parent: 0, seconds: 0 });
});

test('openssl speed', () => {
  const said = "The 'numbers' are in 1000s of bytes per second processed.\ntype  1420 bytes\n";
  expect(parseSpeed(`${said}AES-256-GCM    1656424.20k\n`)).toBeCloseTo(1656.4242);
  expect(parseSpeed('unknown cipher')).toBeUndefined();
});

test('perf report; idle time is no work', () => {
  const said = [
    '# Samples: 1K of event "cpu-clock"',
    '    40.00%  [k] pv_native_safe_halt',
    '    12.34%  [k] _copy_to_iter',
    '     1.00%  [.] 0x00007f00',
  ].join('\n');
  expect(parseProfile(said)).toEqual([
    { share: 12.34, symbol: '_copy_to_iter' },
    { share: 1, symbol: '0x00007f00' },
  ]);
});

test.each([
  ['iperf 3.12 (cJSON 1.7.15)\nLinux', '3.12'],
  ['ping from iputils 20221126', '20221126'],
  ['ip utility, iproute2-6.1.0, libbpf 1.1.2', '6.1.0'],
  ['nftables v1.0.6 (Lester Gooch #5)', '1.0.6'],
  ['fastd v22', '22'],
  ['wireguard-tools v1.0.20210914 - https://git.zx2c4.com/', '1.0.20210914'],
  ['OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026', '9.2p1'],
  ['command not found', undefined],
])('the version in %j', (said, version) => {
  expect(parseVersion(said)).toBe(version);
});
