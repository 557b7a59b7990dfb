/**
 * What the network says of UDP packets from one port, whoever has sent them (a socket, a raw one, the kernel's
 * FOU): ICMP errors by a raw socket a family, for planes that have no socket whose error queue they could read.
 *
 * "Too big" is not among them. The kernel takes that to heart itself where a socket or a FOU listener has the
 * port (udp_err() of net/ipv4/udp.c, net/ipv6/udp.c), and keeps it with the route: the kernel's tunnels answer
 * inner packets that are too big by it, and the thread of the `tun` plane is told by EMSGSIZE. The session would
 * learn it twice.
 */
import type { Family } from '../../core/addr.ts';
import { encodeU32host } from '../../core/bytes.ts';
import { KernelError } from '../../core/errors.ts';
import { refuse, type Decoded } from '../../core/result.ts';
import type { Port } from '../../core/units.ts';
import { addressFamily } from '../../core/wire/sockaddr.ts';
import {
  decodeIcmpError,
  decodeIcmpv6Error,
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_TIME_EXCEEDED,
  ICMPV6_DEST_UNREACH,
  ICMPV6_PARAMPROB,
  ICMPV6_PKT_TOOBIG,
  ICMPV6_TIME_EXCEED,
  IPPROTO_ICMP,
  type QuotedError,
} from '../../core/wire/icmp-error.ts';
import { IPPROTO_UDP } from '../../core/wire/ipv4.ts';
import { IPPROTO_ICMPV6, IPV6_HEADER_LENGTH } from '../../core/wire/ipv6.ts';
import type { PlaneContext } from '../../ports/data-plane.ts';
import {
  ADD_X,
  AND,
  encodeProgram,
  JUMP_EQUAL,
  JUMP_SET,
  LD_BYTE,
  LD_BYTE_AT_X,
  LD_HALF,
  LD_HALF_AT_X,
  LDX_HEADER_LENGTH,
  NOTHING,
  RETURN,
  SHIFT_LEFT,
  TAX,
  WHOLE,
} from '../classic-bpf.ts';
import { checked, systemError } from '../ffi/errno.ts';
import { close, setsockopt, socket } from '../ffi/libc.ts';
import { watch } from '../ffi/poll.ts';
import { arrivedAt } from '../udp/control-messages.ts';
import { IPPROTO_IPV6 } from '../udp/message-headers.ts';
import { MessageReceiver } from '../udp/message-receiver.ts';
import { setSocketFilter } from '../udp/socket-filter.ts';
import { ERROR_ROOM, ErrorIntake } from './error-intake.ts';
import { listenFamilies } from './families.ts';

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
/** linux/icmpv6.h: a struct icmp6_filter, 256 bits of the types that are dropped. */
const ICMPV6_FILTER = 1;
const ICMPV6_FILTER_WORDS = 8;
const HEARD_TYPES6 = [ICMPV6_DEST_UNREACH, ICMPV6_TIME_EXCEED, ICMPV6_PARAMPROB];
/** linux/in6.h */
const IPV6_RECVPKTINFO = 49;

/** Bytes, doubled by the kernel: room for some twenty errors, by what each takes of its memory. */
const BUFFER_BYTES = 16 * 1024;

/** Hears the network for a client; a server has no use for them, since its peers come back by themselves. */
export function openOuterErrors({ config, listener, log }: PlaneContext): Disposable {
  const opened: Disposable[] = [];
  for (const family of config.role === 'client' ? listenFamilies(config) : []) {
    try {
      opened.push(openIcmpErrors(family, config.outer.localPort, listener));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      const fields = { error: error.message };
      log('debug', 'what the network says of our packets is not heard', fields);
    }
  }
  return {
    [Symbol.dispose]() {
      for (const one of opened.splice(0)) one[Symbol.dispose]();
    },
  };
}

/** Needs CAP_NET_RAW; throws KernelError. Hears the network namespace that it is opened in. */
function openIcmpErrors(
  family: Family,
  localPort: Port,
  listener: Pick<PlaneContext['listener'], 'outerError'>,
): Disposable {
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const protocol = family === 'ipv4' ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  const subject = family === 'ipv4' ? 'raw ICMP socket' : 'raw ICMPv6 socket';
  const fd = checked(socket(addressFamily(family), type, protocol), 'socket(SOCK_RAW)', subject);
  try {
    const set = (level: number, name: number, value: Uint8Array, operation: string): void =>
      void checked(setsockopt(fd, level, name, value, value.length), operation, subject);
    if (family === 'ipv4') {
      set(SOL_RAW, ICMP_FILTER, encodeU32host(DROPPED_TYPES), 'ICMP_FILTER');
    } else {
      set(IPPROTO_ICMPV6, ICMPV6_FILTER, droppedTypes6(), 'ICMPV6_FILTER');
      set(IPPROTO_IPV6, IPV6_RECVPKTINFO, encodeU32host(1), 'IPV6_RECVPKTINFO');
    }
    set(SOL_SOCKET, SO_RCVBUF, encodeU32host(BUFFER_BYTES), 'SO_RCVBUF');
    const filter = family === 'ipv4' ? icmpErrorFilter(localPort) : icmpv6ErrorFilter(localPort);
    if (!setSocketFilter(fd, filter)) throw systemError('SO_ATTACH_FILTER', subject);
    const readiness = watch(fd, () => intake.take());
    const receiver = new MessageReceiver(fd, ERROR_ROOM);
    const intake = new ErrorIntake(
      {
        receive: () => receiveError(receiver, family),
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

/** A raw socket has IPv4 packets whole, and of IPv6 ones the ICMPv6 message, whose checksum the kernel has tested. */
function receiveError(receiver: MessageReceiver, family: Family): Decoded<QuotedError> | undefined {
  const length = receiver.receive(0);
  if (length < 0) return undefined;
  const message = receiver.payload(length);
  if (family === 'ipv4') return decodeIcmpError(message);
  const from = receiver.name()?.ip;
  const to = receiver.control().map(arrivedAt).find(Boolean);
  if (from === undefined || to === undefined) return refuse('from or to nobody that is named');
  return decodeIcmpv6Error(message, { from, to });
}

function droppedTypes6(): Uint8Array {
  const words = new Uint32Array(ICMPV6_FILTER_WORDS).fill(0xffff_ffff);
  for (const type of HEARD_TYPES6) words[type >> 5] = (words[type >> 5] ?? 0) & ~(1 << (type & 31));
  return new Uint8Array(words.buffer);
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

/** The same of IPv6, for ICMPv6 messages; what is quoted begins with an IPv6 header, and UDP is right behind it. */
export function icmpv6ErrorFilter(localPort: Port): Uint8Array {
  const quoted = 8;
  const [nextHeader, udp] = [quoted + 6, quoted + IPV6_HEADER_LENGTH];
  return encodeProgram([
    [LD_BYTE, 0, 0, 0],
    [JUMP_EQUAL, 5, 0, ICMPV6_PKT_TOOBIG],
    [LD_BYTE, 0, 0, nextHeader],
    [JUMP_EQUAL, 0, 3, IPPROTO_UDP],
    [LD_HALF, 0, 0, udp],
    [JUMP_EQUAL, 0, 1, localPort],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, NOTHING],
  ]);
}
