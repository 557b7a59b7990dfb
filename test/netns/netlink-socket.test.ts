/*
 *   one namespace:   lo   d0 <- veth -> d1
 */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  openNetlink,
  type NetlinkEvent,
  type NetlinkOptions,
  type NetlinkSocket,
} from '../../src/adapters/netlink/socket.ts';
import { concatBytes, encodeU32host } from '../../src/core/bytes.ts';
import { decodeLink } from '../../src/core/netlink/link.ts';
import { attrString } from '../../src/core/netlink/attributes.ts';
import { NETLINK_ROUTE, NLM_F_DUMP_INTR } from '../../src/core/netlink/message.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { succeeds } from '../rig/patience.ts';

const NS = `ipipou-nls-${process.pid}`;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTNLGRP_LINK = 1;

function ip(...args: readonly string[]): string {
  return execFileSync('ip', ['-n', NS, ...args], { encoding: 'utf8' });
}

function open(options: Partial<NetlinkOptions> = {}): NetlinkSocket {
  return inNamespace(NS, () =>
    openNetlink({ family: NETLINK_ROUTE, subject: 'the test', ...options }),
  );
}

/** struct ifinfomsg that names a link by index. */
function ifinfomsg(index: number, flags = 0, change = 0): Uint8Array {
  return concatBytes([
    new Uint8Array(4),
    encodeU32host(index),
    encodeU32host(flags),
    encodeU32host(change),
  ]);
}

/** Counts what the group hears, so that a test can wait for it. */
function openWitness(): { heard(): number } & Disposable {
  let count = 0;
  const netlink = open({ groups: [RTNLGRP_LINK], onEvent: () => count++ });
  return { heard: () => count, [Symbol.dispose]: () => netlink.close() };
}

beforeAll(() => {
  execFileSync('ip', ['netns', 'add', NS]);
  ip('link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1');
});

afterAll(() => {
  execFileSync('ip', ['netns', 'del', NS]);
});

it('dumps every link', async () => {
  using netlink = open();
  const request = { type: RTM_GETLINK, payload: ifinfomsg(0), operation: 'RTM_GETLINK' };
  const [first, second] = await Promise.all([netlink.dump(request), netlink.dump(request)]);
  expect(first).toHaveLength(3);
  expect(second).toHaveLength(3);
  expect(first.every((message) => message.type === RTM_NEWLINK)).toBe(true);
  expect(first.some((message) => (message.flags & NLM_F_DUMP_INTR) !== 0)).toBe(false);
});

it('gets one link', async () => {
  using netlink = open();
  const request = { type: RTM_GETLINK, payload: ifinfomsg(1), operation: 'RTM_GETLINK' };
  expect((await netlink.get(request)).type).toBe(RTM_NEWLINK);
});

it('rejects with the operation, the errno, the words and the subject', async () => {
  using netlink = open({ exit: 'link' });
  const payload = concatBytes([ifinfomsg(1), attrString(3, 'a-name-too-long-for-a-link')]);
  const request = { type: RTM_NEWLINK, payload, operation: 'RTM_NEWLINK', subject: 'link x' };
  await expect(netlink.request(request)).rejects.toMatchObject({
    name: 'KernelError',
    operation: 'RTM_NEWLINK',
    errno: 'ERANGE',
    words: expect.stringContaining('Attribute failed policy validation') as string,
    subject: 'link x',
    exit: 'link',
  });
});

it('hears a group, its own changes included, and still gets its acknowledgement', async () => {
  const events: NetlinkEvent[] = [];
  using netlink = open({ groups: [RTNLGRP_LINK], onEvent: (event) => events.push(event) });
  const index = Number(/^([0-9]+): d0/m.exec(ip('-o', 'link', 'show', 'd0'))?.[1]);
  const payload = ifinfomsg(index, 1, 1);
  await netlink.request({ type: RTM_NEWLINK, payload, operation: 'RTM_NEWLINK' });
  await succeeds(() => {
    expect(events.some((event) => event.kind === 'message')).toBe(true);
  });
});

it('says overrun when the kernel had to drop events', async () => {
  const events: NetlinkEvent[] = [];
  using netlink = open({
    groups: [RTNLGRP_LINK],
    receiveBuffer: 2048,
    onEvent: (event) => events.push(event),
  });
  expect(netlink).toBeDefined();
  // Synchronous, so that nothing is read meanwhile.
  const batch = Array.from({ length: 40 }, (_, i) => `link set d1 mtu ${1400 + i}`).join('\n');
  execFileSync('ip', ['-n', NS, '-batch', '-'], { input: batch });
  await succeeds(() => {
    expect(events.some((event) => event.kind === 'overrun')).toBe(true);
  });
});

it('can be closed by its listener, which then hears no more', async () => {
  const events: NetlinkEvent[] = [];
  const netlink = open({
    groups: [RTNLGRP_LINK],
    onEvent: (event) => {
      events.push(event);
      netlink.close();
    },
  });
  using witness = openWitness();
  ip('link', 'set', 'd1', 'mtu', '1300');
  ip('link', 'set', 'd1', 'mtu', '1301');
  await succeeds(() => {
    expect(witness.heard()).toBeGreaterThanOrEqual(2);
    expect(events).not.toHaveLength(0);
  });
  expect(events).toHaveLength(1);
});

it('begins a dump anew when the table changes during it', async () => {
  const many = Array.from({ length: 40 }, (_, i) => `link add m${i} type bridge`).join('\n');
  execFileSync('ip', ['-n', NS, '-batch', '-'], { input: many });
  const request = { type: RTM_GETLINK, payload: ifinfomsg(0), operation: 'RTM_GETLINK' };
  using netlink = open();
  const dump = netlink.dump(request);
  // The request is sent in a microtask; the kernel then makes the first part, with lo as it is now.
  await Promise.resolve();
  ip('link', 'set', 'lo', 'mtu', '12345');
  ip('link', 'add', 'm99', 'type', 'bridge');
  const links = (await dump).map((message) => decodeLink(message.payload));
  expect(links.find((link) => link.ok && link.value.name === 'lo')).toMatchObject({
    value: { mtu: 12345 },
  });
  expect(links).toHaveLength(44);
});

it('rejects what is under way when it is closed, and all after', async () => {
  const netlink = open();
  const request = { type: RTM_GETLINK, payload: ifinfomsg(0), operation: 'RTM_GETLINK' };
  const dump = netlink.dump(request);
  const get = netlink.get({ ...request, payload: ifinfomsg(1) });
  netlink.close();
  netlink.close();
  await expect(get).rejects.toThrow('the netlink socket is closed');
  await expect(dump).rejects.toThrow('the netlink socket is closed');
  await expect(netlink.request(request)).rejects.toThrow('the netlink socket is closed');
});
