/** With what tags the plane is to carry a session's peer now. */
import { samePath } from '../../addr.ts';
import { TAG_KEY_LENGTH, type TagKeys } from '../../tag/types.ts';
import type { ClientState, ServerState, SessionState } from '../state.ts';
import type { Turn } from '../turn.ts';
import { isWeaker, keep, secureOf, tagKeys } from './agreed.ts';

/**
 * Until there is a session with as much proof as the config asks for, the peer is carried with tags that nobody has
 * the keys of: what comes without a tag is not taken, and what is sent is nobody's.
 */
export function tagsOf<State extends SessionState>(turn: Turn<State>): TagKeys | undefined {
  const secure = secureOf(turn);
  const { state } = turn;
  if (secure === undefined) return undefined;
  const { current, former } = state.secure;
  const { auth, planeIntegrity = ['none'] } = turn.config;
  const { integrity: least } = auth;
  if (least !== 'none' && planeIntegrity.includes(least)) {
    if (isWeaker(current?.level ?? 'none', least)) return { level: least, ...NOBODYS };
  }
  if (state.role === 'client') return tagKeys(secure.noise, current, [undefined, former?.agreed]);
  const { remote } = state;
  const next = state.secure.offers.findLast(({ path }) => remote && samePath(path, remote.path));
  return tagKeys(secure.noise, current, [next?.agreed, former?.agreed]);
}

const NOBODYS: Omit<TagKeys, 'level'> = {
  send: { index: 0, key: new Uint8Array(TAG_KEY_LENGTH) },
  receive: [],
};

/** Whether what the plane is told now has tags. */
export function isTagged({ secure }: SessionState): boolean {
  return secure.current !== undefined && secure.current.level !== 'none';
}

/**
 * The plane has let the peer go, and with it its counters: under the same keys they would begin anew. So a session
 * with tags ends here; the other side is told when it goes on with it.
 */
export function endTagged(turn: Turn<ServerState> | Turn<ClientState>): void {
  const { state } = turn;
  if (!isTagged(state)) return;
  const gone = { current: undefined, former: undefined };
  if (state.role === 'server') {
    const secure = { ...state.secure, ...gone, move: undefined, suspect: undefined };
    (turn as Turn<ServerState>).state = { ...state, secure };
    keep(turn as Turn<ServerState>, undefined, undefined, secure.epoch);
  } else {
    const secure = {
      ...state.secure,
      ...gone,
      challenge: undefined,
      pings: [],
      rekeyAt: undefined,
    };
    (turn as Turn<ClientState>).state = { ...state, secure };
    keep(turn as Turn<ClientState>, undefined, undefined, secure.epoch);
  }
}
