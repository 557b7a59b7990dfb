// npm run docs: writes what is made of tables in the code: options, man pages, the shells' completions, kinds of
// events, metrics, dashboard, alerts, the vectors of the protocol.
// With --check it writes nothing and fails when one of them is not as the code has it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import {
  formatAlerts,
  formatDashboard,
} from '../.cache/modules/app/management/metrics/dashboard.js';
import { replaceMetricsTable } from '../.cache/modules/app/management/metrics/page.js';
import { COMMANDS } from '../.cache/modules/cli/commands/table.js';
import { loadAll } from '../.cache/modules/cli/find-command.js';
import { completionFiles } from '../.cache/modules/cli/completions/files.js';
import { replaceOptionTable } from '../.cache/modules/core/config/text/markdown.js';
import { formatManPage } from '../.cache/modules/core/config/text/man.js';
import { formatConfigPage } from '../.cache/modules/core/config/text/man-config.js';
import { eventKinds, replaceEventKinds, replaceKindEnum } from './event-table.mjs';
import { replaceVectors } from './protocol-vectors.mjs';

const at = (name) => new URL(`../${name}`, import.meta.url);
const read = (name) => readFileSync(at(name), { encoding: 'utf8', flag: 'a+' });
const { version } = JSON.parse(read('package.json'));

const kinds = eventKinds(read('src/core/events/event.ts'));
const eventSchema = 'docs/schema/events.schema.json';

const commands = await loadAll(COMMANDS);
mkdirSync(at('completions'), { recursive: true });
const texts = {
  'docs/OPTIONS.md': replaceOptionTable(read('docs/OPTIONS.md')),
  'docs/ipipou.8': formatManPage(version, commands),
  'docs/PROTOCOL.md': replaceVectors(read('docs/PROTOCOL.md')),
  'docs/METRICS.md': replaceMetricsTable(read('docs/METRICS.md')),
  'docs/JSON.md': replaceEventKinds(read('docs/JSON.md'), kinds),
  [eventSchema]: replaceKindEnum(read(eventSchema), kinds),
  'docs/grafana-dashboard.json': formatDashboard(),
  'docs/alerts.yml': formatAlerts(),
  'docs/ipipou.conf.5': formatConfigPage(version),
  ...completionFiles(commands),
};
const stale = Object.keys(texts).filter((name) => read(name) !== texts[name]);
if (process.argv.includes('--check')) {
  for (const name of stale) console.error(`${name} is not as the code has it: npm run docs`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const name of stale) {
    writeFileSync(at(name), texts[name]);
    console.log(`wrote ${name}`);
  }
}
