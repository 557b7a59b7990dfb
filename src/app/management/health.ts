import type { ExitName } from '../../core/exit-codes.ts';
import type { Tunnel } from './survey.ts';

/** Whether a tunnel does what it is for: in words, and as an exit code. */
export type Health = {
  readonly exit: Extract<ExitName, 'ok' | 'generic' | 'notEstablished' | 'troubled'>;
  readonly words: string;
};

/**
 * A client is well when all its servers have proved themselves, a server when it listens: its clients come
 * and go, but with `everyPeer` they must be there, too. A trouble is told only where that holds.
 */
export function healthOf(tunnel: Tunnel, everyPeer: boolean): Health {
  if (tunnel.daemon !== 'answers') return { exit: 'generic', words: tunnel.why };
  const { role, phase, peerCount, establishedCount, troubles } = tunnel;
  const count = `${establishedCount} of ${peerCount} peers established`;
  const words = `${role}, ${peerCount === 1 ? phase : count}`;
  const needed = role === 'client' || everyPeer ? peerCount : 0;
  const told = [words, ...troubles.map((trouble) => trouble.words)].join('; ');
  if (establishedCount < needed) return { exit: 'notEstablished', words: told };
  return troubles.length > 0 ? { exit: 'troubled', words: told } : { exit: 'ok', words };
}

/** In a word or two. A tunnel with a trouble carries what it is for all the same. */
export const VERDICTS = {
  ok: 'works',
  troubled: 'works, but something is wrong',
  notEstablished: 'does not work',
  generic: 'does not work',
} as const satisfies Record<Health['exit'], string>;
