/**
 * What the network says of UDP packets from one port, whoever has sent them (a socket, a raw one, the kernel's
 * FOU): ICMP errors by a raw socket, for planes that have no socket whose error queue they could read.
 *
 * "Too big" is not among them. The kernel takes that to heart itself where a socket or a FOU listener has the
 * port (udp_err() of net/ipv4/udp.c), and keeps it with the route: ipip answers inner packets that are too
 * big by it, and the thread of the `tun` plane is told by EMSGSIZE. The session would learn it twice.
 */
import { encodeU32host } from '../../core/bytes.ts';
import { KernelError } from '../../core/errors.ts';
import type { Port } from '../../core/units.ts';
import { AF_INET } from '../../core/wire/sockaddr.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_TIME_EXCEEDED,
  IPPROTO_ICMP,
} from '../../core/wire/icmp-error.ts';
import { IPPROTO_UDP } from '../../core/wire/ipv4.ts';
import type { PlaneContext } from '../../ports/data-plane.ts';
import {
  ADD_X,
  AND,
  encodeProgram,
  JUMP_EQUAL,
  JUMP_SET,
  LD_BYTE_AT_X,
  LD_HALF_AT_X,
  LDX_HEADER_LENGTH,
  NOTHING,
  RETURN,
  SHIFT_LEFT,
  TAX,
  WHOLE,
} from '../classic-bpf.ts';
import { checked, systemError } from '../ffi/errno.ts';
import { close, recv, setsockopt, socket } from '../ffi/libc.ts';
import { watch } from '../ffi/poll.ts';
import { setSocketFilter } from '../udp/socket-filter.ts';
import { ErrorIntake } from './error-intake.ts';

// bits/socket_type.h
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
/** linux/socket.h */
const SOL_RAW = 255;
/** linux/icmp.h: a u32 of the types that are dropped. */
const ICMP_FILTER = 1;
const DROPPED_TYPES = ~((1 << ICMP_DEST_UNREACH) | (1 << ICMP_TIME_EXCEEDED)) >>> 0;

/** Bytes, doubled by the kernel: room for some twenty errors, by what each takes of its memory. */
const BUFFER_BYTES = 16 * 1024;

const SUBJECT = 'raw ICMP socket';

/** Hears the network for a client; a server has no use for them, since its peers come back by themselves. */
export function openOuterErrors({ config, listener, log }: PlaneContext): Disposable {
  if (config.role !== 'client') return DEAF;
  try {
    return openIcmpErrors(config.outer.localPort, listener);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    log('debug', 'what the network says of our packets is not heard', { error: error.message });
    return DEAF;
  }
}

const DEAF: Disposable = { [Symbol.dispose]: () => undefined };

/** Needs CAP_NET_RAW; throws KernelError. Hears the network namespace that it is opened in. */
function openIcmpErrors(
  localPort: Port,
  listener: Pick<PlaneContext['listener'], 'outerError'>,
): Disposable {
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = checked(socket(AF_INET, type, IPPROTO_ICMP), 'socket(SOCK_RAW)', SUBJECT);
  try {
    const set = (level: number, name: number, value: number, operation: string): void =>
      void checked(setsockopt(fd, level, name, encodeU32host(value), 4), operation, SUBJECT);
    set(SOL_RAW, ICMP_FILTER, DROPPED_TYPES, 'ICMP_FILTER');
    set(SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES, 'SO_RCVBUF');
    if (!setSocketFilter(fd, icmpErrorFilter(localPort))) {
      throw systemError('SO_ATTACH_FILTER', SUBJECT);
    }
    const readiness = watch(fd, () => intake.take());
    const intake = new ErrorIntake(
      {
        receive: (into) => recv(fd, into, into.length, 0),
        listen: (on) => readiness.want({ readable: on, writable: false }),
      },
      localPort,
      // What came before the filter stood may be of any kind.
      ({ remote }, error) =>
        error.kind === 'unreachable' && listener.outerError({ remote, ...error }),
    );
    return {
      [Symbol.dispose]() {
        intake.close();
        readiness.close();
        close(fd);
      },
    };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Lets an ICMP error through that quotes a UDP packet from `localPort` and does not say "too big": struct
 * sock_filter[], for packets that begin with their IPv4 header.
 */
export function icmpErrorFilter(localPort: Port): Uint8Array {
  /** Offsets from the ICMP message on; the quoted packet begins with its IPv4 header, too. */
  const quoted = 8;
  const [fragment, protocol] = [quoted + 6, quoted + 9];
  const tooBig = (ICMP_DEST_UNREACH << 8) | ICMP_FRAG_NEEDED;
  return encodeProgram([
    [LDX_HEADER_LENGTH, 0, 0, 0],
    [LD_HALF_AT_X, 0, 0, 0],
    [JUMP_EQUAL, 12, 0, tooBig],
    [LD_BYTE_AT_X, 0, 0, protocol],
    [JUMP_EQUAL, 0, 10, IPPROTO_UDP],
    [LD_HALF_AT_X, 0, 0, fragment],
    [JUMP_SET, 8, 0, 0x1fff],
    [LD_BYTE_AT_X, 0, 0, quoted],
    [AND, 0, 0, 0x0f],
    [SHIFT_LEFT, 0, 0, 2],
    [ADD_X, 0, 0, 0],
    [TAX, 0, 0, 0],
    [LD_HALF_AT_X, 0, 0, quoted],
    [JUMP_EQUAL, 0, 1, localPort],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, NOTHING],
  ]);
}
