import { formatTable, replaceMarked } from '../../../core/config/text/markdown.ts';
import { METRICS } from './table.ts';

/** docs/METRICS.md with the table of metrics between its marks. Throws when they are not there. */
export function replaceMetricsTable(page: string): string {
  const code = (word: string): string => `\`${word}\``;
  const rows = METRICS.map(({ name, type, labels, help }) => {
    return [code(name), type, labels.map(code).join(', '), help];
  });
  const table = formatTable([['name', 'type', 'labels', 'what it is'], ...rows]);
  return replaceMarked(page, 'metrics', table.join('\n'));
}
