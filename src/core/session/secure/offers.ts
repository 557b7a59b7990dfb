/**
 * Which of a peer's answered INITs are kept. Anybody may have recorded INITs, and send them again from wherever he says
 * he is: so one that proves by a cookie where its sender is counts more than one that does not, and else the later one
 * of the peer's (by its counter), which no recorded one is. What counts as much, since it is the same INIT from elsewhere, takes
 * no place either. No clock is needed for that: who is turned away gets a cookie. Of those with cookies, whoever has most of
 * the places from one address (of IPv6, from a /64) gives one up first, so that a recorded INIT and one address keep
 * nobody out whose clock was set back.
 */
import { samePath } from '../../addr.ts';
import { sourceOf } from '../../source-key.ts';
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
  const crowded = mostOfOneSource(others, claim);
  if (crowded) return others.filter((offer) => offer !== crowded);
  const [first, ...rest] = others;
  let least: Claim | undefined = first;
  for (const offer of rest) if (least && outdoes(least, offer)) least = offer;
  if (least && !outdoes(claim, least)) return 'outdone';
  return others.filter((offer) => offer !== least);
}

/** The oldest of the source that has most of the places, and more than one; where all prove by cookies where they are. */
function mostOfOneSource(offers: readonly Offer[], claim: Claim): Offer | undefined {
  const all = [...offers, claim];
  if (!all.every(({ cookied }) => cookied)) return undefined;
  const source = ({ path }: Claim): string => sourceOf(path.remote.ip);
  const numberOf = (one: Claim): number =>
    all.filter((each) => source(each) === source(one)).length;
  const most = Math.max(...all.map(numberOf));
  return most > 1 ? offers.find((offer) => numberOf(offer) === most) : undefined;
}

function outdoes(one: Claim, other: Claim): boolean {
  return one.cookied === other.cookied ? one.counter > other.counter : one.cookied;
}
