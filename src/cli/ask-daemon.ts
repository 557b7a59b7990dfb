import { IpipouError } from '../core/errors.ts';
import type { ControlReply, ControlRequest, PeerChanges } from '../ports/control.ts';
import type { RunEntry } from '../ports/run-store.ts';
import type { Machine } from './machine.ts';

export type Granted = Extract<ControlReply, { readonly ok: true }>;

/** Asks the daemon of a tunnel; throws as it refuses, or when it is dead. */
export async function askDaemon(
  entry: RunEntry,
  { control }: Pick<Machine, 'control'>,
  request: ControlRequest,
): Promise<Granted> {
  if (!entry.alive) {
    const { pid } = entry.record.process;
    throw new IpipouError('generic', `${entry.device}: its daemon (process ${pid}) is dead`, {
      hint: `ipipou up ${entry.record.configPath ?? entry.record.config.name}`,
    });
  }
  const reply = await control.ask(entry.controlPath, request);
  if (reply.ok) return reply;
  const hint = reply.hint === undefined ? {} : { hint: reply.hint };
  throw new IpipouError(reply.exit ?? 'generic', `${entry.device}: ${reply.error}`, hint);
}

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
