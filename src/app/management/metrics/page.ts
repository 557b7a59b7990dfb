import { formatTable } from '../../../core/config/text/markdown.ts';
import { METRICS } from './table.ts';

const BEGIN = '<!-- metrics: begin -->';
const END = '<!-- metrics: end -->';

/** docs/METRICS.md with the table of metrics between its marks. Throws when they are not there. */
export function replaceMetricsTable(page: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`no ${BEGIN} and ${END}`);
  const code = (word: string): string => `\`${word}\``;
  const rows = METRICS.map(({ name, type, labels, help }) => {
    return [code(name), type, labels.map(code).join(', '), help];
  });
  const table = formatTable([['name', 'type', 'labels', 'what it is'], ...rows]);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${table.join('\n')}\n\n${page.slice(end)}`;
}
