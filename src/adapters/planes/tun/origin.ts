/**
 * Where the packets of a message come from, by the family of their socket: what of a message's addresses the way
 * inside (inbound.ts) asks for. Nothing is made of them but for packets that go up to the session.
 */
import {
  decodeOuterIpv6,
  outerIpv4FromNumber,
  type OuterIp,
  type Path,
} from '../../../core/addr.ts';
import type { Port } from '../../../core/units.ts';
import type { ControlGate } from './control-gate.ts';
import type { Loss } from './counters.ts';
import type { InboundBatch } from './inbound-batch.ts';
import { IPV6_WORDS, isLinkLocal, isReserved } from './ipv6-words.ts';
import { PATH_WORDS, type Peer, type PeerTable } from './peer-table.ts';

export interface Origin {
  /** Looks at a message of the batch; why nothing of it goes anywhere, undefined = it may. */
  look(message: number): Loss | undefined;
  /** Of the message that was looked at: the peer admitted on its path. */
  peer(peers: PeerTable): Peer | undefined;
  /** Whether the gate lets a packet of it through, which is a stranger's; see ControlGate.passStranger. */
  pass(gate: ControlGate, length: number, first: number, second: number): boolean;
  /** A number that stands for its source in the gate's tables. */
  key(gate: ControlGate): number;
  /** Has the gate know that a first message from there goes up. */
  ask(gate: ControlGate, proved: boolean): void;
  path(localPort: Port): Path;
  readonly port: number;
}

export class Ipv4Origin implements Origin {
  readonly #batch: InboundBatch;
  #local = 0;
  #remote = 0;
  port = 0;

  constructor(batch: InboundBatch) {
    this.#batch = batch;
  }

  look(message: number): Loss | undefined {
    const local = this.#batch.destinationIp(message);
    if (local === undefined) return 'stranger';
    this.#local = local;
    this.#remote = this.#batch.sourceIp(message);
    this.port = this.#batch.sourcePort(message);
    return undefined;
  }

  peer(peers: PeerTable): Peer | undefined {
    return peers.at(this.#local, this.#remote, this.port);
  }

  pass(gate: ControlGate, length: number, first: number, second: number): boolean {
    return gate.passStranger(this.#remote, length, first, second);
  }

  key(): number {
    return this.#remote;
  }

  ask(gate: ControlGate, proved: boolean): void {
    gate.ask(proved, this.#remote);
  }

  path(localPort: Port): Path {
    return {
      local: { ip: outerIpv4FromNumber(this.#local), port: localPort },
      remote: { ip: outerIpv4FromNumber(this.#remote), port: this.port as Port }, // the gate lets no port 0 through
    };
  }
}

/**
 * Refuses what came in fragments or with extension headers, and sources that have a meaning on one link only, or none:
 * they could not be answered from the path alone.
 */
export class Ipv6Origin implements Origin {
  readonly #batch: InboundBatch;
  /** As Peer.pathWords; and the remote address within it. */
  readonly #path = new Uint32Array(PATH_WORDS);
  readonly #remote = this.#path.subarray(IPV6_WORDS, 2 * IPV6_WORDS);
  port = 0;

  constructor(batch: InboundBatch) {
    this.#batch = batch;
  }

  look(message: number): Loss | undefined {
    if (!this.#batch.destinationWords(message, this.#path, 0)) return 'stranger';
    this.#batch.sourceWords(message, this.#path, IPV6_WORDS);
    this.port = this.#batch.sourcePort(message);
    this.#path[2 * IPV6_WORDS] = this.port;
    if (isLinkLocal(this.#remote) || isMappedOrNone(this.#remote)) return 'unusual';
    return this.#batch.unusual(message) ? 'unusual' : undefined;
  }

  peer(peers: PeerTable): Peer | undefined {
    return peers.ipv6At(this.#path);
  }

  pass(gate: ControlGate, length: number, first: number, second: number): boolean {
    return gate.passIpv6Stranger(this.#remote, length, first, second);
  }

  key(gate: ControlGate): number {
    return gate.keyOf(0, this.#remote);
  }

  ask(gate: ControlGate, proved: boolean): void {
    gate.ask(proved, 0, this.#remote);
  }

  path(localPort: Port): Path {
    return {
      local: { ip: textOf(this.#path.subarray(0, IPV6_WORDS)), port: localPort },
      remote: { ip: textOf(this.#remote), port: this.port as Port }, // as above
    };
  }
}

/** The loopback address alone of the reserved ones can be a host's: this one's. */
function isMappedOrNone(address: Uint32Array): boolean {
  return isReserved(address) && (address[2] !== 0 || address[3] === 0);
}

function textOf(words: Uint32Array): OuterIp {
  return decodeOuterIpv6(new Uint8Array(words.slice().buffer));
}
