import { millis } from '../core/units.ts';
import type { Clock } from '../ports/clock.ts';
import type { ControlHandler, ControlListener, ControlPlace } from '../ports/control.ts';
import type { Tell } from '../ports/tell.ts';
import type { RunClaim } from '../ports/run-store.ts';
import { explain } from './explain.ts';
import { RUN_CHECK } from './limits.ts';
import type { RunKeeper } from './run-keeper.ts';

type Options = {
  readonly claim: RunClaim;
  readonly keeper: Pick<RunKeeper, 'rewrite'>;
  readonly control: ControlListener;
  readonly handler: ControlHandler;
  /** Whose members are told at `claim.statusPath`. */
  readonly group: number | undefined;
  readonly clock: Clock;
  readonly tell: Tell;
};

/**
 * Listens at a tunnel's sockets, and looks now and then whether its run directory is still there:
 * without it nobody finds the tunnel, so one that somebody has deleted is made anew.
 */
export class RunWatch {
  readonly #options: Options;
  #stopListening: () => Promise<void>;
  #cancel: (() => void) | undefined;
  /** Why the directory cannot be made anew. */
  #trouble: string | undefined;
  #closed = false;

  private constructor(options: Options, stopListening: () => Promise<void>) {
    this.#options = options;
    this.#stopListening = stopListening;
    this.#later();
  }

  static async open(options: Options): Promise<RunWatch> {
    return new RunWatch(options, await listen(options));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#stopListening();
  }

  #later(): void {
    if (this.#closed) return;
    const { clock } = this.#options;
    this.#cancel = clock.callAt(millis(clock.now().monotonic + RUN_CHECK), () => {
      void this.#look().then(() => this.#later());
    });
  }

  async #look(): Promise<void> {
    const { claim, keeper, tell } = this.#options;
    try {
      if (claim.intact()) return;
      claim.renew();
      keeper.rewrite();
      await this.#stopListening();
      this.#stopListening = async () => undefined;
      const stop = await listen(this.#options);
      this.#stopListening = stop;
      if (this.#closed) await stop();
      this.#trouble = undefined;
      tell({ kind: 'run-directory-remade' });
    } catch (error) {
      const failure = explain(error);
      if (this.#trouble === failure.error) return;
      this.#trouble = failure.error;
      tell({ kind: 'run-directory-lost', ...failure });
    }
  }
}

async function listen({ claim, control, handler, group }: Options): Promise<() => Promise<void>> {
  const places: readonly ControlPlace[] = [
    { path: claim.controlPath },
    ...(group === undefined ? [] : [{ path: claim.statusPath, group }]),
  ];
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(stops.map((one) => one())));
  try {
    for (const place of places) stops.push(await control.listen(place, handler));
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
