import { setTimeout as delay } from 'node:timers/promises';
import type { Tell } from '../ports/tell.ts';

/** A client and its server, until they have heard each other. */
export type FirstWords = {
  /** What was given, which hears of it. */
  readonly tell: Tell;
  /** Resolves when they have, or after so many milliseconds. */
  readonly over: (atMost: number) => Promise<void>;
};

export function firstWords(tell: Tell): FirstWords {
  let meet = (): void => undefined;
  const met = new Promise<void>((resolve) => {
    meet = resolve;
  });
  return {
    tell(event, peer) {
      tell(event, peer);
      if (event.kind === 'established') meet();
    },
    over: (atMost) => Promise.race([met, delay(atMost, undefined, { ref: false })]),
  };
}
