import type { TunnelConfig } from '../core/config/tunnel-config.ts';
import type { TroubleReport } from '../core/events/trouble.ts';
import { reportTrouble } from '../core/events/trouble-words.ts';
import type { HostNetwork } from '../ports/host-network.ts';
import type { Tell } from '../ports/tell.ts';

/**
 * Whether there is the device that `fou-dev` names. Who takes it away takes the tunnel's packets, on whatever plane; the
 * tunnel waits for another of that name.
 */
export class OuterDevice {
  readonly #device: string | undefined;
  readonly #host: Pick<HostNetwork, 'hasDevice'>;
  readonly #tell: Tell;
  #missing = false;

  constructor(
    { outer }: Pick<TunnelConfig, 'outer'>,
    { host, tell }: { readonly host: Pick<HostNetwork, 'hasDevice'>; readonly tell: Tell },
  ) {
    this.#device = outer.device;
    this.#host = host;
    this.#tell = tell;
  }

  get troubles(): readonly TroubleReport[] {
    const device = this.#device;
    if (device === undefined || !this.#missing) return [];
    return [reportTrouble({ kind: 'device-missing', device })];
  }

  /** Looks again; tells when it is gone, and when it is back. Never rejects. */
  async look(): Promise<void> {
    const device = this.#device;
    if (device === undefined) return;
    // The kernel that cannot be asked is no sign of either.
    const there = await this.#host.hasDevice(device).catch(() => !this.#missing);
    if (there !== this.#missing) return;
    this.#missing = !there;
    if (there) this.#tell({ kind: 'device-back', device });
    else this.#tell({ kind: 'trouble', trouble: { kind: 'device-missing', device } });
  }
}
