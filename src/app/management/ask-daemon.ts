import { IpipouError, NoAnswer } from '../../core/errors.ts';
import type { ExitName } from '../../core/exit-codes.ts';
import type { ControlRequest } from '../../core/management/requests.ts';
import type { ControlClient, ControlReply } from '../../ports/control.ts';
import type { ProcessState, RunEntry, RunList } from '../../ports/run-store.ts';

export type Granted = Extract<ControlReply, { readonly ok: true }>;

export type AskPorts = {
  readonly control: Pick<ControlClient, 'ask'>;
  readonly runs: Pick<RunList, 'find'>;
};

/** Why the daemon of a tunnel does not answer: `silent` where the record does not tell. */
export type Hindrance = 'dead' | 'stopped' | 'starting' | 'ending' | 'silent';

/**
 * Asks the daemon of a tunnel. Throws as it refuses, with exit `otherwise` if it names none, or says why it
 * does not answer.
 */
export async function askDaemon(
  entry: RunEntry,
  ports: AskPorts,
  request: ControlRequest,
  otherwise: ExitName = 'generic',
): Promise<Granted> {
  const { device } = entry;
  const answer = await tryDaemon(entry, ports, request);
  if (answer.kind === 'none') {
    const { message, hint } = explainHindrance(answer);
    throw new IpipouError(otherwise, `${device}: ${message}`, { hint });
  }
  const { reply } = answer;
  if (reply.ok) return reply;
  const hint = reply.hint === undefined ? {} : { hint: reply.hint };
  throw new IpipouError(reply.exit ?? otherwise, `${device}: ${reply.error}`, hint);
}

export type NoReply = {
  readonly kind: 'none';
  readonly why: Hindrance;
  /** The tunnel as it was found afterwards. */
  readonly entry: RunEntry;
  /** Milliseconds waited in vain; undefined when it did not come to that. */
  readonly after: number | undefined;
};

/** An answer, or why there is none. Never rejects for a daemon's sake. */
export async function tryDaemon(
  entry: RunEntry,
  { control, runs }: AskPorts,
  request: ControlRequest,
): Promise<{ readonly kind: 'reply'; readonly reply: ControlReply } | NoReply> {
  // Nobody waits for a process that cannot answer.
  if (entry.state === undefined || isStopped(entry.state)) return noReply(entry, undefined);
  try {
    return { kind: 'reply', reply: await control.ask(entry.controlPath, request) };
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const gone: RunEntry = { ...entry, state: undefined };
    return noReply(runs.find(entry.device) ?? gone, error.after);
  }
}

function noReply(entry: RunEntry, after: number | undefined): NoReply {
  return { kind: 'none', why: hindranceOf(entry), entry, after };
}

function hindranceOf({ state, record }: RunEntry): Hindrance {
  if (state === undefined) return 'dead';
  if (isStopped(state)) return 'stopped';
  // Of a daemon that an earlier version has started the record does not say.
  return record.life === 'starting' || record.life === 'ending' ? record.life : 'silent';
}

/** By a signal, or by a debugger (proc(5)). */
function isStopped(state: ProcessState): boolean {
  return state === 'T' || state === 't';
}

type Explanation = { readonly message: string; readonly hint: string };

/** Why there is no answer, and what to do, in words. */
export function explainHindrance(reply: NoReply): Explanation {
  return EXPLANATIONS[reply.why](reply.entry, reply.after);
}

const EXPLANATIONS: Readonly<
  Record<Hindrance, (entry: RunEntry, after: number | undefined) => Explanation>
> = {
  dead: ({ device, record }) => ({
    message: `its daemon (process ${record.process.pid}) is dead`,
    hint: `ipipou up ${record.configPath ?? record.config.name} takes the tunnel over, ipipou down ${device} removes it`,
  }),
  stopped: ({ record, state }) => ({
    message: `its daemon (process ${record.process.pid}) is stopped (state ${state})`,
    hint: `kill -CONT ${record.process.pid} lets it go on`,
  }),
  starting: ({ device, record }) => ({
    message: `its daemon (process ${record.process.pid}) is still starting`,
    hint: `ipipou show ${device} tells when it is ready`,
  }),
  ending: ({ device, record }) => ({
    message: `its daemon (process ${record.process.pid}) is taking the tunnel down`,
    hint: `ipipou down ${device} waits until it is gone`,
  }),
  silent: ({ device, record, state }, after) => ({
    message: `its daemon (process ${record.process.pid}, state ${state}) ${silence(after)}`,
    hint: `ipipou show ${device} tells whether it answers again, ipipou down ${device} ends it`,
  }),
};

function silence(after: number | undefined): string {
  return after === undefined ? 'gave no answer' : `has not answered for ${after / 1000} s`;
}
