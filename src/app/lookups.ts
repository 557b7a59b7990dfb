import type { OuterIp } from '../core/addr.ts';
import type { NoRoute } from '../core/events/trouble.ts';
import { sameValue } from '../core/same-value.ts';
import type { SessionEvent } from '../core/session/types.ts';
import { unusableBy } from '../core/session/usable-address.ts';
import { millis } from '../core/units.ts';
import { insideOf } from '../core/wire/overhead.ts';
import type { Clock } from '../ports/clock.ts';
import type { Resolver } from '../ports/host-network.ts';
import type { Tell } from '../ports/tell.ts';
import { explain } from './explain.ts';
import { RESOLVE_TIMEOUT } from './limits.ts';
import type { Way } from './locator.ts';
import type { PeerSlot } from './peer-slot.ts';

export type LookupPorts = {
  readonly clock: Clock;
  readonly tell: Tell;
  readonly resolver: Resolver;
  readonly locate: (remote: OuterIp) => Promise<Way | NoRoute>;
  /** Whether an address is one of this host. */
  readonly isOwn: (address: OuterIp) => Promise<boolean>;
};

type Route = {
  readonly remote: OuterIp;
  /** Undefined until the first look is answered. */
  way: Way | NoRoute | undefined;
  /** Numbers the looks, so that one that is overtaken knows. */
  looks: number;
  answerDue: boolean;
};

/** What a name resolved to; `unusable`: the first of what was left out, where nothing is left. */
type Sorted = Pick<EventOf<'resolved'>, 'addresses' | 'unusable'>;
type EventOf<Kind extends SessionEvent['kind']> = Extract<SessionEvent, { readonly kind: Kind }>;

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
    const { clock, resolver } = this.#ports;
    const cancel = clock.callAt(millis(clock.now().monotonic + RESOLVE_TIMEOUT), () =>
      attempt.abort('no answer in time'),
    );
    let answer: Sorted = { addresses: [], unusable: undefined };
    let error: string | undefined;
    try {
      const found = await raceAbort(resolver.resolve(host, attempt.signal), attempt.signal);
      answer = await this.#sort(found);
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure);
    }
    cancel();
    if (this.#resolving.get(slot) !== attempt) return;
    this.#resolving.delete(slot);
    await this.#answer(slot, { kind: 'resolved', ...answer, error });
  }

  /** Leaves out what cannot be another host's: a hosts file or a filtering resolver says such things. */
  async #sort(found: readonly OuterIp[]): Promise<Sorted> {
    const addresses: OuterIp[] = [];
    let unusable: Sorted['unusable'];
    for (const address of found) {
      const why = unusableBy(address) ?? ((await this.#ports.isOwn(address)) ? 'own' : undefined);
      if (why === undefined) addresses.push(address);
      else unusable ??= { address, why };
    }
    return { addresses, unusable: addresses.length > 0 ? undefined : unusable };
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
    let way: Way | NoRoute = { kind: 'missing', device: undefined };
    try {
      way = await this.#ports.locate(remote);
    } catch (error) {
      this.#ports.tell({ kind: 'route-not-found', remote, ...explain(error) });
    }
    // A look that is overtaken leaves its answer to the newer one.
    const current = this.#routes.get(slot);
    if (current?.looks !== look || current.remote !== remote) return;
    if (!current.answerDue && sameValue(way, current.way)) return;
    current.answerDue = false;
    current.way = way;
    await this.#answer(
      slot,
      way.kind === 'way'
        ? { kind: 'local', ip: way.local, mtu: insideOf(remote, way.mtu) }
        : { kind: 'local', ip: undefined, why: way },
    );
  }
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
