// Sends a flood of forged frames out of a device of the namespace it is started in (AF_PACKET, many a
// call). Its argument is a FloodSpec (test/rig/flood.ts) as JSON. Prints how many it has sent, and in what time,
// at the end or when it is asked to end (SIGTERM).
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  address,
  bind,
  errno,
  sendmmsg,
  setsockopt,
  socket,
} from '../../.cache/modules/adapters/ffi/libc.js';
import { sipHash128 } from '../../.cache/modules/core/siphash.js';

// sys/socket.h, linux/if_packet.h, linux/if_ether.h
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_PACKET = 263;
const PACKET_QDISC_BYPASS = 20;
const [ETH_P_IP, ETH_P_IPV6] = [0x0800, 0x86dd];
const [IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP] = [1, 6, 17];

const BATCH = 64;
const MMSGHDR = 64;
const IOVEC = 16;

const spec = JSON.parse(process.argv[2]);
const FRAMES = Math.min(spec.count || Infinity, spec.frames ?? 32_768);
const mac = (text) => text.split(':').map((part) => Number.parseInt(part, 16));
const u16 = (value) => [value >> 8, value & 255];
const overIpv6 = spec.to.ip.includes(':');
const ip = (text) => (text.includes(':') ? ipv6(text) : text.split('.').map(Number));

function ipv6(text) {
  const [head, tail = ''] = text.split('::');
  const words = (part) => part.split(':').filter(Boolean);
  const zeros = Array(8 - words(head).length - words(tail).length).fill('0');
  const all = [...words(head), ...(text.includes('::') ? zeros : []), ...words(tail)];
  return all.flatMap((word) => u16(Number.parseInt(word, 16)));
}

function sum(bytes) {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += (bytes[at] << 8) | (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return ~total & 0xffff;
}

function ipHeader(protocol, source, destination, length) {
  if (overIpv6) return [0x60, 0, 0, 0, ...u16(length), protocol, 64, ...source, ...destination];
  const header = [0x45, 0, ...u16(20 + length), 0, 0, 0x40, 0, 64, protocol, 0, 0];
  header.push(...source, ...destination);
  header.splice(10, 2, ...u16(sum(header)));
  return header;
}

function udp(from, to, payload) {
  return [
    ...u16(from),
    ...u16(to),
    ...u16(8 + payload.length),
    ...u16(spec.checksum ?? 0),
    ...payload,
  ];
}

/** 198.18.0.0/15 and 2001:2::/48 are nobody's (RFC 2544, RFC 5180); one of `spec.sources` addresses, of IPv6 networks. */
function forged(number) {
  const host = number % spec.sources;
  if (spec.source) return ip(spec.source);
  if (overIpv6) return ip(`2001:2:0:${host.toString(16)}::1`);
  return [198, 18 + ((host >> 16) & 1), (host >> 8) & 255, host & 255];
}

/** What looks like a request (core/auth/v1.ts) with a hint, of which nothing is true. */
function request() {
  const hint = spec.hint ? Buffer.from(spec.hint, 'hex') : randomBytes(8);
  const [first, ...rest] = randomBytes(73);
  return [first & 0x0f, ...rest, 1, 0, 8, ...hint, 0];
}

/** "Port unreachable" about a datagram of ours to somewhere. */
function complaint(number) {
  const about = [...ip(spec.about?.ip ?? '198.18.0.1')];
  const quoted = udp(spec.to.port, spec.about?.port ?? 1024 + (number % 60_000), []);
  const inner = [...ipHeader(IPPROTO_UDP, ip(spec.to.ip), about, quoted.length), ...quoted];
  const icmp = [3, 3, 0, 0, 0, 0, 0, 0, ...inner];
  icmp.splice(2, 2, ...u16(sum(icmp)));
  return icmp;
}

/** The first segment of a connection that nobody wants. */
function syn(number) {
  const source = forged(number);
  const ports = [...u16(1024 + (number % 60_000)), ...u16(spec.to.port)];
  const segment = [...ports, ...randomBytes(4), 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
  const pseudo = [...source, ...ip(spec.to.ip), 0, IPPROTO_TCP, ...u16(segment.length)];
  segment.splice(16, 2, ...u16(sum([...pseudo, ...segment])));
  return segment;
}

/** For a service that is no tunnel, with a right checksum. */
function datagram(number) {
  const bytes = udp(1024 + (number % 60_000), spec.to.port, randomBytes(16));
  const pseudo = [...forged(number), ...ip(spec.to.ip), 0, IPPROTO_UDP, ...u16(bytes.length)];
  bytes.splice(6, 2, ...u16(sum([...pseudo, ...bytes])));
  return bytes;
}

/** What looks like a first message of session 2, with a right mac1 where its key is given. */
function init() {
  const bytes = randomBytes(200);
  bytes.set([0xf1, 2, 0, 0, 0]);
  bytes[7] |= 1;
  if (spec.mac1) bytes.set(sipHash128(Buffer.from(spec.mac1, 'hex'), bytes.subarray(0, 168)), 168);
  // No cookie.
  bytes.fill(0, 184);
  return bytes;
}

/** As long as something of session 2, and nothing of it: what ends a handshake begins so. */
function junk(number) {
  const bytes = randomBytes(number % 2 === 0 ? 200 : 96);
  if (bytes.length === 96) bytes.set([0xf4, 0, 0, 0, 0]);
  return bytes;
}

const KINDS = {
  inits: [IPPROTO_UDP, (number) => udp(1024 + (number % 60_000), spec.to.port, init())],
  junk: [IPPROTO_UDP, (number) => udp(1024 + (number % 60_000), spec.to.port, junk(number))],
  requests: [IPPROTO_UDP, (number) => udp(1024 + (number % 60_000), spec.to.port, request())],
  datagrams: [IPPROTO_UDP, datagram],
  errors: [IPPROTO_ICMP, complaint],
  syns: [IPPROTO_TCP, syn],
};

const etherType = overIpv6 ? ETH_P_IPV6 : ETH_P_IP;

function frame(number) {
  const [protocol, make] = KINDS[spec.packets];
  const body = make(number);
  const header = ipHeader(protocol, forged(number), ip(spec.to.ip), body.length);
  return [...mac(spec.mac), 2, 0, 0, 0, 0, 1, ...u16(etherType), ...header, ...body];
}

const index = Number(readFileSync(`/sys/class/net/${spec.device}/ifindex`, 'utf8'));
const fd = socket(AF_PACKET, SOCK_RAW, 0);
const name = new Uint8Array(20);
const view = new DataView(name.buffer);
// Of no protocol: it takes nothing in.
view.setUint16(0, AF_PACKET, true);
view.setInt32(4, index, true);
if (fd < 0 || bind(fd, name, name.length) < 0)
  throw new Error(`no packet socket on ${spec.device}`);
setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, Uint8Array.of(1, 0, 0, 0), 4);

/** Of the longest. */
const length = Math.max(frame(0).length, frame(1).length);
const pinned = (bytes) => new Uint8Array(new ArrayBuffer(bytes));
const frames = pinned(FRAMES * length);
const vectors = pinned(FRAMES * IOVEC);
const messages = pinned(FRAMES * MMSGHDR);
const [vectorView, messageView] = [new DataView(vectors.buffer), new DataView(messages.buffer)];
for (let number = 0; number < FRAMES; number += 1) {
  const bytes = frame(number);
  frames.set(bytes, number * length);
  vectorView.setBigUint64(number * IOVEC, address(frames) + BigInt(number * length), true);
  vectorView.setBigUint64(number * IOVEC + 8, BigInt(bytes.length), true);
  messageView.setBigUint64(number * MMSGHDR + 16, address(vectors) + BigInt(number * IOVEC), true);
  messageView.setBigUint64(number * MMSGHDR + 24, 1n, true);
}

// The kernel goes by their addresses; the collector of garbage does not know.
globalThis.kept = [frames, vectors, messages];

let sent = 0;
const errors = new Map();
const end = new AbortController();
process.once('SIGTERM', () => end.abort());
process.stdout.write('flooding\n');
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const from = performance.now();
while (!end.signal.aborted && !(spec.count && sent >= spec.count)) {
  // Who cannot keep up must still hear that it is to end.
  const scheduled = spec.rate ? ((performance.now() - from) * spec.rate) / 1000 : Infinity;
  const due = Math.min(scheduled, sent + 4096);
  while (sent < due && !(spec.count && sent >= spec.count)) {
    const at = sent % FRAMES;
    const wanted = Math.min(BATCH, FRAMES - at, spec.count ? spec.count - sent : BATCH);
    const took = sendmmsg(fd, messages.subarray(at * MMSGHDR), wanted, 0);
    sent += Math.max(took, 0);
    if (took < 0) errors.set(errno(), (errors.get(errno()) ?? 0) + 1);
    if (took < wanted) break;
  }
  if (spec.rate) Atomics.wait(sleeper, 0, 0, 1);
  await new Promise((resolve) => setImmediate(resolve));
}
for (const [code, count] of errors) process.stdout.write(`errno ${code}: ${count}\n`);
process.stdout.write(`sent ${sent}\nin ${Math.round(performance.now() - from)} ms\n`);
