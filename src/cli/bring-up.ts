import { TunnelHooks } from '../app/hooks.ts';
import { LiveConfig } from '../app/live-config.ts';
import { atDesk } from '../app/management/desk.ts';
import { LiveFeed } from '../app/management/event-feed.ts';
import { toldTo } from '../app/told-to.ts';
import { openTunnel, type Tunnel } from '../app/tunnel.ts';
import { createLog, openLogFile, writesToJournal, writeStderr } from '../adapters/system/log.ts';
import type { Loaded } from '../core/config/loaded.ts';
import type { Resolved } from '../core/config/resolve.ts';
import { EXIT, type ExitCode } from '../core/exit-codes.ts';
import type { Log, LogLevel } from '../ports/log.ts';
import type { Tell } from '../ports/tell.ts';
import type { Reporter } from './background.ts';
import type { CommandContext } from './command.ts';
import { reauthenticateOnce } from './commands/reauth-only.ts';
import { firstWords, type FirstWords } from './first-words.ts';
import { loadConfig } from './load-config.ts';
import type { Machine } from './machine.ts';
import { exitCodeOf, formatError } from './print-error.ts';
import { aborted } from './waiting.ts';

/** How long `up` still hears of warnings after the tunnel is ready, at the most, milliseconds. */
const GRACE = 1000;

/** What a config asks for that needs the machine. */
export type Wanted = Extract<Resolved, { readonly action: 'run' | 'reauthenticate' }>;

/** Takes a tunnel up and stays with it, or sends one request. */
export async function bringUp(
  args: readonly string[],
  loaded: Loaded,
  resolved: Wanted,
  context: CommandContext,
  reporter: Reporter | undefined,
): Promise<ExitCode> {
  const machine = await context.machine();
  machine.forbidCoreDumps();
  const inJournal = writesToJournal(context.env['JOURNAL_STREAM']);
  const { log, setLevel } = makeLog(resolved, reporter, inJournal);
  const feed = new LiveFeed(machine.clock);
  const told = feed.besides(toldTo(log));
  const hooks = new TunnelHooks(resolved.config, machine.hooks);
  const { tell, over } = firstWords(hooks.besides(told));
  for (const words of [...loaded.warnings, ...resolved.warnings]) {
    tell({ kind: 'config-warning', words });
  }
  if (resolved.action === 'run') {
    const logPlace = reporter?.logPath ?? (inJournal ? 'journal' : 'stderr');
    return stayUp({
      args,
      loaded,
      resolved,
      machine,
      log,
      setLevel,
      feed,
      hooks,
      tell,
      over,
      logPlace,
      context,
      reporter,
    });
  }
  await reauthenticateOnce(resolved.config, machine, log, context.signal);
  return EXIT.ok;
}

/** A log, and what changes its level. */
function makeLog(
  wanted: Wanted,
  reporter: Reporter | undefined,
  inJournal: boolean,
): Pick<Running, 'log' | 'setLevel'> {
  const options = { ...wanted.log, priority: reporter === undefined && inJournal };
  const setLevel = (level: LogLevel): void => {
    options.level = level;
  };
  if (reporter === undefined) return { log: createLog(writeStderr, options), setLevel };
  const file = createLog(openLogFile(reporter.logPath), options);
  const warnings = createLog((line) => reporter.said(line.trimEnd()), {
    level: wanted.log.level === 'error' ? 'error' : 'warn',
    time: false,
    pid: false,
  });
  const log: Log = (level, event, fields) => {
    file(level, event, fields);
    warnings(level, event, fields);
  };
  return { log, setLevel };
}

type Running = {
  /** Of the command line, to read the config again. */
  readonly args: readonly string[];
  readonly loaded: Loaded;
  readonly resolved: Wanted;
  readonly machine: Machine;
  readonly log: Log;
  readonly setLevel: (level: LogLevel) => void;
  readonly feed: LiveFeed;
  readonly hooks: TunnelHooks;
  readonly tell: Tell;
  readonly over: FirstWords['over'];
  /** As in the run record. */
  readonly logPlace: string;
  readonly context: CommandContext;
  /** Undefined in the foreground. */
  readonly reporter: Reporter | undefined;
};

async function stayUp(options: Running): Promise<ExitCode> {
  const { args, loaded, resolved, machine, log, feed, hooks, tell, logPlace } = options;
  const { context, reporter } = options;
  const { config } = resolved;
  const later: { live?: LiveConfig } = {};
  const control = atDesk(machine.control, { feed, live: () => later.live });
  const host = machine.openHost();
  try {
    const origin = { configPath: loaded.configPath, log: logPlace };
    const tunnel = await openTunnel(config, origin, {
      ...{ ...machine, control, host, log, tell },
      preUp: () => hooks.preUp(),
      verify: hooks.verify,
      register: async (registration) => (await later.live?.register(registration)) ?? false,
    });
    const live = new LiveConfig(() => loadConfig(args), loaded, tunnel, {
      store: machine.configs,
      tell,
      setLevel: options.setLevel,
    });
    later.live = live;
    tell({ kind: 'ready', role: config.role, device: config.inner.device });
    await hooks.run('post-up');
    reporter?.ready();
    // What is told of a client's first words with its server is worth waiting for.
    void options.over(config.role === 'client' ? GRACE : 0).then(() => reporter?.close());
    const stopReloads = context.onReload((signal) => {
      void (signal === 'SIGHUP' ? reload(live, tell) : reauthenticate(tunnel, tell));
    });
    const failure = await Promise.race([tunnel.failure, aborted(context.signal)]);
    stopReloads();
    return await takeDown(tunnel, failure, options);
  } finally {
    host.close();
  }
}

/** Ends the tunnel; the exit code is that of what ended it, or else of what could not be removed. */
async function takeDown(
  tunnel: Tunnel,
  failure: Error | undefined,
  { context, hooks, tell, reporter }: Pick<Running, 'context' | 'hooks' | 'tell' | 'reporter'>,
): Promise<ExitCode> {
  // In the background the log is all there is; in the foreground words for a person are better.
  const say = (error: unknown): void => {
    const words = error instanceof Error ? error.message : String(error);
    if (reporter) tell({ kind: 'failed', error: words });
    else context.stderr(formatError(error));
  };
  if (failure) {
    say(failure);
    reporter?.failed(failure);
  } else tell({ kind: 'ending' });
  await hooks.run('pre-down');
  try {
    await tunnel.close(context.hurry, failure === undefined ? 'down' : 'failed');
  } catch (error) {
    say(error);
    return exitCodeOf(failure ?? error);
  } finally {
    await hooks.run('post-down');
  }
  return failure ? exitCodeOf(failure) : EXIT.ok;
}

async function reload(live: LiveConfig, tell: Tell): Promise<void> {
  const reply = await live.reload();
  if (!reply.ok) tell({ kind: 'config-refused', error: reply.error });
}

async function reauthenticate(tunnel: Tunnel, tell: Tell): Promise<void> {
  const reply = await tunnel.answer({ request: 'reauthenticate' });
  if (reply.ok) tell({ kind: 'reauthenticating' });
  else tell({ kind: 'not-reauthenticating', error: reply.error });
}
