import { wordsOf } from '../core/events/words.ts';
import type { Log } from '../ports/log.ts';
import type { Tell } from '../ports/tell.ts';

/** Writes what is told into a log, a line an event. */
export function toldTo(log: Log): Tell {
  return (event, peer) => {
    const { level, words, fields } = wordsOf(event);
    log(level, words, peer === undefined ? fields : { peer, ...fields });
  };
}
