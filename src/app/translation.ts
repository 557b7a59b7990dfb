import { familyOf, type Family, type OuterIp, type Prefix } from '../core/addr.ts';
import { IPV4_ONLY_NAME, translated, translationPrefixes } from '../core/nat64.ts';
import { millis, type Millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { Resolver } from '../ports/host-network.ts';
import { TRANSLATION_MEMORY, TRANSLATION_TIMEOUT } from './limits.ts';
import type { Route } from './locator.ts';

export type TranslationPorts = {
  readonly clock: Clock;
  readonly resolver: Resolver;
  readonly families: readonly Family[];
  /** The way to an address, where there is one by a route. */
  readonly routeTo: (remote: OuterIp) => Promise<Route | undefined>;
};

/** The way to an IPv4 address through a translator of the network's (NAT64). */
export type Translated = { readonly via: OuterIp; readonly route: Route };

/** What a translator would have: whether there is any IPv6 out of here, for without it name servers need not be asked. */
const SAMPLE = translated('192.0.2.1' as OuterIp, { ip: '64:ff9b::' as OuterIp, length: 96 }); // both are canonical

/**
 * Ways through the translator of a network of IPv6 alone, found by its name servers (RFC 7050). What they say is
 * remembered for a while, until the network changes; where they do not answer, what they said last is good.
 */
export class Translation {
  readonly #ports: TranslationPorts;
  #known:
    { readonly prefixes: Promise<readonly Prefix<OuterIp>[]>; readonly until: Millis } | undefined;

  /** What was said last. */
  #said: readonly Prefix<OuterIp>[] = [];

  constructor(ports: TranslationPorts) {
    this.#ports = ports;
  }

  /** Whether a translator could have something for it. Never rejects. */
  async mayHave(remote: OuterIp): Promise<boolean> {
    const { families, routeTo } = this.#ports;
    if (familyOf(remote) !== 'ipv4' || !families.includes('ipv6')) return false;
    return (await routeTo(SAMPLE)) !== undefined;
  }

  /** undefined for another than an IPv4 address, and where the network has no translator. Never rejects. */
  async wayTo(remote: OuterIp): Promise<Translated | undefined> {
    const { routeTo } = this.#ports;
    if (!(await this.mayHave(remote))) return undefined;
    for (const prefix of await this.#prefixes()) {
      const via = translated(remote, prefix);
      const route = await routeTo(via);
      if (route) return { via, route };
    }
    return undefined;
  }

  /** The network is another. */
  forget(): void {
    this.#known = undefined;
  }

  #prefixes(): Promise<readonly Prefix<OuterIp>[]> {
    const now = this.#ports.clock.now().monotonic;
    if (this.#known === undefined || this.#known.until <= now) {
      this.#known = { prefixes: this.#ask(), until: millis(now + TRANSLATION_MEMORY) };
    }
    return this.#known.prefixes;
  }

  async #ask(): Promise<readonly Prefix<OuterIp>[]> {
    const { clock, resolver } = this.#ports;
    const patience = new AbortController();
    const cancel = clock.callAt(millis(clock.now().monotonic + TRANSLATION_TIMEOUT), () =>
      patience.abort('no answer in time'),
    );
    try {
      const answers = await resolver.resolve(IPV4_ONLY_NAME, ['ipv6'], patience.signal);
      this.#said = translationPrefixes(answers);
    } catch (error) {
      // Without a translator the name has no IPv6 address.
      if (!patience.signal.aborted && !isSilence(error)) this.#said = [];
    } finally {
      cancel();
    }
    return this.#said;
  }
}

/** Whether a name could not be resolved because nobody has answered (EAI_AGAIN of getaddrinfo(3)). */
function isSilence(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'EAI_AGAIN';
}
