import { randomBytes } from 'node:crypto';
import { encodeIp, familyOf, ipv4ToNumber, type OuterIp } from '../../../core/addr.ts';
import { CONTROL_LIMITS, GUARD_LIMITS } from '../../../core/budgets.ts';
import { getU32host } from '../../../core/bytes.ts';
import type { InitKeys } from '../../../core/handshake/keys.ts';
import { sipHash64, SIPHASH_KEY_BYTES } from '../../../core/siphash.ts';
import { millis } from '../../../core/units.ts';
import { decodeUdp, type UdpDatagram } from '../../../core/wire/udp.ts';
import type { ControlPacket, OutgoingControl } from '../../../ports/data-plane.ts';
import { openQueue, type PacketQueue } from '../../nfqueue.ts';
import { FirstBudgets } from '../first-budgets.ts';
import { FirstMessages } from '../first-messages.ts';
import { UDP_RULES } from './control.ts';

/** A network of IPv6 is one source. */
const NETWORK_BYTES = 8;

/** What the queue needs of the plane. */
export type FirstQueueOwner = {
  /** Never rejects. */
  readonly packet: (packet: ControlPacket) => Promise<void>;
  /** By the tunnel's port; whether it left. */
  readonly send: (packet: OutgoingControl) => boolean;
};

/** As on `tun` (counters.ts there): `stranger` is what was over a rate, or found a queue full. */
type Refusal = 'mac1' | 'cookie' | 'stranger';

/** Of what waits for the session, whose sender has shown where he is and whose has not. */
type Kind = 'proved' | 'first';

/**
 * The NFQUEUE of what looks like first messages of session 2 and comes from strangers. It is apart from that of all else
 * (control.ts), so that a flood of them takes nobody's room there, and so many of them come up that rules let through
 * (GUARD_LIMITS.tested). Here mac1 is tested before anything else. What is meant for us goes to the session within the
 * budgets of the `tun` plane, which are those of the session, and is answered by a COOKIE beyond. No packet goes on into
 * the kernel from here; without a daemon all are dropped.
 */
export class FirstQueue {
  readonly #queue: PacketQueue;
  readonly #owner: FirstQueueOwner;
  readonly #messages: FirstMessages;
  readonly #budgets = new FirstBudgets(getU32host(randomBytes(4), 0));
  readonly #networkKey = randomBytes(SIPHASH_KEY_BYTES);
  readonly #waiting: Record<Kind, number> = { proved: 0, first: 0 };
  readonly #refused: Record<Refusal, number> = { mac1: 0, cookie: 0, stranger: 0 };
  readonly #now: () => number;

  constructor(
    number: number,
    keys: InitKeys,
    owner: FirstQueueOwner,
    { open = openQueue, now = () => performance.now() } = {},
  ) {
    this.#owner = owner;
    this.#now = now;
    this.#messages = new FirstMessages(keys, () => millis(now()));
    const { tested, testedAgain } = GUARD_LIMITS;
    const maxLength = tested.burst + testedAgain.burst;
    const options = { number, maxLength, subject: `NFQUEUE ${number}`, ends: true };
    this.#queue = open(options, ({ payload }) => this.#take(payload));
  }

  set keys(keys: InitKeys) {
    this.#messages.keys = keys;
  }

  #take(packet: Uint8Array): void {
    const datagram = decodeUdp(packet, UDP_RULES);
    const why = datagram.ok ? this.#handle(datagram.value) : undefined;
    if (why !== undefined) this.#refused[why] += 1;
  }

  /** Hands it up, or answers it; why it went nowhere, if so. */
  #handle({ source, destination, payload }: UdpDatagram): Refusal | undefined {
    const looks = this.#messages.test(payload, 0, payload.length);
    if (looks !== 'ours') return looks === 'forged' ? 'mac1' : 'stranger';
    const path = { local: destination, remote: source };
    const key = this.#keyOf(source.ip);
    const kind = this.#messages.isProved(payload, 0, () => source) ? 'proved' : 'first';
    if (this.#passes(kind, key)) {
      void this.#handUp(kind, { path, payload });
      return undefined;
    }
    const answer = this.#messages.cookie(payload, 0, key, () => source);
    if (answer === undefined) return 'stranger';
    return this.#owner.send({ path, payload: answer, ttl: undefined }) ? 'cookie' : 'stranger';
  }

  #passes(kind: Kind, key: number): boolean {
    if (this.#waiting[kind] >= CONTROL_LIMITS.pending[kind]) return false;
    const now = this.#now();
    return kind === 'proved' ? this.#budgets.takeProved(key, now) : this.#budgets.take(now);
  }

  async #handUp(kind: Kind, packet: ControlPacket): Promise<void> {
    this.#waiting[kind] += 1;
    await this.#owner.packet(packet);
    this.#waiting[kind] -= 1;
  }

  /** A number that stands for a source (core/source-key.ts) in tables of budgets. */
  #keyOf(ip: OuterIp): number {
    if (familyOf(ip) === 'ipv4') return ipv4ToNumber(ip);
    return getU32host(sipHash64(this.#networkKey, encodeIp(ip).subarray(0, NETWORK_BYTES)), 0);
  }

  /** Packets that went nowhere, by reason. */
  get refused(): Readonly<Record<Refusal, bigint>> {
    const { mac1, cookie, stranger } = this.#refused;
    const strangers = stranger + this.#queue.dropped();
    return { mac1: BigInt(mac1), cookie: BigInt(cookie), stranger: BigInt(strangers) };
  }

  close(): void {
    this.#queue.close();
  }
}
