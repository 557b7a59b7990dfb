/** What a client says is wrong: of the way to its server, and of the answers that do not come. */
import type { Endpoint } from '../addr.ts';
import type { Trouble, TroubleOf } from '../events/trouble.ts';
import { millis, type Instant, type Millis } from '../units.ts';
import { ipv6Trouble } from './mtu-effects.ts';
import { NO_ANSWER_AFTER } from './limits.ts';
import type { ClientState } from './state.ts';
import { againAt } from './troubles.ts';
import type { SessionConfig } from './types.ts';

/** All that is wrong now, the gravest first. */
export function clientTroubles(
  config: SessionConfig,
  state: ClientState,
  now: Instant,
): readonly Trouble[] {
  const { mtuTrouble } = state;
  const unprobed: Trouble | undefined = mtuTrouble && { kind: 'unprobed', why: mtuTrouble };
  return [standing(config, state, now), unprobed, ipv6Trouble(state)].filter(
    (trouble) => trouble !== undefined,
  );
}

/** What keeps the client from its server now. */
export function standing(
  config: SessionConfig,
  state: ClientState,
  now: Instant,
): Trouble | undefined {
  const { remote, local, unresolved } = state;
  if (remote === undefined) return unresolved;
  if (local === undefined) {
    return state.noRoute && { kind: 'no-route', remote, ...state.noRoute, ...otherRoutes(state) };
  }
  if (state.keyless) return { kind: 'no-key' };
  if (state.notice) return { kind: 'server-refuses', notice: state.notice };
  if (state.secure.refusedLevel) {
    return { kind: 'integrity-refused', ...state.secure.refusedLevel };
  }
  return noAnswer({ ip: remote, port: config.remotePort ?? config.localPort }, state, now);
}

/** Why there is no way to the server's other addresses either, where it has any. */
function otherRoutes({ ways, remote }: ClientState): Pick<TroubleOf<'no-route'>, 'others'> {
  const others = ways.filter((way) => way.remote !== remote);
  if (others.length === 0) return {};
  return { others: others.map((way) => ({ remote: way.remote, why: way.why })) };
}

function noAnswer(remote: Endpoint, state: ClientState, now: Instant): Trouble | undefined {
  const at = noAnswerAt(state);
  const { unanswered, undelivered: network } = state;
  if (at === undefined || unanswered === undefined || now.monotonic < at) return undefined;
  const elsewhere = unanswered.sent > state.askedHere;
  const others = state.ways.filter((way) => elsewhere && way.local && way.remote !== state.remote);
  return {
    kind: 'no-answer',
    remote,
    ...(others.length > 0 && { others: others.map((way) => way.remote) }),
    since: unanswered.since.unix,
    sent: unanswered.sent,
    network,
  };
}

/** When it is time to say that there is no answer. */
function noAnswerAt({ life, unanswered }: ClientState): Millis | undefined {
  if (life === 'alive' || unanswered === undefined) return undefined;
  return millis(unanswered.since.monotonic + NO_ANSWER_AFTER);
}

/** When something is to be told next, if nothing changes until then. */
export function troubleWakeAt(state: ClientState): Millis | undefined {
  if (state.local === undefined) return undefined;
  return state.told ? againAt(state.told) : noAnswerAt(state);
}
