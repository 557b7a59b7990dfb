import {
  address,
  errno,
  readAt,
  recvmmsgAt,
  sendmmsgAt,
  writeAt,
  writevAt,
} from '../../ffi/libc.ts';
import type { AddressOf } from '../../udp/message-headers.ts';

/** The system calls that move packets, as tests replace them; each by its name in libc.ts. */
export type PacketCalls = {
  readonly address: AddressOf;
  readonly errno: () => number;
  readonly read: typeof readAt;
  readonly write: typeof writeAt;
  readonly writev: typeof writevAt;
  readonly sendmmsg: typeof sendmmsgAt;
  readonly recvmmsg: typeof recvmmsgAt;
};

export const PACKET_CALLS: PacketCalls = {
  address,
  errno,
  read: readAt,
  write: writeAt,
  writev: writevAt,
  sendmmsg: sendmmsgAt,
  recvmmsg: recvmmsgAt,
};
