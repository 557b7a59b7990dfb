import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import { IpipouError } from '../core/errors.ts';
import type { TunnelEvent } from '../core/events/event.ts';
import type { HookName, Hooks, LifeHook } from '../core/hook-names.ts';
import { expandHook, PeersThere, type HookEnvironment } from '../core/hooks.ts';
import type { Millis } from '../core/units.ts';
import type { HookResult, HookRunner } from '../ports/hooks.ts';
import type { Tell } from '../ports/tell.ts';
import { VERIFY_LIMIT } from './limits.ts';
import type { AskVerify } from './verifier.ts';

/** A command is killed after so long. */
export const HOOK_LIMIT = 30_000 as Millis;
/** Commands about peers that may wait for their turn; more are left out, and told. */
export const HOOKS_WAITING_MAX = 256;
/** At the end of the tunnel no more of them are begun after so long. */
const END_PATIENCE = 10_000 as Millis;

/**
 * Runs a tunnel's hooks: those of its life when they are called for, those of peers by what is told, one after
 * the other in its order, from `post-up` on. Their failure is told and stops nothing, but `pre-up`'s.
 */
export class TunnelHooks {
  readonly #hooks: Hooks;
  readonly #runner: HookRunner;
  readonly #common: HookEnvironment;
  readonly #device: string;
  readonly #there = new PeersThere();
  #tell: Tell = () => undefined;
  #waiting = 0;
  /** Whether those that wait are not to be begun any more. */
  #late = false;
  #begin: () => void = () => undefined;
  #last: Promise<void>;

  constructor(config: TunnelConfig, runner: HookRunner) {
    this.#hooks = config.hooks;
    this.#runner = runner;
    this.#device = config.inner.device;
    this.#last = new Promise((resolve) => (this.#begin = resolve));
    this.#common = {
      IPIPOU_DEVICE: config.inner.device,
      IPIPOU_NAME: config.name,
      IPIPOU_ROLE: config.role,
      IPIPOU_INNER_IPS: config.inner.ips.join(' '),
      IPIPOU_PORT: String(config.outer.localPort),
    };
  }

  /** `tell`, and the hooks besides, whose failures it is told as well. */
  besides(tell: Tell): Tell {
    this.#tell = tell;
    return (event, peer) => {
      tell(event, peer);
      this.#heed(event, peer);
    };
  }

  /** Before anything is made: rejects when the command fails. */
  async preUp(): Promise<void> {
    const result = await this.#run('pre-up', {});
    if (result?.failure === undefined) return;
    throw new IpipouError('generic', `pre-up: ${result.failure}${saying(result)}`, {
      hint: 'nothing was made; the command is that of the config',
    });
  }

  /** At the end of the tunnel those of peers come before, as far as they are quick. */
  async run(hook: Exclude<LifeHook, 'pre-up'>): Promise<void> {
    if (hook === 'post-up') {
      await this.#runAndTell(hook, {});
      this.#begin();
      return;
    }
    const patience = setTimeout(() => (this.#late = true), END_PATIENCE);
    await this.#last;
    clearTimeout(patience);
    await this.#runAndTell(hook, {});
  }

  /** Whether a peer may come in; undefined where the operator has no command for that. */
  get verify(): AskVerify | undefined {
    if (this.#hooks.verify === undefined) return undefined;
    return async (environment) => {
      const result = await this.#run('verify', environment, VERIFY_LIMIT);
      if (result === undefined) return 'the command cannot be run';
      return result.failure === undefined ? undefined : `${result.failure}${saying(result)}`;
    };
  }

  #heed(event: TunnelEvent, peer: Parameters<Tell>[1]): void {
    const change = this.#there.take(event, peer);
    if (change === undefined || this.#hooks[change.hook] === undefined) return;
    if (this.#waiting >= HOOKS_WAITING_MAX) {
      this.#tell({ kind: 'hook-left-out', hook: change.hook }, peer);
      return;
    }
    this.#waiting += 1;
    this.#last = this.#last.then(async () => {
      if (this.#late) this.#tell({ kind: 'hook-left-out', hook: change.hook }, peer);
      else await this.#runAndTell(change.hook, change.environment);
      this.#waiting -= 1;
    });
  }

  async #runAndTell(hook: HookName, environment: HookEnvironment): Promise<void> {
    const result = await this.#run(hook, environment);
    if (result?.failure === undefined) return;
    this.#tell({ kind: 'hook-failed', hook, error: `${result.failure}${saying(result)}` });
  }

  async #run(
    hook: HookName,
    environment: HookEnvironment,
    limit: Millis = HOOK_LIMIT,
  ): Promise<HookResult | undefined> {
    const command = expandHook(this.#hooks[hook] ?? '', this.#device);
    if (!command) return undefined;
    const all = { ...this.#common, IPIPOU_HOOK: hook, ...environment };
    return this.#runner.run(command, all, limit);
  }
}

function saying({ said }: HookResult): string {
  return said === '' ? '' : `: ${said}`;
}
