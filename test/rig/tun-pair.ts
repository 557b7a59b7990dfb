import { vi } from 'vitest';
import type { Path } from '../../src/core/addr.ts';
import { port } from '../../src/core/units.ts';
import { ip } from './addresses.ts';
import { TunHost, type TunOptions } from './tun-host.ts';
import { TwoHosts } from './two-hosts.ts';

export const A = { ip: ip('10.9.0.1'), port: port(10000) };
export const B = { ip: ip('10.9.0.2'), port: port(10000) };
export const A_TO_B: Path = { local: A, remote: B };
export const B_TO_A: Path = { local: B, remote: A };
export const INNER_A = ip('172.28.0.1');
export const INNER_B = ip('172.28.0.0');

/**
 * Two tun planes over one cable; its drawing is at the head of two-hosts.ts.
 *
 *     a   ipipou0 172.28.0.1 ── :10000 ┄ v0 ┄ :10000 ── 172.28.0.0 ipipou0   b
 */
export class TunPair implements AsyncDisposable {
  readonly cable: TwoHosts;
  readonly a: TunHost;
  readonly b: TunHost;

  private constructor(cable: TwoHosts, a: TunHost, b: TunHost) {
    this.cable = cable;
    this.a = a;
    this.b = b;
  }

  static async make(): Promise<TunPair> {
    const cable = await TwoHosts.make();
    const [a, b] = await Promise.all([TunHost.in(cable.a), TunHost.in(cable.b)]);
    return new TunPair(cable, a, b);
  }

  /** Bound to one address, so that a test can use the port of the others. */
  async openA(options: Partial<TunOptions> = {}): Promise<void> {
    await this.a.open({ ip: INNER_A, peerIp: INNER_B, localIp: A.ip, ...options });
  }

  async openB(
    options: Partial<TunOptions> = {},
    authLengths: readonly number[] = [],
  ): Promise<void> {
    await this.b.open({ ip: INNER_B, peerIp: INNER_A, ...options }, authLengths);
  }

  /** Opens both ends and admits each to the other. */
  async openBoth(options: Partial<TunOptions> = {}): Promise<void> {
    await Promise.all([this.openA(options), this.openB(options)]);
    await this.admitBoth();
  }

  /** Admits each end to the other. */
  async admitBoth(): Promise<void> {
    await Promise.all([this.a.admit(A_TO_B), this.b.admit(B_TO_A)]);
  }

  /** Packets that the device in b has given to its kernel. */
  async arrivedInB(): Promise<number> {
    const shown = await this.cable.sure(this.cable.b, 'ip', '-j', '-s', 'link', 'show', 'ipipou0');
    const [link] = JSON.parse(shown) as [{ stats64: { rx: { packets: number } } }];
    return link.stats64.rx.packets;
  }

  async heardInB(count: number): Promise<void> {
    await eventually(() => {
      const heard = this.b.packets().length;
      if (heard < count) throw new Error(`b heard ${heard} control packets, not ${count}`);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a[Symbol.asyncDispose](), this.b[Symbol.asyncDispose]()]);
    await this.cable[Symbol.asyncDispose]();
  }
}

export async function eventually(check: () => Promise<void> | void): Promise<void> {
  await vi.waitFor(check, { timeout: 10_000, interval: 20 });
}
