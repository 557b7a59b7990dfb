/*
 * A tunnel of IPv4 alone, outside and inside, is made of the same things in the kernel and puts the same
 * bytes on the wire as before this program knew IPv6: test/fixtures/ipv4-only was written by the last
 * version that did not. (Since then strangers on fou have a queue of their own.) The drawing of the topology is at the head of src/adapters/lab/topology.ts.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  NAT_ADDRESSES,
  SERVER_ADDRESS,
  up,
  type Topology,
} from '../../src/adapters/lab/topology.ts';
import { millis } from '../../src/core/units.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { innerAddresses } from './addresses.ts';
import { changed, DESCRIBED, Hosts } from './daemon.ts';
import { kernelObjects } from './kernel-objects.ts';
import { NamespaceSocket } from './namespace-sockets.ts';
import { addressesSettled } from './traffic.ts';
import { tunnelled } from './tunnelled.ts';

const INNER = innerAddresses(0);

/** What is different every time: identifications, and the checksums over them. */
const CHANCE = { outer: [4, 5, 10, 11], inner: [32, 33, 38, 39] };
const UDP_CHECKSUM = [26, 27];
const HEADERS = 28;

/** The different tunnelled packets among what a tap saw, as hexadecimal text with dots for what is chance. */
function onTheWire(seen: readonly Uint8Array[]): readonly string[] {
  const between = [NAT_ADDRESSES[0], SERVER_ADDRESS].flatMap((from) => tunnelled(seen, from));
  const texts = between.map(({ outer: { whole }, checksum, payload }) => {
    const data = payload[0] === 0x45;
    const hidden = new Set([...CHANCE.outer, ...(checksum === 0 ? [] : UDP_CHECKSUM)]);
    if (data) for (const at of CHANCE.inner) hidden.add(at);
    const bytes = [...whole.subarray(0, data ? undefined : HEADERS)].map((byte, at) =>
      hidden.has(at) ? '..' : byte.toString(16).padStart(2, '0'),
    );
    return bytes.join('').replaceAll(/.{8}(?=.)/g, '$& ');
  });
  return [...new Set(texts)].toSorted();
}

/** `slowness`: how many times as long everything may take. */
export function describeIpv4Only(plane: PlaneName, slowness = 1): void {
  let lab: Topology;
  let hosts: Hosts;
  const patience = millis(30_000 * slowness);

  beforeAll(async () => {
    lab = await up();
    hosts = await Hosts.in(lab);
    await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
  });

  afterAll(async () => {
    await hosts[Symbol.asyncDispose]();
    await lab.down();
  });

  test(`a tunnel of IPv4 alone is what it was, on ${plane}`, async () => {
    using tap = NamespaceSocket.tapAll(lab.server);
    await using s = await hosts.start(
      lab.server,
      changed(DESCRIBED.server, `dataplane ${plane}`, 'encap-csum'),
    );
    await s.ready(patience);
    const inClient = changed(DESCRIBED.client, `dataplane ${plane}`, 'no-encap-csum', 'mtu 1400');
    await using c = await hosts.start(lab.client(), inClient);
    await Promise.all([s.established(patience), c.established(patience)]);
    await c.until('replied to', ({ repliesVerified }) => repliesVerified > 0, patience);
    // Without room for a time in the payload, all bytes of the echo are those that are asked for.
    const echo = ['ping', '-c1', '-w5', '-e', '4660', '-s', '12', '-p', 'c0ffee', INNER.server];
    expect(await lab.exec(lab.client(), echo)).toMatchObject({ code: 0 });
    const lines = [
      '# in the server',
      ...(await kernelObjects(lab, lab.server)),
      '# in the client',
      ...(await kernelObjects(lab, lab.client())),
      '# on the wire',
      ...onTheWire(tap.received()),
    ];
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(`../fixtures/ipv4-only/${plane}.txt`);
  });
}
