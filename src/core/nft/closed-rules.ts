/**
 * Where this host forwards a family for tunnels' sake alone, a tunnel that masquerades lets nothing else of it pass. What
 * other tunnels let pass it leaves to them, and their tables know nothing of each other: so each claims what comes
 * out of its own tunnel or goes into it, by a bit of the packet's mark, and drops itself what it does not want of
 * that. Whoever else has set that bit claims nothing by it: it is cleared before.
 */
import type { Family } from '../addr.ts';
import { markWords } from './mark-words.ts';
import type { OwnChain } from './own-table.ts';

const CLAIM = { value: 0x8000_0000, mask: 0x8000_0000 };
const { isNot, set, others } = markWords(CLAIM);
const CLEAR = `meta mark set ${others('meta')}`;

/** Chains of those who claim. */
export const CLAIM_CHAINS = ['claimed', 'forgotten'] as const;

/** For a tunnel for whose sake families are forwarded; `names`: its devices, as nft matches them. */
export function claimChains(
  names: readonly string[],
  closed: readonly Family[],
): readonly OwnChain[] {
  if (closed.length === 0) return [];
  const own = (what: string): readonly string[] =>
    closed.flatMap((family) =>
      names.flatMap((name) =>
        ['iifname', 'oifname'].map((way) => `${way} "${name}" meta nfproto ${family} ${what}`),
      ),
    );
  const [claimed, forgotten] = CLAIM_CHAINS;
  return [
    [claimed, hook(9), own(set('meta'))],
    [forgotten, hook(11), own(CLEAR)],
  ];
}

/** Lets nothing pass that nobody claims. */
export function closedChains(closed: readonly Family[]): readonly OwnChain[] {
  const each = (what: string): readonly string[] =>
    closed.map((family) => `meta nfproto ${family} ${what}`);
  return [
    ...(closed.length === 0 ? [] : [['unclaimed', hook(8), each(CLEAR)] as const]),
    ['passing', hook(10), each(`${isNot('meta')} drop`)],
  ];
}

function hook(after: number): string {
  return `{ type filter hook forward priority filter + ${after}; policy accept; }`;
}
