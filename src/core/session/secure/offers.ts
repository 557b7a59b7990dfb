/**
 * Which of a peer's answered INITs are kept. Anybody may have recorded INITs, and send them again from wherever he says
 * he is: so one that proves by a cookie where its sender is counts more than one that does not, and else the later one
 * of the peer's (by its counter), which no recorded one is. What counts as much, since it is the same INIT from elsewhere, takes
 * no place either. No clock is needed for that: who is turned away gets a cookie.
 */
import { samePath } from '../../addr.ts';
import { OFFERS_MAX } from './limits.ts';
import type { Offer } from './state.ts';

/** What counts when offers are weighed against each other. */
export type Claim = Pick<Offer, 'path' | 'counter' | 'cookied'>;

/**
 * Those that stay beside a new one, which is the last then. `replayed`: the same INIT has come on that path before.
 * `outdone`: those that are here count more.
 */
export function offersBeside(
  offers: readonly Offer[],
  claim: Claim,
): readonly Offer[] | 'replayed' | 'outdone' {
  const here = offers.find(({ path }) => samePath(path, claim.path));
  if (here?.counter === claim.counter) return 'replayed';
  if (here && outdoes(here, claim)) return 'outdone';
  const others = offers.filter((offer) => offer !== here);
  if (others.length < OFFERS_MAX) return others;
  const [first, ...rest] = others;
  let least: Claim | undefined = first;
  for (const offer of rest) if (least && outdoes(least, offer)) least = offer;
  if (least && !outdoes(claim, least)) return 'outdone';
  return others.filter((offer) => offer !== least);
}

function outdoes(one: Claim, other: Claim): boolean {
  return one.cookied === other.cookied ? one.counter > other.counter : one.cookied;
}
