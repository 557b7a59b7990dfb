import {
  decodeOuterIpv4,
  encodeIp,
  encodeIpv4,
  decodeOuterIpv6,
  endpointKey,
  familyOf,
  sameEndpoint,
  type OuterIp,
  type Endpoint,
} from '../../src/core/addr.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import { port } from '../../src/core/units.ts';
import type { Clockwork } from './clockwork.ts';
import type { Random } from './random.ts';

export type Datagram = {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly payload: Uint8Array;
};

export type Receiver = (datagram: Datagram) => void;

/** How the public network treats packets: probabilities, and one-way delays in milliseconds. */
export type Weather = {
  readonly loss: number;
  readonly duplication: number;
  readonly delay: number;
  /** Up to so much more for each packet, so that packets overtake each other. */
  readonly spread: number;
};

export const FINE: Weather = { loss: 0, duplication: 0, delay: 20, spread: 0 };

/** The public network. Everybody on it can be listened to through `tap`. */
export class Network {
  weather: Weather = FINE;
  tap: Receiver | undefined;
  /** What somebody on the way keeps from arriving. */
  stops: (datagram: Datagram) => boolean = () => false;
  /**
   * Largest payload that passes by IPv4, bytes; larger ones vanish, and `tooBig` hears of them. By IPv6 it is
   * what the larger header leaves, but never less than every path of IPv6 takes.
   */
  mtu = Number.POSITIVE_INFINITY;
  tooBig: Receiver | undefined;
  readonly #receivers = new Map<OuterIp, Receiver>();
  readonly #clockwork: Clockwork;
  readonly #random: Random;

  constructor(clockwork: Clockwork, random: Random) {
    this.#clockwork = clockwork;
    this.#random = random;
  }

  attach(ip: OuterIp, receiver: Receiver): void {
    this.#receivers.set(ip, receiver);
  }

  detach(ip: OuterIp): void {
    this.#receivers.delete(ip);
  }

  /** Largest payload that passes to an address. */
  mtuTo(address: OuterIp): number {
    if (familyOf(address) === 'ipv4') return this.mtu;
    const more = overheadOf('ipv6') - overheadOf('ipv4');
    return Math.max(1280 - overheadOf('ipv6'), this.mtu - more);
  }

  /** A packet of somebody who listens: whatever its source says, and faster than others if he likes. */
  inject(datagram: Datagram, delay = this.weather.delay): void {
    this.#clockwork.after(delay, () => this.#receivers.get(datagram.to.ip)?.(datagram));
  }

  send(datagram: Datagram): void {
    this.tap?.(datagram);
    if (this.stops(datagram)) return;
    if (datagram.payload.length > this.mtuTo(datagram.to.ip)) return this.tooBig?.(datagram);
    const { loss, duplication, delay, spread } = this.weather;
    const copies = this.#random.chance(duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#random.chance(loss)) continue;
      const way = delay + this.#random.next() * spread;
      this.#clockwork.after(way, () => this.#receivers.get(datagram.to.ip)?.(datagram));
    }
  }
}

const FIRST_PORT = 40_000;

type Mapping = {
  readonly inside: Endpoint;
  readonly remote: Endpoint;
  readonly publicPort: number;
};

/**
 * A NAT router with address- and port-dependent mapping and filtering (RFC 4787): the strictest kind.
 * A mapping lives until nothing has left through it for `lifetime` milliseconds.
 */
export class Nat {
  lifetime: number;
  #ip: OuterIp;
  #nextPort = FIRST_PORT;
  #mappings: (Mapping & { usedAt: number })[] = [];
  readonly #inside = new Map<OuterIp, Receiver>();
  readonly #network: Network;
  readonly #clockwork: Clockwork;

  constructor(clockwork: Clockwork, network: Network, ip: OuterIp, lifetime: number) {
    this.#clockwork = clockwork;
    this.#network = network;
    this.#ip = ip;
    this.lifetime = lifetime;
    network.attach(ip, (datagram) => this.#inbound(datagram));
  }

  get ip(): OuterIp {
    return this.#ip;
  }

  attach(ip: OuterIp, receiver: Receiver): void {
    this.#inside.set(ip, receiver);
  }

  detach(ip: OuterIp): void {
    this.#inside.delete(ip);
  }

  /** The provider gives another public address. */
  move(ip: OuterIp): void {
    this.#network.detach(this.#ip);
    this.#ip = ip;
    this.#mappings = [];
    this.#network.attach(ip, (datagram) => this.#inbound(datagram));
  }

  /** The router was switched off and on: ports are given out anew, also such as others had. */
  forget(): void {
    this.#mappings = [];
    this.#nextPort = FIRST_PORT;
  }

  /** What the outside sees of an inside endpoint now; undefined without a live mapping. */
  outsideOf(inside: Endpoint, remote: Endpoint): Endpoint | undefined {
    const mapping = this.#find(
      (entry) => sameEndpoint(entry.inside, inside) && sameEndpoint(entry.remote, remote),
    );
    return mapping && { ip: this.#ip, port: port(mapping.publicPort) };
  }

  outbound(datagram: Datagram): void {
    const { from, to, payload } = datagram;
    if (!this.#inside.has(from.ip)) return;
    let mapping = this.#find(
      (entry) => sameEndpoint(entry.inside, from) && sameEndpoint(entry.remote, to),
    );
    if (!mapping) {
      mapping = { inside: from, remote: to, publicPort: this.#nextPort++, usedAt: 0 };
      this.#mappings.push(mapping);
    }
    mapping.usedAt = this.#clockwork.now;
    this.#network.send({ from: { ip: this.#ip, port: port(mapping.publicPort) }, to, payload });
  }

  #inbound({ from, to, payload }: Datagram): void {
    const mapping = this.#find(
      (entry) => entry.publicPort === to.port && sameEndpoint(entry.remote, from),
    );
    if (mapping) this.#inside.get(mapping.inside.ip)?.({ from, to: mapping.inside, payload });
  }

  #find(fits: (entry: Mapping) => boolean): (Mapping & { usedAt: number }) | undefined {
    const { now } = this.#clockwork;
    this.#mappings = this.#mappings.filter((entry) => now - entry.usedAt < this.lifetime);
    return this.#mappings.find(fits);
  }
}

/**
 * The firewall of a home router for IPv6: nothing is translated, and what comes in must belong to something
 * that went out to the same endpoint within `lifetime` milliseconds.
 */
export class Firewall {
  lifetime: number;
  /** When something last went out, by both ends. */
  readonly #flows = new Map<string, number>();
  readonly #inside = new Set<OuterIp>();
  readonly #network: Network;
  readonly #clockwork: Clockwork;

  constructor(clockwork: Clockwork, network: Network, lifetime: number) {
    this.#clockwork = clockwork;
    this.#network = network;
    this.lifetime = lifetime;
  }

  attach(ip: OuterIp, receiver: Receiver): void {
    this.#inside.add(ip);
    this.#network.attach(ip, (datagram) => {
      const usedAt = this.#flows.get(flowOf(datagram.to, datagram.from));
      if (usedAt !== undefined && this.#clockwork.now - usedAt < this.lifetime) receiver(datagram);
    });
  }

  detach(ip: OuterIp): void {
    this.#inside.delete(ip);
    this.#network.detach(ip);
  }

  /** The router was switched off and on. */
  forget(): void {
    this.#flows.clear();
  }

  outbound(datagram: Datagram): void {
    if (!this.#inside.has(datagram.from.ip)) return;
    this.#flows.set(flowOf(datagram.from, datagram.to), this.#clockwork.now);
    this.#network.send(datagram);
  }
}

function flowOf(inside: Endpoint, remote: Endpoint): string {
  return `${endpointKey(inside)} ${endpointKey(remote)}`;
}

/** The prefix of a NAT64 (RFC 6052, section 2.1). */
const NAT64 = Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

/** The address that a NAT64 has for one of IPv4. */
export function nat64Of(address: OuterIp): OuterIp {
  const bytes = NAT64.slice();
  bytes.set(encodeIpv4(address), 12);
  return decodeOuterIpv6(bytes);
}

/** The address of IPv4 that an address of a NAT64 stands for; undefined for any other. */
export function behindNat64(address: OuterIp): OuterIp | undefined {
  if (familyOf(address) === 'ipv4') return undefined;
  const bytes = encodeIp(address);
  const stands = bytes.subarray(0, 12).every((byte, index) => byte === NAT64[index]);
  return stands ? decodeOuterIpv4(bytes, 12) : undefined;
}
