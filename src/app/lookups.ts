import { familyOf, type OuterIp } from '../core/addr.ts';
import type { SessionEvent } from '../core/session/types.ts';
import { millis } from '../core/units.ts';
import { overheadOf } from '../core/wire/overhead.ts';
import type { Clock } from '../ports/clock.ts';
import type { Resolver } from '../ports/host-network.ts';
import type { Log } from '../ports/log.ts';
import { explain } from './explain.ts';
import { RESOLVE_TIMEOUT } from './limits.ts';
import type { Way } from './locator.ts';
import type { PeerSlot } from './peer-slot.ts';

export type LookupPorts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly resolver: Resolver;
  /** How to reach `remote`; undefined when there is no route. */
  readonly locate: (remote: OuterIp) => Promise<Way | undefined>;
};

type Route = {
  readonly remote: OuterIp;
  way: Way | undefined;
  /** Numbers the looks, so that one that is overtaken knows. */
  looks: number;
  answerDue: boolean;
};

/**
 * Names and routes of peers: what may take long, and runs beside the queue of events. Answers come
 * back as events. Only peers that have asked take room. Nothing rejects.
 */
export class Lookups {
  readonly #ports: LookupPorts;
  readonly #answer: (slot: PeerSlot, event: SessionEvent) => Promise<void>;
  readonly #resolving = new Map<PeerSlot, AbortController>();
  readonly #routes = new Map<PeerSlot, Route>();

  constructor(ports: LookupPorts, answer: (slot: PeerSlot, event: SessionEvent) => Promise<void>) {
    this.#ports = ports;
    this.#answer = answer;
  }

  /** One resolution a peer at a time: the newest question counts. */
  async resolve(slot: PeerSlot, host: string): Promise<void> {
    this.#resolving.get(slot)?.abort();
    const attempt = new AbortController();
    this.#resolving.set(slot, attempt);
    const { clock, log, resolver } = this.#ports;
    const cancel = clock.callAt(millis(clock.now().monotonic + RESOLVE_TIMEOUT), () =>
      attempt.abort('no answer in time'),
    );
    let addresses: readonly OuterIp[] = [];
    try {
      addresses = await raceAbort(resolver.resolve(host, attempt.signal), attempt.signal);
    } catch (error) {
      if (this.#resolving.get(slot) === attempt) {
        log('warn', 'name does not resolve', { host, ...explain(error) });
      }
    }
    cancel();
    if (this.#resolving.get(slot) !== attempt) return;
    this.#resolving.delete(slot);
    await this.#answer(slot, { kind: 'resolved', addresses });
  }

  /** Looks for the local address towards a peer's remote, and answers. */
  locate(slot: PeerSlot, remote: OuterIp): Promise<void> {
    const known = this.#routes.get(slot);
    const route: Route = {
      remote,
      way: known?.way,
      looks: known?.looks ?? 0,
      answerDue: true,
    };
    this.#routes.set(slot, route);
    return this.#look(slot, route);
  }

  /** Looks again for everybody, and answers where the address is another. */
  async relocate(): Promise<void> {
    await Promise.all([...this.#routes].map(([slot, route]) => this.#look(slot, route)));
  }

  /** Forgets a peer; what it asked for is not answered any more. */
  forget(slot: PeerSlot): void {
    this.#resolving.get(slot)?.abort();
    this.#resolving.delete(slot);
    this.#routes.delete(slot);
  }

  close(): void {
    for (const attempt of this.#resolving.values()) attempt.abort();
    this.#resolving.clear();
    this.#routes.clear();
  }

  async #look(slot: PeerSlot, route: Route): Promise<void> {
    const { remote } = route;
    route.looks += 1;
    const look = route.looks;
    let way: Way | undefined;
    try {
      way = await this.#ports.locate(remote);
    } catch (error) {
      this.#ports.log('warn', 'cannot look up the route', { remote, ...explain(error) });
    }
    // A look that is overtaken leaves its answer to the newer one.
    const current = this.#routes.get(slot);
    if (current?.looks !== look || current.remote !== remote) return;
    if (!current.answerDue && sameWay(way, current.way)) return;
    current.answerDue = false;
    current.way = way;
    const mtu = way?.mtu === undefined ? undefined : way.mtu - overheadOf(familyOf(remote));
    await this.#answer(slot, { kind: 'local', ip: way?.local, mtu });
  }
}

function sameWay(a: Way | undefined, b: Way | undefined): boolean {
  return a?.local === b?.local && a?.mtu === b?.mtu;
}

/** `work`'s result, unless `signal` aborts first: a resolver that ignores its signal cannot hold us. */
function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error(String(signal.reason))), {
      once: true,
    });
    work.then(resolve, reject);
  });
}
