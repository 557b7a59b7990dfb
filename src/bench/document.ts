import {
  contestantTable,
  factLines,
  profileTables,
  summaryTable,
  tablesOf,
  troubleLines,
} from './report.ts';
import type { Results } from './results.ts';
import { behindOf } from './standing.ts';
import { formatMarkdown, formatTerminal, type Table } from './table.ts';

/* A run in words, tables and pictures: for a terminal, and for the project's documents. */

export function formatTerminalReport(results: Results): string {
  const tables = allTables(results).map(formatTerminal);
  const trouble = troubleLines(results).map((line) => `  ${line}`);
  return [
    ...factLines(results).map((line) => `  ${line}`),
    '',
    ...tables,
    ...(trouble.length === 0 ? [] : ['What could not be measured:', '', ...trouble, '']),
  ].join('\n');
}

/** Headings begin at level 3: the document has a chapter for each place. */
export function formatMarkdownReport(results: Results): string {
  const trouble = troubleLines(results).map((line) => `- ${line}`);
  return [
    ...factLines(results).map((line) => `- ${line}`),
    '',
    ...allTables(results).map((table) => formatMarkdown(table)),
    ...behindLines(results),
    ...(trouble.length === 0 ? [] : ['### What could not be measured', '', ...trouble, '']),
  ].join('\n');
}

function behindLines(results: Results): readonly string[] {
  const compared = ['super', 'frames'].filter((scene) => results.options.scenes.includes(scene));
  if (compared.length === 0) return [];
  const lines = behindOf(results).map(({ line }) => `- ${line}`);
  const title = ['### Where ipipou is behind', ''];
  return [...title, ...(lines.length === 0 ? ['Nowhere on the unlimited links.'] : lines), ''];
}

function allTables(results: Results): readonly Table[] {
  return [
    ...[contestantTable(results), summaryTable(results)],
    ...[...tablesOf(results), ...profileTables(results)],
  ].filter(({ rows }) => rows.length > 0);
}

/** A picture in both colour schemes, as GitHub shows them; `folder` is as seen from the document. */
export function pictureLines(folder: string, name: string, words: string): readonly string[] {
  const file = `${folder}/${name}`;
  return [
    '<picture>',
    `  <source media="(prefers-color-scheme: dark)" srcset="${file}-dark.svg" />`,
    `  <img alt="${words}" src="${file}-light.svg" />`,
    '</picture>',
    '',
  ];
}
