import { expect, vi } from 'vitest';
import type { Program } from '../../src/adapters/lab/process.ts';
import type { Topology } from '../../src/adapters/lab/topology.ts';
import { familyOf, type InnerIp, type Ip } from '../../src/core/addr.ts';
import { internetChecksum, pseudoHeaderSum } from '../../src/core/wire/checksum.ts';
import { encodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { encodeIpv6Header, IPPROTO_ICMPV6 } from '../../src/core/wire/ipv6.ts';
import { patience } from './patience.ts';

/** Of ping: it ends after `wait` milliseconds of a quiet machine, whatever has come. */
export function deadline(wait: number): string {
  return `-w${Math.ceil(patience(wait) / 1000)}`;
}

/** Asserts that `target` answers within ten seconds. */
export async function expectPing(lab: Topology, namespace: string, target: Ip): Promise<void> {
  const done = await lab.exec(namespace, ['ping', '-c1', deadline(10_000), target], {
    timeout: patience(20_000),
  });
  expect(done, `${namespace} pings ${target}`).toMatchObject({ code: 0 });
}

/** Asserts that `target` does not answer within a second. */
export async function expectNoPing(lab: Topology, namespace: string, target: Ip): Promise<void> {
  const done = await lab.exec(namespace, ['ping', '-c2', '-i0.2', '-W1', target], {
    timeout: patience(20_000),
  });
  expect(done.code, `${namespace} must not reach ${target}: ${done.stdout}`).not.toBe(0);
}

/**
 * Lets a running `ping` get five more answers and ends it: none before the last was missing. (One may be
 * on its way when it ends, which ping would count as lost.) An answer that is late is no loss: a ping without
 * a deadline of its own tells the two apart. `told` says what counted drops, where something was lost.
 */
export async function expectNothingLost(
  ping: Program,
  told: () => Promise<string> = async () => '',
): Promise<void> {
  const last = answers(ping.stdout).at(-1) ?? 0;
  const later = (output: string): boolean => (answers(output).at(-1) ?? 0) >= last + 5;
  await ping.waitFor(later, patience(60_000));
  const seen = answers((await ping.stop('SIGINT')).stdout);
  const sent = Array.from({ length: seen.at(-1) ?? 0 }, (_, index) => index + 1);
  const came = new Set(seen);
  const lost = sent.filter((number) => !came.has(number));
  const where = lost.length === 0 ? '' : await told();
  expect(lost, `lost of ${sent.length} packets: ${where}`).toEqual([]);
  // The guard has the daemon look at one packet of a path now and then: those behind it may overtake it.
  expect(seen.length, 'came twice').toBe(came.size);
}

/** How many answers a running ping has got. */
export function answered(ping: Program): number {
  return answers(ping.stdout).length;
}

/** The sequence numbers of the answers that a ping has printed. */
function answers(stdout: string): readonly number[] {
  return [...stdout.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
}

/** Bits a second that one TCP stream carries for about a second, `reverse` from server to client. */
export async function iperf(
  lab: Topology,
  client: string,
  server: string,
  address: Ip,
  reverse = false,
): Promise<number> {
  const listener = lab.spawn(server, ['iperf3', '-s', '-1', '-B', address, '--forceflush']);
  await listener.waitFor(/listening/);
  const args = ['iperf3', '-J', '-t1', '-c', address, ...(reverse ? ['-R'] : [])];
  const done = await lab.exec(client, args, { timeout: patience(60_000) });
  expect(done, `iperf3 to ${address}`).toMatchObject({ code: 0 });
  await listener.finished;
  const report = JSON.parse(done.stdout) as { end: { sum_received: { bits_per_second: number } } };
  return report.end.sum_received.bits_per_second;
}

/** An inner address and the namespace that has it. */
export type InnerEnd = { readonly namespace: string; readonly address: Ip };

const PAIR_BYTES = 1_000_000;
const PAIR_FIRST_PORT = 5300;

/**
 * Every end pings every other and sends to it over TCP (iperf3), all at the same time. Asserts that each
 * ping is answered, that all could be sent, and that something arrived; how much of it iperf3 has counted
 * when the sender is done says nothing.
 */
export async function expectAllPairs(lab: Topology, ends: readonly InnerEnd[]): Promise<void> {
  const pairs = ends.flatMap((to) =>
    ends.filter((from) => from !== to).map((from, index) => ({ from, to, index })),
  );
  const listeners = pairs.map(({ to, index }) => {
    const own = String(PAIR_FIRST_PORT + index);
    return lab.spawn(to.namespace, ['iperf3', '-s1p', own, '-B', to.address, '--forceflush']);
  });
  await Promise.all(listeners.map((listener) => listener.waitFor(/listening/)));
  const options = { timeout: patience(120_000) };
  const exchange = async ({ from, to, index }: (typeof pairs)[number]): Promise<void> => {
    const ping = ['ping', '-qc5', '-i0.2', deadline(10_000), to.address];
    const aim = ['-p', String(PAIR_FIRST_PORT + index), '-c', to.address];
    const send = ['iperf3', '-J', '-n', String(PAIR_BYTES), ...aim];
    const [pinged, sent] = await Promise.all(
      [ping, send].map((argv) => lab.exec(from.namespace, argv, options)),
    );
    const name = `${from.namespace} to ${to.address}`;
    expect(pinged, `ping from ${name}`).toMatchObject({ code: 0 });
    expect(sent, `iperf3 from ${name}`).toMatchObject({ code: 0 });
    expect(receivedBytes(sent?.stdout ?? ''), name).toBeGreaterThan(0);
  };
  try {
    await Promise.all(pairs.map(exchange));
  } finally {
    await Promise.all(listeners.map((listener) => listener.stop()));
  }
}

function receivedBytes(json: string): number {
  const report = JSON.parse(json) as { end: { sum_received: { bytes: number } } };
  return report.end.sum_received.bytes;
}

/** An inner packet: an echo request (RFC 792, RFC 4443) with a recognisable payload, of the addresses' family. */
export function innerEcho(source: InnerIp, destination: InnerIp, payload = 32): Uint8Array {
  const ipv6 = familyOf(source) === 'ipv6';
  const icmp = new Uint8Array(8 + payload).fill(0x61, 8);
  icmp[0] = ipv6 ? 128 : 8;
  const pseudo = ipv6 ? pseudoHeaderSum(source, destination, IPPROTO_ICMPV6, icmp.length) : 0;
  const sum = internetChecksum(icmp, pseudo);
  icmp[2] = sum >> 8;
  icmp[3] = sum & 0xff;
  const ends = { source, destination, payloadLength: icmp.length };
  const header = ipv6
    ? encodeIpv6Header({ ...ends, hopLimit: 64, nextHeader: IPPROTO_ICMPV6 })
    : encodeIpv4Header({
        ...ends,
        identification: 1,
        dontFragment: true,
        ttl: 64,
        protocol: 1,
      });
  return Buffer.concat([header, icmp]);
}

/** Packets that a device has received; 0 when there is no such device. */
export async function received(lab: Topology, namespace: string, device: string): Promise<number> {
  const shown = await lab.exec(namespace, ['ip', '-j', '-s', 'link', 'show', 'dev', device]);
  if (shown.code !== 0) return 0;
  const [link] = JSON.parse(shown.stdout) as [{ stats64: { rx: { packets: number } } }];
  return link.stats64.rx.packets;
}

/** Tells everything in a namespace that a tunnel could have left: one script, since to enter is what costs. */
const LOOK = `
ip -o link
ip -o addr
ip route show table all
ip rule
ip -6 rule
nft list ruleset
ip fou show
cd /proc/sys/net
grep -Hs '' ipv4/ip_forward ipv4/conf/*/*rp_filter ipv4/conf/*/*forwarding ipv4/conf/*/accept_local
grep -Hs '' ipv6/conf/*/*forwarding ipv6/conf/*/accept_ra ipv6/conf/*/disable_ipv6
`;

/** What that is, as text to compare. */
export async function whatIsThere(lab: Topology, namespace: string): Promise<string> {
  const { stdout } = await lab.exec(namespace, ['sh', '-c', LOOK], { timeout: patience(30_000) });
  return stdout.replaceAll(/ valid_lft .*/g, '');
}

/** Resolves when IPv6 has found its addresses in a namespace unique: until then it still changes. */
export async function addressesSettled(lab: Topology, namespace: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const shown = await lab.exec(namespace, ['ip', '-6', '-o', 'addr', 'show', 'dev', 'eth0']);
      expect(shown.stdout).toMatch(/fe80:(?!.*tentative)/);
    },
    { timeout: patience(20_000), interval: 100 },
  );
}
