import { readFileSync } from 'node:fs';
import type { Transport } from '../../core/config/exposure.ts';
import { parseListeners, type Listener, type Listeners } from '../../core/reach/listening.ts';

/** What listens in this thread's network namespace. */
export function listeners(): Listeners {
  return { tcp: listenersOf('tcp'), udp: listenersOf('udp') };
}

function listenersOf(protocol: Transport): readonly Listener[] {
  return [protocol, `${protocol}6`].flatMap((name) => {
    try {
      return parseListeners(readFileSync(`/proc/thread-self/net/${name}`, 'utf8'), protocol);
    } catch {
      // A kernel without IPv6.
      return [];
    }
  });
}
