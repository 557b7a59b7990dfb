import { constants } from 'node:os';
import { ControlGate } from '../../../src/adapters/planes/tun/control-gate.ts';
import { SharedCounters, type Loss } from '../../../src/adapters/planes/tun/counters.ts';
import { DeviceChannel } from '../../../src/adapters/planes/tun/device-channel.ts';
import { FirstMessages } from '../../../src/adapters/planes/first-messages.ts';
import { Inbound } from '../../../src/adapters/planes/tun/inbound.ts';
import { ipv6Words } from '../../../src/adapters/planes/tun/ipv6-words.ts';
import type { Refusal } from '../../../src/adapters/planes/tun/icmp-answer.ts';
import { Outbound } from '../../../src/adapters/planes/tun/outbound.ts';
import type { PacketCalls } from '../../../src/adapters/planes/tun/packet-calls.ts';
import { PeerTable } from '../../../src/adapters/planes/tun/peer-table.ts';
import { Sender } from '../../../src/adapters/planes/tun/sender.ts';
import { encodeIp, type Family, type InnerIp, type Path } from '../../../src/core/addr.ts';
import { millis, port } from '../../../src/core/units.ts';
import { encodeSockaddr } from '../../../src/core/wire/sockaddr.ts';
import type { PeerId } from '../../../src/ports/data-plane.ts';
import { encodeVnet, PLAIN, type DevicePacket } from './tun-device.ts';
import { FakeMemory, type SentMessage } from './tun-memory.ts';
import { parsePath } from './tun-packets.ts';

const { EAGAIN, EINVAL } = constants.errno;
export const SIX = 'six' as PeerId;
export const FOUR = 'four' as PeerId;
export const PATH6 = parsePath('[2001:db8::1]:10000', '[2001:db8::2]:20000');
export const PATH4 = parsePath('192.0.2.1:10000', '203.0.113.2:20000');
const UDP_FD = { ipv4: 4, ipv6: 6 } as const;
/** A length that authentication packets have. */
export const AUTH = 73;

export type Arriving = {
  readonly path: Path;
  readonly payload: Uint8Array;
  readonly trafficClass?: number;
  /** Of each datagram but the last; 0: it is one. */
  readonly size?: number;
};

/**
 * The thread's parts over system calls that a test answers. Peer `six` is at an address of IPv6, `four` at one of
 * IPv4; each has an inner address of each family, ending with 2 and with 3.
 */
export class BothFamilies {
  readonly memory = new FakeMemory();
  readonly counters = new SharedCounters();
  readonly peers = new PeerTable();
  readonly sent: (SentMessage & { readonly family: Family })[] = [];
  readonly written: Uint8Array[] = [];
  readonly control: { readonly path: Path; readonly payload: Uint8Array }[] = [];
  readonly losses: (readonly [Loss, string, number])[] = [];
  readonly refused: { readonly packet: Uint8Array; readonly why: Refusal }[] = [];
  readonly device: DevicePacket[] = [];
  readonly arriving: Record<Family, Arriving[]> = { ipv4: [], ipv6: [] };
  /** Families whose sockets are full. */
  readonly full = new Set<Family>();
  readonly roamed: { readonly peer: PeerId; readonly path: Path }[] = [];
  readonly firstMessages = new FirstMessages(undefined, () => millis(this.now));
  /** COOKIEs that were sent, which the session was not asked for. */
  get answered(): readonly (SentMessage & { readonly family: Family })[] {
    return this.sent.filter(({ payload }) => payload[0] === 0xf3);
  }

  strangers = 0;
  /** Milliseconds. */
  now = 0;
  /** Whether a message with a flow label is refused. */
  labelsRefused = false;
  readonly gate = new ControlGate(new Set([AUTH]), this.peers.hints, () => millis(0));
  readonly outbound: Outbound;
  readonly inbound: Record<Family, Inbound>;
  #errno = 0;

  constructor(carried = { ipv4: true, ipv6: true }) {
    const calls: PacketCalls = {
      address: this.memory.addressOf,
      errno: () => this.#errno,
      read: (_fd, address, length) => this.#read(address, length),
      write: () => this.#fail(EINVAL),
      writev: (_fd, vector, count) => {
        const bytes = this.memory.gather(vector, count);
        this.written.push(bytes.slice(10));
        return bytes.length;
      },
      sendmmsg: (fd, vector, count) =>
        this.#send(fd === UDP_FD.ipv6 ? 'ipv6' : 'ipv4', vector, count),
      recvmmsg: (fd, vector, count) =>
        this.#receive(fd === UDP_FD.ipv6 ? 'ipv6' : 'ipv4', vector, count),
    };
    const lose = (loss: Loss, operation: string, errno: number): void => {
      this.losses.push([loss, operation, errno]);
    };
    const channel = new DeviceChannel(3, true, 1452, calls);
    const common = {
      peers: this.peers,
      counters: this.counters,
      calls,
      lose,
      carried,
      trains: true,
    };
    const families = ['ipv4', 'ipv6'] as const;
    this.outbound = new Outbound(channel, {
      ...common,
      senders: families.map(
        (family) =>
          new Sender({
            ...{ ...common, family, udpFd: UDP_FD[family], fragments: false },
            tooBig: () => undefined,
          }),
      ),
      refuse: (packet, why) => this.refused.push({ packet: packet.slice(), why }),
    });
    const inboundOf = (family: Family): Inbound =>
      new Inbound(channel, {
        ...common,
        family,
        udpFd: UDP_FD[family],
        localPort: port(10_000),
        authLengths: new Set([AUTH]),
        gate: this.gate,
        stranger: () => {
          this.strangers += 1;
        },
        firstMessages: this.firstMessages,
        asked: () => undefined,
        roamed: ({ member }, path) => this.roamed.push({ peer: member.id, path }),
        now: () => this.now,
        control: (path, payload) => this.control.push({ path, payload }),
      });
    this.inbound = { ipv4: inboundOf('ipv4'), ipv6: inboundOf('ipv6') };
    this.counters.grow();
    this.configure();
    this.peers.admit(SIX, 0, PATH6);
    this.peers.admit(FOUR, 1, PATH4);
  }

  configure(): void {
    const own = (host: number) => ({
      prefixes: [0xac1c0000 + host, 32],
      ipv6Prefixes: [...ipv6Words(`fd28::${host}` as InnerIp), 128],
    });
    this.peers.configure({ id: SIX, ...own(2) });
    this.peers.configure({ id: FOUR, ...own(3) });
  }

  out(...packets: readonly Uint8Array[]): void {
    this.device.push(...packets.map((packet) => ({ header: PLAIN, packet })));
    this.runOut();
  }

  runOut(): string {
    for (;;) {
      const state = this.outbound.turn();
      if (state !== 'more') return state;
    }
  }

  in(...messages: readonly Arriving[]): void {
    for (const message of messages) {
      this.arriving[message.path.remote.ip.includes(':') ? 'ipv6' : 'ipv4'].push(message);
    }
    for (const inbound of Object.values(this.inbound)) while (inbound.turn() !== 'done');
  }

  #fail(code: number): -1 {
    this.#errno = code;
    return -1;
  }

  #read(address: number, length: number): number {
    const next = this.device.shift();
    if (!next) return this.#fail(EAGAIN);
    const bytes = Uint8Array.of(...encodeVnet(next.header), ...next.packet);
    if (bytes.length > length) throw new Error('it would be truncated');
    this.memory.at(address, bytes.length).set(bytes);
    return bytes.length;
  }

  #send(family: Family, vector: number, count: number): number {
    if (this.full.has(family)) return this.#fail(EAGAIN);
    const messages = this.memory.sent(vector, count);
    if (this.labelsRefused && messages.some(({ label }) => label !== 0)) return this.#fail(EINVAL);
    this.sent.push(...messages.map((message) => ({ ...message, family })));
    return messages.length;
  }

  #receive(family: Family, vector: number, count: number): number {
    const messages = this.arriving[family].splice(0, count);
    if (messages.length === 0) return this.#fail(EAGAIN);
    for (const [index, { path, payload, trafficClass, size = 0 }] of messages.entries()) {
      this.memory.receive(vector + index * 64, {
        name: encodeSockaddr(path.remote),
        destination: encodeIp(path.local.ip),
        trafficClass,
        size,
        payload,
      });
    }
    return messages.length;
  }
}
