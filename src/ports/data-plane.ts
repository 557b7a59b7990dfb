import type { OuterIp, Endpoint, Ip, Path, Prefix } from '../core/addr.ts';
import type { PeerId, TunnelConfig } from '../core/config/tunnel-config.ts';
import type { ExitName } from '../core/exit-codes.ts';
import type { InitKeys } from '../core/handshake/keys.ts';
import type { PlanePeer } from '../core/plane-peer.ts';
import type { Counting } from '../core/session/attestation.ts';
import type { Integrity, TagKeys } from '../core/tag/types.ts';
import type { Millis } from '../core/units.ts';
import type { IcmpError } from '../core/wire/icmp-error.ts';
import type { Log } from './log.ts';

export type { PeerId, PlanePeer };

/** Every packet on the port that is not data of an admitted peer. */
export type ControlPacket = {
  readonly path: Path;
  /** UDP payload. A view that is valid until the handler's promise settles. */
  readonly payload: Uint8Array;
};

/** A control packet to send from the tunnel's own port. */
export type OutgoingControl = {
  readonly path: Path;
  readonly payload: Uint8Array;
  /** IP TTL; undefined = the system's default. */
  readonly ttl: number | undefined;
  /** Sent whole or not at all, whatever MTU is remembered for the path (IP_PMTUDISC_PROBE, ip(7)). */
  readonly probe?: boolean | undefined;
};

/** What a plane is told of a peer it admits; grows by properties, not by arguments. Passed on whole. */
export type PeerProperties = {
  readonly path: Path;
  /**
   * Its packets carry tags; undefined = they carry none. Admitting the same path with other keys loses no
   * packet. The counter and the window of an index that the plane has already go on.
   */
  readonly tags?: TagKeys | undefined;
};

/** Inner bytes and packets since the device was made. */
export type PeerCounters = {
  readonly rxPackets: bigint;
  readonly rxBytes: bigint;
  readonly txPackets: bigint;
  readonly txBytes: bigint;
  /**
   * When its last data packet came (monotonic; 0 = none yet), from planes that know it. Such a peer is
   * asked for its counters only when a silence would decide something, else every few seconds.
   */
  readonly heardAt?: Millis | undefined;
  /** Packets whose tag was wrong, and those that had come before; absent = the plane knows no tags. */
  readonly tagFailures?: bigint | undefined;
  readonly replays?: bigint | undefined;
};

/** A prefix of a peer's that is not led to it, since another route of the host has it; `device`: out of which that leads. */
export type TakenPrefix = {
  readonly peer: PeerId;
  readonly prefix: Prefix<Ip>;
  readonly device: string | undefined;
};

/** What `show` prints of one peer. */
export type PeerDescription = PeerCounters & {
  /** Its own device where the plane has one a peer, else the tunnel's. */
  readonly device: string;
  /** Largest inner packet on the way to it, bytes. */
  readonly mtu: number;
  /** The alternative local address in use behind NAT for this peer, if any. */
  readonly localAlt: OuterIp | undefined;
  /** Packets of its own that were dropped, by reason (`inner-source`, `too-big`, …). */
  readonly refused: Readonly<Record<string, bigint>>;
  /** Absent = none. */
  readonly taken?: readonly TakenPrefix[];
};

/** An ICMP error about a packet of ours, from somebody on the way (RFC 792, RFC 1191). */
export type OuterError = { readonly remote: Endpoint } & IcmpError;

/** What `show` prints of a plane. */
export type PlaneDescription = {
  readonly device: string;
  readonly mtu: number;
  /** Packets that were refused below user space by reason, where the plane counts them. */
  readonly refused: Readonly<Record<string, bigint>>;
  /** Of all peers; absent = none. */
  readonly taken?: readonly TakenPrefix[];
};

/** What a plane tells its owner, besides the results of calls. */
export interface PlaneListener {
  /**
   * A packet for the session core. The plane gives packets in their order, a bounded number of them
   * before earlier ones have settled, since one may wait for the disk; what becomes of one (dropped, or
   * let through when its source is admitted by then) it decides after its promise settles. Never rejects.
   */
  packet(packet: ControlPacket): Promise<void>;
  /** The network says that a packet of ours did not arrive; `fou` and `tun` tell clients, and not what is too big. */
  outerError(error: OuterError): void;
  /**
   * A packet with a valid tag, that had not come before, came on another path than the peer's. It was
   * taken; where packets to the peer go is for the core to say. At most once in 100 ms for a path.
   */
  roamed(peer: PeerId, path: Path): void;
  /** Something of ours was changed from outside; `repaired` says whether it has been put back. */
  disturbed(what: string, repaired: boolean): void;
  /** The plane cannot go on (its device was deleted and cannot be made again, its worker died). */
  failed(error: Error): void;
}

/**
 * Where a plane writes down what it is about to make, before it makes it, so that a later run can
 * adopt or remove it. One JSON value, replaced as a whole; survives kill -9, not a reboot.
 */
export interface PlaneJournal {
  load(): unknown;
  save(record: unknown): void;
}

export type PlaneContext = {
  /** Its `peers` (`planePeer` of them) are those of the start; later ones come by `configure`. */
  readonly config: TunnelConfig;
  /** UDP payload lengths that can be authentication packets at the start; such packets are never taken for data unseen. */
  readonly authLengths: readonly number[];
  /**
   * A server's: the plane refuses first messages of session 2 whose mac1 is wrong under them (docs/PROTOCOL.md), and
   * answers with a COOKIE where it hands up no more. Undefined where there are none, or several: then they go up untested.
   */
  readonly initKeys?: InitKeys | undefined;
  readonly journal: PlaneJournal;
  readonly listener: PlaneListener;
  readonly log: Log;
};

/** What a plane can do, known before it is opened. */
export type PlaneCapabilities = {
  /** Peers of one tunnel at most; undefined = as many as there is memory for. */
  readonly maxPeers: number | undefined;
  /** What it can prove of each packet. */
  readonly integrity: readonly Integrity[];
  /** `exact`: its counters are of packets as they are on the wire; `merged`: the kernel joins some before. */
  readonly counting: Counting;
  /** Whether it can send outer packets in fragments, and be sent such. */
  readonly fragments?: boolean;
};

/**
 * Carries packets of admitted peers and hands every other packet on the port up. Calls are made
 * one at a time. Every method rejects with an IpipouError that carries its exit code.
 */
export interface DataPlane {
  readonly name: PlaneName;
  readonly capabilities: PlaneCapabilities;
  /** Paths of peers that an earlier run had admitted and that are still forwarded. */
  readonly adopted: ReadonlyMap<PeerId, Path>;
  /**
   * Makes peers known, or changes what is known of them: whose inner addresses and hints are whose, and the
   * routes to them where the device is there. Admits nobody; those admitted go on unless their own
   * prefixes changed. Nothing is changed when it rejects.
   */
  configure(peers: readonly PlanePeer[]): Promise<void>;
  /** Hands up packets of these payload lengths as well from now on; see PlaneContext. */
  watch(lengths: readonly number[], initKeys?: InitKeys): Promise<void>;
  /** Evicts peers and forgets them; unknown ones do no harm. */
  remove(peers: readonly PeerId[]): Promise<void>;
  /** Admits a known peer, or re-points it when it is admitted already; a failure leaves it as it was. */
  admit(peer: PeerId, properties: PeerProperties): Promise<void>;
  /** Stops carrying a peer's packets; no effect when it is not admitted. */
  evict(peer: PeerId): Promise<void>;
  /** Largest inner packet on the path to a peer (bytes); undefined = what the route to it allows. */
  limitMtu(peer: PeerId, mtu: number | undefined): Promise<void>;
  send(packet: OutgoingControl): Promise<void>;
  counters(peer: PeerId): Promise<PeerCounters>;
  describe(): Promise<PlaneDescription>;
  describePeer(peer: PeerId): Promise<PeerDescription>;
  /** Puts back the device's MTU and whatever else hangs on the outer path, and makes routes that another was in the way of, after routes changed. */
  refresh(): Promise<void>;
  /**
   * Releases the plane. `remove` undoes everything it made; `leave` only lets go of user space's
   * part, so that admitted peers go on where the kernel carries them.
   */
  close(mode: 'remove' | 'leave'): Promise<void>;
}

export type PlaneName = 'fou' | 'bpf' | 'tun';

/** One thing a plane needs of the machine. */
export type Requirement = {
  readonly what: string;
  readonly met: boolean;
  /** How it was seen, or what is missing. */
  readonly detail: string;
  /** What to do about it, where that is known. */
  readonly fix: string | undefined;
  /** The row of the exit-code table for a tunnel that cannot do without; absent = generic. */
  readonly exit?: ExitName;
};

export interface PlaneFactory {
  readonly name: PlaneName;
  readonly capabilities: PlaneCapabilities;
  /**
   * Looks, loading kernel modules where `load` says so; changes nothing else. What costs as much as opening, and opening
   * finds out as well, only with `trial`.
   */
  probe(options: { load: boolean; trial: boolean }): Promise<readonly Requirement[]>;
  /** Begins to load what `open` needs, of which nothing is seen outside of this process. */
  prepare?(): Promise<void>;
  /** Makes the device and everything it needs, or adopts what the journal says is there; undoes all on failure. */
  open(context: PlaneContext): Promise<DataPlane>;
  /** Removes whatever a run that no longer lives left behind, by its journal. Idempotent. */
  clean(context: Pick<PlaneContext, 'config' | 'journal' | 'log'>): Promise<void>;
}

/** How often a plane's owner should read counters, at the least; planes may cache that long. */
export const COUNTER_MAX_AGE = 1000 as Millis;
