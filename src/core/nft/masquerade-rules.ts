/** Rules that give what comes out of a tunnel for elsewhere this host's address, and let it pass. */
import type { Family } from '../addr.ts';
import { devicesOf } from './expose-rules.ts';
import { tableScript, type OwnChain } from './own-table.ts';

export function masqueradeScript({
  table,
  device,
  closed,
}: {
  readonly table: string;
  readonly device: string;
  /** Families that this host forwards for the tunnel's sake alone: nothing else of them passes. */
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
    [
      'passing',
      '{ type filter hook forward priority filter + 10; policy accept; }',
      closed.length === 0
        ? []
        : [
            ...names.map((name) => `iifname "${name}" return`),
            ...names.map((name) => `oifname "${name}" return`),
            ...closed.map((family) => `meta nfproto ${family} drop`),
          ],
    ],
  ];
  return tableScript(table, chains);
}
