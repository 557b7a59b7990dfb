/** Rules that give what comes out of a tunnel for elsewhere this host's address, and let it pass. */
import type { Family } from '../addr.ts';
import { claimChains, closedChains } from './closed-rules.ts';
import { devicesOf } from './expose-rules.ts';
import { tableScript, type OwnChain } from './own-table.ts';

export function masqueradeScript({
  table,
  device,
  closed,
}: {
  readonly table: string;
  readonly device: string;
  /** Families that this host forwards for tunnels' sake alone: nothing else of them passes. */
  readonly closed: readonly Family[];
}): string {
  const names = devicesOf(device);
  const chains: readonly OwnChain[] = [
    ['elsewhere', '', [...names.map((name) => `oifname "${name}" return`), 'masquerade']],
    [
      'leaving',
      '{ type nat hook postrouting priority srcnat; policy accept; }',
      names.map((name) => `iifname "${name}" goto elsewhere`),
    ],
    ...closedChains(closed),
    ...claimChains(names, closed),
  ];
  return tableScript(table, chains);
}
