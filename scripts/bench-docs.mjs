// npm run bench:docs: draws the charts of the committed results, and writes what documents say of
// them: everything between the marks in docs/BENCHMARKS.md and README.md.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { formatMarkdownReport, pictureLines } from '../.cache/modules/bench/document.js';
import { drawCharts } from '../.cache/modules/bench/draw.js';
import { cryptoLines, factLines, summaryTable } from '../.cache/modules/bench/report.js';
import { decodeResults } from '../.cache/modules/bench/results.js';
import { formatMarkdown } from '../.cache/modules/bench/table.js';
import { replaceMarked } from '../.cache/modules/core/config/text/markdown.js';
import { PROJECT } from './setup.mjs';

const PLACES = ['host', 'vm'];
/** Pictures that the README shows, with what they say to those who cannot see them. */
const PICTURES = {
  bandwidth: 'Bandwidth of one TCP stream through each tunnel',
  efficiency: 'What each tunnel moves for one per cent of a processor',
  latency: 'Round trip of ping, idle and under load',
  sizes: 'Packets a second and their cost, by size',
  peers: 'One server and many clients',
};
const README_PICTURES = ['host-bandwidth', 'host-latency', 'host-efficiency', 'vm-bandwidth'];

const at = (name) => path.join(PROJECT, name);
const change = (name, part, text) =>
  writeFileSync(at(name), replaceMarked(readFileSync(at(name), 'utf8'), part, text));

const drawn = new Set();
rmSync(at('docs/charts'), { recursive: true, force: true });
mkdirSync(at('docs/charts'), { recursive: true });
for (const place of PLACES) {
  const results = readResults(place);
  if (results === undefined) continue;
  for (const { name, svg } of await drawCharts(results)) {
    writeFileSync(at(`docs/charts/${place}-${name}.svg`), svg);
    drawn.add(`${place}-${name.replace(/-(light|dark)$/, '')}`);
  }
  const pictures = Object.entries(PICTURES).flatMap(([name, words]) =>
    drawn.has(`${place}-${name}`) ? pictureLines('charts', `${place}-${name}`, words) : [],
  );
  change('docs/BENCHMARKS.md', place, [...pictures, formatMarkdownReport(results)].join('\n'));
  if (place === 'host') writeReadmeTable(results);
}
writeReadmePictures();
console.log(`docs/charts, docs/BENCHMARKS.md, README.md: ${drawn.size} charts in two schemes`);

function readResults(place) {
  const file = at(`bench/results/${place}.json`);
  if (!existsSync(file)) {
    console.error(`bench/results/${place}.json is not there: its part stays as it is`);
    return undefined;
  }
  const decoded = decodeResults(readFileSync(file, 'utf8'));
  if (!decoded.ok) {
    console.error(`${file}: ${decoded.reason}`);
    process.exit(1);
  }
  return decoded.value;
}

function writeReadmeTable(results) {
  const [machine, how] = factLines(results);
  const facts = [machine, how, ...cryptoLines(results.facts)].join('; ');
  change('README.md', 'bench table', `${facts}.\n\n${formatMarkdown(summaryTable(results), 0)}`);
}

function writeReadmePictures() {
  const lines = README_PICTURES.filter((name) => drawn.has(name)).flatMap((name) =>
    pictureLines('docs/charts', name, PICTURES[name.replace(/^[a-z]+-/, '')]),
  );
  change('README.md', 'bench charts', lines.join('\n'));
}
