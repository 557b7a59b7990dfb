// What docs/JSON.md and the published schema say of the kinds of events: read off the union in src/core/events/event.ts.
import { formatTable, replaceMarked } from '../.cache/modules/core/config/text/markdown.js';

/** Names of values that a type of the union brings along. */
const BROUGHT = { Failure: ['error', 'hint'], Undelivered: ['code', 'from'] };

/** Every kind and the names of its values, in the order of the source. */
export function eventKinds(source) {
  const text = source.replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/^type Failed<[^]*?;$/gm, '');
  const members = text.split(/(?=^ {2}\| )/m).map((member) => member.split(/;\n\n/)[0]);
  return members.flatMap((member) => {
    const kind = /readonly kind: '([^']+)'|Failed<'([^']+)'>/.exec(member);
    if (kind === null) return [];
    const own = [...member.matchAll(/readonly (\w+)\??:/g)].map(([, name]) => name);
    const failed = kind[2] === undefined ? [] : BROUGHT.Failure;
    const brought = Object.keys(BROUGHT).flatMap((type) =>
      member.includes(`& ${type}`) ? BROUGHT[type] : [],
    );
    const values = [...own, ...failed, ...brought].filter((name) => name !== 'kind');
    return [{ kind: kind[1] ?? kind[2], values }];
  });
}

/** The page with its table of kinds. */
export function replaceEventKinds(page, kinds) {
  const code = (name) => `\`${name}\``;
  const rows = kinds.map(({ kind, values }) => [code(kind), values.map(code).join(', ')]);
  const table = formatTable([['kind', 'values'], ...rows]);
  return replaceMarked(page, 'event kinds', table.join('\n'));
}

/** The schema with these kinds, and no others. */
export function replaceKindEnum(schema, kinds) {
  const list = kinds.map(({ kind }) => `            ${JSON.stringify(kind)}`).join(',\n');
  return schema.replace(
    /("kind": \{)[^}]*(\n {8}\})/,
    `$1\n          "enum": [\n${list}\n          ]$2`,
  );
}
