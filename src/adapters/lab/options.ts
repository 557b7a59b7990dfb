import type { Seconds } from '../../core/units.ts';
import type { Names } from './names.ts';

/** Which families a client has. */
export type Families = 'ipv4' | 'ipv6' | 'both';

export type LabOptions = {
  /** 1..64; default 1. */
  readonly clients?: number;
  /** Which families clients have: all of them, or each. Default `ipv4`. */
  readonly families?: Families | readonly Families[];
  /** What hosts and router resolve names by, in the place of the machine's /etc/hosts. */
  readonly names?: Names;
  /** 2: the router has a second public address, and every other client is behind that one. Default 1. */
  readonly natAddresses?: 1 | 2;
  /** `keep`: the router keeps the source port where it is free (default); `random`: it never does. */
  readonly natPorts?: 'keep' | 'random';
  /** How long the router remembers a UDP mapping: unanswered, answered. Default: the kernel's (30, 120). */
  readonly udpTimeouts?: { readonly unreplied: Seconds; readonly replied: Seconds };
  /** MTU of every link; default 1500. */
  readonly mtu?: number;
  /**
   * `off`: server and clients send finished frames of the MTU's size, as over a wire (default).
   * `on`: segmentation and checksums are left to the receiver; tunnels that put a checksum on what
   * they carry then fail through the NAT.
   */
  readonly offloads?: 'off' | 'on';
  /**
   * `bridge`: clients share a network (default). `routed`: each has the router to itself; a bridge
   * cuts encapsulated super-packets (it lacks the kernel's hw_enc_features), which routers need not.
   */
  readonly lan?: 'bridge' | 'routed';
  /** Takes the lab down, and every program in it, when aborted. */
  readonly signal?: AbortSignal;
};
