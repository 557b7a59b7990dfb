import type { InitKeys } from '../../../core/handshake/keys.ts';
import type { InnerIp, Path } from '../../../core/addr.ts';
import type { Carried } from '../../../core/wire/inner-packet.ts';
import type { TagKeys } from '../../../core/tag/types.ts';
import type { OutgoingControl, PeerId } from '../../../ports/data-plane.ts';
import type { Loss } from './counters.ts';
import type { TunnelSocket } from '../../udp/tunnel-socket.ts';
import type { MemberSpec } from './peer-table.ts';

/** What the worker is started with. Descriptors stay the main thread's: it closes them. */
export type WorkerStart = {
  readonly tunFd: number;
  /** Of the device, bytes. */
  readonly mtu: number;
  /** Whether the device has a virtio_net_hdr before every packet. */
  readonly vnetHeader: boolean;
  /** One a family, one at least. */
  readonly sockets: readonly TunnelSocket[];
  readonly localPort: number;
  readonly authLengths: readonly number[];
  /** See PlaneContext. */
  readonly initKeys: InitKeys | undefined;
  readonly carried: Carried;
  /** This end's own inner addresses. */
  readonly innerIps: readonly InnerIp[];
  /** Memory of SharedCounters. */
  readonly counters: SharedArrayBuffer;
  /** The system's monotonic clock (process.hrtime) at zero of the main thread's, milliseconds. */
  readonly epoch: number;
  /** One i32: 0 until the worker has let go of its descriptors after `stop`, then 1. */
  readonly stopped: SharedArrayBuffer;
};

/** What the main thread asks for; every request is answered by `done` with its id. */
export type WorkerRequest =
  /** More slots of the counters. */
  | { readonly kind: 'counters'; readonly memory: SharedArrayBuffer }
  /** More lengths of authentication packets, and the key of the first messages of session 2, a secret to nobody who may send. */
  | {
      readonly kind: 'watch';
      readonly lengths: readonly number[];
      readonly initKeys: InitKeys | undefined;
    }
  | { readonly kind: 'configure'; readonly members: readonly MemberSpec[] }
  | { readonly kind: 'remove'; readonly peers: readonly PeerId[] }
  /** `tags` are secret. */
  | {
      readonly kind: 'admit';
      readonly peer: PeerId;
      readonly slot: number;
      readonly path: Path;
      readonly tags: TagKeys | undefined;
    }
  | { readonly kind: 'evict'; readonly peer: PeerId }
  /** Largest inner packets on the paths to peers, bytes. */
  | { readonly kind: 'sizes'; readonly sizes: readonly (readonly [PeerId, number | undefined])[] }
  | { readonly kind: 'send'; readonly packet: OutgoingControl }
  /** From now on the device is behind this descriptor; the old one is not touched again. */
  | { readonly kind: 'device'; readonly tunFd: number }
  /** The device's MTU, bytes, has changed. */
  | { readonly kind: 'mtu'; readonly mtu: number }
  /** Nothing touches a descriptor after the answer; the thread ends by itself. */
  | { readonly kind: 'stop' };

export type ToWorker =
  | { readonly kind: 'request'; readonly id: number; readonly request: WorkerRequest }
  /**
   * The session has dealt with a control packet. It comes back, to be written to the device if its
   * path is admitted by now and it is data.
   */
  | { readonly kind: 'handled'; readonly path: Path; readonly payload: Uint8Array };

/** The errno of an `admit` whose tags have an index of another peer's. */
export const INDEX_TAKEN = 'EEXIST';

/** The id under which the worker says `done` when it has started. */
export const START_ID = 0;

export type FromWorker =
  /** `errno` by name; undefined = it worked. */
  | { readonly kind: 'done'; readonly id: number; readonly errno: string | undefined }
  | { readonly kind: 'control'; readonly path: Path; readonly payload: Uint8Array }
  /** A system call failed; rate-limited, `losses` counts all of them. */
  | {
      readonly kind: 'trouble';
      readonly operation: string;
      readonly errno: string;
      readonly loss: Loss;
    }
  /** Packets did not fit the peer's path: its MTU is smaller than it was. */
  | { readonly kind: 'too-big'; readonly peer: PeerId }
  /** A packet of the peer's, proved by its tag, came from elsewhere. */
  | { readonly kind: 'roamed'; readonly peer: PeerId; readonly path: Path }
  /** The device was deleted under us; send `device` with a new one. */
  | { readonly kind: 'device-lost' };
