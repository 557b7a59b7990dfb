/** Tables (family inet) that hold the rules of one tunnel and nothing else. */

const KINDS = {
  expose: 'ipipou-expose-',
  return: 'ipipou-return-',
  masquerade: 'ipipou-masquerade-',
  kill: 'ipipou-kill-',
  beside: 'ipipou-beside-',
} as const;

/**
 * The table of a tunnel device. What nft's scanner takes for no part of a name stands as its bytes, each behind
 * a slash, which no device name has.
 */
export function ownTableName(kind: keyof typeof KINDS, device: string): string {
  const escaped = Array.from(new TextEncoder().encode(device), (byte) => {
    const letter = String.fromCharCode(byte);
    return /[A-Za-z0-9_.-]/.test(letter) ? letter : `/${byte.toString(16).padStart(2, '0')}`;
  });
  return `${KINDS[kind]}${escaped.join('')}`;
}

/** The device whose table of that kind it is, as the name has it; undefined of others' tables. */
export function deviceOfTable(kind: keyof typeof KINDS, name: string): string | undefined {
  return name.startsWith(KINDS[kind]) ? name.slice(KINDS[kind].length) : undefined;
}

/** A chain of such a table; `base` is what it is made with: a hook in braces, or nothing. */
export type OwnChain = readonly [name: string, base: string, rules: readonly string[]];

/** Makes a table what it is to be, whatever was in it; `objects` as `counter NAME`, which stay when they are there. */
export function tableScript(
  table: string,
  chains: readonly OwnChain[],
  objects: readonly string[] = [],
): string {
  const add = (what: string, ...rest: readonly string[]): string =>
    [`add ${what} inet ${table}`, ...rest].join(' ').trimEnd();
  return [
    add('table'),
    `flush table inet ${table}`,
    ...objects.map((object) => {
      const [kind = '', ...name] = object.split(' ');
      return add(kind, ...name);
    }),
    ...chains.flatMap(([name, base, rules]) => [
      add('chain', name, base),
      ...rules.map((rule) => add('rule', name, rule)),
    ]),
    '',
  ].join('\n');
}

/** Takes a table away; no failure where there is none. */
export function removeTableScript(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}
