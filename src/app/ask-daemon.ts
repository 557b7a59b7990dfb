import { IpipouError } from '../core/errors.ts';
import type { ControlClient, ControlReply, ControlRequest } from '../ports/control.ts';
import type { RunEntry } from '../ports/run-store.ts';

export type Granted = Extract<ControlReply, { readonly ok: true }>;

/** Asks the daemon of a tunnel; throws as it refuses, or when it is dead. */
export async function askDaemon(
  entry: RunEntry,
  control: ControlClient,
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
