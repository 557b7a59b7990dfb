import type { Family, OuterIp } from '../core/addr.ts';
import type { NoRoute } from '../core/events/trouble.ts';
import { sameValue } from '../core/same-value.ts';
import type { SessionEvent, Way } from '../core/session/types.ts';
import { unusableBy } from '../core/session/usable-address.ts';
import { millis } from '../core/units.ts';
import { insideOf } from '../core/wire/overhead.ts';
import type { Clock } from '../ports/clock.ts';
import type { Resolver } from '../ports/host-network.ts';
import type { Tell } from '../ports/tell.ts';
import { explain } from './explain.ts';
import { RESOLVE_TIMEOUT } from './limits.ts';
import type { Route } from './locator.ts';
import type { PeerSlot } from './peer-slot.ts';
import { Translation } from './translation.ts';

export type LookupPorts = {
  readonly clock: Clock;
  readonly tell: Tell;
  readonly resolver: Resolver;
  /** Of which addresses are asked for, and used. */
  readonly families: readonly Family[];
  readonly locate: (remote: OuterIp) => Promise<Route | NoRoute>;
  /** Whether a kill switch lets nothing out but to the addresses of the config. */
  readonly killSwitch?: boolean;
  /** Whether an address is one of this host. */
  readonly isOwn: (address: OuterIp) => Promise<boolean>;
};

type Routes = {
  readonly remotes: readonly OuterIp[];
  /** Undefined until the first look is answered. */
  ways: readonly Way[] | undefined;
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
  readonly #routes = new Map<PeerSlot, Routes>();
  readonly #translation: Translation;

  constructor(ports: LookupPorts, answer: (slot: PeerSlot, event: SessionEvent) => Promise<void>) {
    this.#ports = ports;
    this.#answer = answer;
    this.#translation = new Translation({
      ...ports,
      routeTo: async (remote) => {
        const route = await this.#locate(remote);
        return route.kind === 'way' && route.routed ? route : undefined;
      },
    });
  }

  /** One resolution a peer at a time: the newest question counts. */
  async resolve(slot: PeerSlot, host: string): Promise<void> {
    this.#resolving.get(slot)?.abort();
    const attempt = new AbortController();
    this.#resolving.set(slot, attempt);
    const { clock, resolver, families } = this.#ports;
    const cancel = clock.callAt(millis(clock.now().monotonic + RESOLVE_TIMEOUT), () =>
      attempt.abort('no answer in time'),
    );
    let answer: Sorted = { addresses: [], unusable: undefined };
    let error: string | undefined;
    try {
      const found = await raceAbort(
        resolver.resolve(host, families, attempt.signal),
        attempt.signal,
      );
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

  /** Looks for the ways to a peer's addresses, and answers. */
  locate(slot: PeerSlot, remotes: readonly OuterIp[]): Promise<void> {
    const known = this.#routes.get(slot);
    const routes: Routes = {
      remotes,
      ways: known?.ways,
      looks: known?.looks ?? 0,
      answerDue: true,
    };
    this.#routes.set(slot, routes);
    return this.#look(slot, routes);
  }

  /** Looks again for everybody, and answers where a way is another. */
  async relocate(): Promise<void> {
    this.#translation.forget();
    await Promise.all([...this.#routes].map(([slot, routes]) => this.#look(slot, routes)));
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

  async #look(slot: PeerSlot, routes: Routes): Promise<void> {
    routes.looks += 1;
    const look = routes.looks;
    const ways = waysBy(await this.#find(routes.remotes));
    // A look that is overtaken leaves its answer to the newer one.
    const current = this.#routes.get(slot);
    if (current !== routes || current.looks !== look) return;
    if (!current.answerDue && sameValue(ways, current.ways)) return;
    current.answerDue = false;
    current.ways = ways;
    await this.#answer(slot, { kind: 'located', ways });
  }

  /** The routes to addresses; where none has one, those of IPv4 may have one through a translator. */
  async #find(remotes: readonly OuterIp[]): Promise<readonly Found[]> {
    const direct = await Promise.all(
      remotes.map(async (remote) => ({ remote, route: await this.#locate(remote) })),
    );
    if (direct.some(isRouted)) return direct;
    const translation = this.#translation;
    return Promise.all(
      direct.map(async (found) => {
        const { remote } = found;
        if (!this.#ports.killSwitch) return { ...found, ...(await translation.wayTo(remote)) };
        return (await translation.mayHave(remote)) ? { ...found, route: KEPT_IN } : found;
      }),
    );
  }

  async #locate(remote: OuterIp): Promise<Route | NoRoute> {
    try {
      return await this.#ports.locate(remote);
    } catch (error) {
      this.#ports.tell({ kind: 'route-not-found', remote, ...explain(error) });
      return MISSING;
    }
  }
}

type Found = {
  readonly remote: OuterIp;
  /** Where the route leads, if elsewhere: a translator's address for it. */
  readonly via?: OuterIp;
  readonly route: Route | NoRoute;
};
const MISSING: NoRoute = { kind: 'missing', device: undefined };
const KEPT_IN: NoRoute = { kind: 'kept-in' };

/** What is found as a session has it. An address without a route is tried only where nothing has one. */
function waysBy(found: readonly Found[]): readonly Way[] {
  const routed = found.some(isRouted);
  return found.map(({ remote, via, route }) => {
    if (route.kind !== 'way') return { remote, local: undefined, why: route };
    if (routed && !route.routed) return { remote, local: undefined, why: MISSING };
    const way = { remote, local: route.local, mtu: insideOf(via ?? remote, route.mtu) };
    return via === undefined ? way : { ...way, via };
  });
}

function isRouted({ route }: Found): boolean {
  return route.kind === 'way' && route.routed;
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
