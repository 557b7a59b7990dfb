/**
 * Rules that let what came to this host beside a tunnel that takes everything be answered beside it: such connections bear
 * a mark, their answers bear it while their way is looked up, and that is the main table. Of this host, and of containers
 * whose ports it publishes: so nobody who is logged in from elsewhere is locked out.
 */
import type { Mark } from '../config/syntax-reach.ts';
import type { Port } from '../units.ts';
import { devicesOf } from './expose-rules.ts';
import { markWords } from './mark-words.ts';
import { tableScript } from './own-table.ts';

export function besideScript({
  table,
  device,
  mark,
  listening,
}: {
  readonly table: string;
  readonly device: string;
  readonly mark: Mark;
  /** Ports of TCP where this host listens. */
  readonly listening: readonly Port[];
}): string {
  const { is, isNot, set } = markWords(mark);
  const ports = [...new Set(listening)].toSorted((a, b) => a - b).join(', ');
  const arriving = [
    ...[...devicesOf(device), 'lo'].map((name) => `iifname "${name}" return`),
    `ct direction original fib daddr type local ${isNot('ct')} ${set('ct')}`,
    `ct direction reply ${is('ct')} ${set('meta')}`,
  ];
  // A connection that is older than these rules may be one that conntrack takes for this host's.
  const older = `ct state new tcp flags & syn == 0 tcp sport { ${ports} } oifname != "lo" ${set('ct')}`;
  return tableScript(table, [
    ['arriving', '{ type filter hook prerouting priority mangle; policy accept; }', arriving],
    [
      'from-here',
      '{ type route hook output priority mangle; policy accept; }',
      [...(ports === '' ? [] : [older]), `${is('ct')} ${set('meta')}`],
    ],
  ]);
}
