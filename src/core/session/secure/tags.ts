/** With what tags the plane is to carry a session's peer now. */
import { samePath } from '../../addr.ts';
import type { TagKeys } from '../../tag/types.ts';
import type { SessionState } from '../state.ts';
import type { Turn } from '../turn.ts';
import { secureOf, tagKeys } from './agreed.ts';

export function tagsOf<State extends SessionState>(turn: Turn<State>): TagKeys | undefined {
  const secure = secureOf(turn);
  const { state } = turn;
  if (secure === undefined) return undefined;
  const { current, former } = state.secure;
  if (state.role === 'client') return tagKeys(secure.noise, current, [undefined, former?.agreed]);
  const { remote } = state;
  const next = state.secure.offers.findLast(({ path }) => remote && samePath(path, remote.path));
  return tagKeys(secure.noise, current, [next?.agreed, former?.agreed]);
}
