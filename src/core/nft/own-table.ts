/** Tables (family inet) that hold the rules of one tunnel and nothing else. */

const KINDS = { expose: 'ipipou-expose-', return: 'ipipou-return-' } as const;

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

/** Whether a table is one of that kind, of whichever tunnel. */
export function isOwnTable(kind: keyof typeof KINDS, name: string): boolean {
  return name.startsWith(KINDS[kind]);
}

/** Takes a table away; no failure where there is none. */
export function removeTableScript(table: string): string {
  return `add table inet ${table}\ndelete table inet ${table}\n`;
}
