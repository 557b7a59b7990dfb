import type { Path } from '../addr.ts';
import type { ClientState } from './state.ts';
import type { Turn } from './turn.ts';

/** The path to the server; undefined while an end of it is unknown. */
export function currentPath(turn: Turn<ClientState>): Path | undefined {
  const { config, state } = turn;
  if (state.local === undefined || state.remote === undefined) return undefined;
  return {
    local: { ip: state.local, port: config.localPort },
    remote: { ip: state.via ?? state.remote, port: config.remotePort ?? config.localPort },
  };
}
