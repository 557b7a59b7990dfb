import type { Granted } from '../app/management/ask-daemon.ts';
import type { PeerChanges } from '../ports/control.ts';

/** `ipipou0: peers: 1 added, 2 changed, 0 removed, 97 as before`. */
export function changesText(device: string, { changes = NO_CHANGES }: Granted): string {
  const { added, changed, removed, kept } = changes;
  return `${device}: peers: ${added} added, ${changed} changed, ${removed} removed, ${kept} as before\n`;
}

export function hasChanged({ changes = NO_CHANGES }: Granted): boolean {
  return changes.added + changes.changed + changes.removed > 0;
}

const NO_CHANGES: PeerChanges = { added: 0, changed: 0, removed: 0, kept: 0 };

export function warningsText({ warnings = [] }: Granted): string {
  return warnings.map((warning) => `warning: ${warning}\n`).join('');
}
