import type { OuterIp } from '../core/addr.ts';
import type { Joining, JoinReply } from '../core/session/joining.ts';
import { millis, type Port } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { Exchange, OpenExchange } from '../ports/exchange.ts';

/** Milliseconds between requests, and how many are sent before nobody is expected to answer any more. */
const PAUSE = millis(1000);
const ROUNDS = 12;

export type JoinResult =
  | JoinReply
  /** Nobody has answered; `error`: what the network said last. */
  | { readonly kind: 'silent'; readonly error: string | undefined }
  | { readonly kind: 'aborted' };

/** Asks a server, by all of its addresses in turn, to take a client's key. Never rejects. */
export function joinServer(
  joining: Joining,
  { addresses, port }: { readonly addresses: readonly OuterIp[]; readonly port: Port },
  {
    open,
    clock,
    signal,
  }: {
    readonly open: OpenExchange;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<JoinResult> {
  return new Promise((resolve) => {
    let error: string | undefined;
    let cancel: (() => void) | undefined;
    const abort = (): void => end({ kind: 'aborted' });
    const exchanges: Exchange[] = addresses.map((ip) =>
      open(
        { ip, port },
        {
          packet(payload) {
            const reply = joining.take(payload, clock.now().unix);
            if (reply) end(reply);
          },
          error: ({ message }) => void (error = message),
        },
      ),
    );
    function end(result: JoinResult): void {
      cancel?.();
      signal.removeEventListener('abort', abort);
      for (const exchange of exchanges.splice(0)) exchange.close();
      resolve(result);
    }
    const ask = (round: number): void => {
      if (round === ROUNDS) return end({ kind: 'silent', error });
      const exchange = exchanges[round % exchanges.length];
      for (const packet of joining.next(clock.now().unix)) exchange?.send(packet);
      cancel = clock.callAt(millis(clock.now().monotonic + PAUSE), () => ask(round + 1));
    };
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    else ask(0);
  });
}
