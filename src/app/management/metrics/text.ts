/**
 * Metrics as text: Prometheus' exposition format 0.0.4, and OpenMetrics 1.0, in which the name of a counter's
 * family has no `_total`, and an end mark tells that nothing was cut off.
 */
import { METRICS, PEER_METRICS, type Labels, type Scene } from './table.ts';

export type Format = 'prometheus' | 'openmetrics';

export const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** All metrics; without those of single peers where `perPeer` is false. */
export function formatMetrics(
  scene: Scene,
  { format, perPeer }: { readonly format: Format; readonly perPeer: boolean },
): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of METRICS) {
    if (!perPeer && PEER_METRICS.has(name)) continue;
    const found = samples(scene);
    if (found.length === 0) continue;
    const family = format === 'openmetrics' ? name.replace(/_total$/, '') : name;
    lines.push(`# HELP ${family} ${help}`, `# TYPE ${family} ${type}`);
    for (const { labels, value } of found) lines.push(`${name}${formatLabels(labels)} ${value}`);
  }
  if (format === 'openmetrics') lines.push('# EOF');
  return `${lines.join('\n')}\n`;
}

/** The format that a scraper's Accept header asks for. */
export function formatFor(accept: string | undefined): Format {
  return accept?.includes('application/openmetrics-text') ? 'openmetrics' : 'prometheus';
}

function formatLabels(labels: Labels): string {
  let text = '';
  for (const [name, value] of Object.entries(labels)) {
    text += `${text === '' ? '' : ','}${name}="${escapeLabel(value)}"`;
  }
  return text === '' ? '' : `{${text}}`;
}

function escapeLabel(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
