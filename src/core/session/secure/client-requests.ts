/** What a client asks in session 2: INITs, and PINGs. Rules in client.ts. */
import { sameEndpoint, type Endpoint, type Path } from '../../addr.ts';
import { createInit } from '../../handshake/init.ts';
import { PACKET_LENGTH } from '../../handshake/layout.ts';
import type { ControlMessage } from '../../handshake/messages.ts';
import { insideOf } from '../../wire/overhead.ts';
import { currentPath } from '../current-path.ts';
import { pathReport } from '../path-mtu-search.ts';
import type { ClientState } from '../state.ts';
import { millis } from '../../units.ts';
import { after, isDue, type Turn } from '../turn.ts';
import { keepNow, refusesFirst, say, secureOf } from './agreed.ts';
import { capabilitiesOf } from './attest.ts';
import type { SecureCrypto } from './crypto.ts';
import {
  COPIES,
  COPY_GAP,
  INIT_EVERY,
  PINGS_MAX,
  UNANSWERED_MAX,
  UNHEARD_MAX,
  VERSION_LOWEST,
} from './limits.ts';
import type { Agreed, ClientSecure } from './state.ts';

type ClientTurn = Turn<ClientState>;

export function change(turn: ClientTurn, secure: Partial<ClientSecure>): void {
  turn.state = { ...turn.state, secure: { ...turn.state.secure, ...secure } };
}

/** The next request of session 2; undefined where it is session 1's turn. */
export function secureRequest(turn: ClientTurn, path: Path): Uint8Array | undefined {
  const secure = secureOf(turn);
  if (secure === undefined) return undefined;
  const { current, unheard } = turn.state.secure;
  if (current && unheard < UNHEARD_MAX) return ping(turn, current, PACKET_LENGTH.control);
  if (!refusesFirst(turn) && !isTurnOfInit(turn)) return undefined;
  const packet = init(turn, secure, path);
  const copies = packet && { packet, left: COPIES, at: after(turn, millis(2 * COPY_GAP)) };
  change(turn, { copies });
  return packet;
}

/** In `session auto`: whether to ask by an INIT now. A server that has not answered some is asked by one now and then. */
function isTurnOfInit({ state }: ClientTurn): boolean {
  if (state.secure.unanswered < UNANSWERED_MAX) return state.attempts % 2 === 0;
  const every = state.life === 'alive' ? INIT_EVERY.alive : INIT_EVERY.silent;
  return state.authPacketsSent % every === 0;
}

/** A request that fills a packet of `length` bytes, 0: a plain one; undefined where there is no session that has been shown to be. */
export function secureProbe(turn: ClientTurn, length: number): Uint8Array | undefined {
  const { current, challenge } = turn.state.secure;
  if (current === undefined || challenge !== undefined) return undefined;
  return ping(turn, current, Math.max(length, PACKET_LENGTH.control));
}

/** Whether requests are those of session 2 now. */
export function isSecure({ state }: ClientTurn): boolean {
  return state.secure.current !== undefined;
}

function ping(turn: ClientTurn, current: Agreed, length: number): Uint8Array | undefined {
  const { challenge, epoch, moved, pings, unheard } = turn.state.secure;
  const { now } = turn;
  // No number that a PING of this session had, in this run or before: an old PONG answers none.
  const id = current.control.nextCounter >>> 0;
  const mtu = pathReport(turn.state.pathMtu);
  const messages: readonly ControlMessage[] = [
    { kind: 'ping', id },
    ...(challenge ? [{ kind: 'path-response', challenge } as const] : []),
    ...(moved && !challenge ? [moveOf(turn, epoch)] : []),
    ...(mtu === undefined ? [] : [{ kind: 'mtu', mtu } as const]),
  ];
  const packet = say(turn, messages, length);
  if (packet === undefined) return undefined;
  const asked = { id, length, at: now.monotonic };
  change(turn, {
    pings: [...pings, asked].slice(-PINGS_MAX),
    // A probe that is lost tells of the path's size, not of the session.
    unheard: length === PACKET_LENGTH.control ? unheard + 1 : unheard,
  });
  return packet;
}

function moveOf(turn: ClientTurn, epoch: number): ControlMessage {
  const path = currentPath(turn);
  return { kind: 'move', epoch, source: path?.local, destination: path?.remote };
}

export function init(
  turn: ClientTurn,
  { noise, clientKeys }: SecureCrypto,
  path: Path,
): Uint8Array | undefined {
  const keys = clientKeys();
  if (keys === undefined) return undefined;
  const { epoch, initCounter: last } = turn.state.secure;
  const initCounter = Math.max(turn.now.unix, last + 1);
  const { auth, timers } = turn.config;
  const index = turn.indexes.draw(noise.random);
  const { packet, pending } = createInit(
    noise,
    keys,
    {
      index,
      payload: {
        counter: BigInt(initCounter),
        capabilities: capabilitiesOf(turn.config),
        integrity: auth.integrity,
        lowestVersion: VERSION_LOWEST[auth.session],
        mtu: pathReport(turn.state.pathMtu) ?? insideOf(path.remote.ip, 1500) ?? 0,
        source: path.local,
        epoch,
        destination: path.remote,
        keepalive: timers.keepalive,
      },
    },
    cookieAt(turn, path.local),
  );
  change(turn, {
    pending,
    copies: undefined,
    initCounter,
    unanswered: turn.state.secure.unanswered + 1,
  });
  return packet;
}

/** The cookie that is good for INITs from an own endpoint. */
export function cookieAt(turn: ClientTurn, local: Endpoint): Uint8Array | undefined {
  const { cookie } = turn.state.secure;
  if (cookie === undefined || isDue(turn, cookie.until)) return undefined;
  return sameEndpoint(cookie.local, local) ? cookie.value : undefined;
}

/** The path has changed by this side's own will: the server is told, and asked again. */
export function noteMoved(turn: ClientTurn): void {
  const { secure } = turn.state;
  if (secure.current === undefined) return;
  change(turn, { epoch: (secure.epoch + 1) & 0xffff, moved: true, unheard: 0 });
  keepNow(turn);
}
