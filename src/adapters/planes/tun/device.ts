import { familyOf } from '../../../core/addr.ts';
import { carries } from '../../../core/config/families.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { KernelError, refile } from '../../../core/errors.ts';
import type { IfIndex } from '../../../core/units.ts';
import { close } from '../../ffi/libc.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
import { addAddress, missingAddresses, tunnelAddresses } from '../device-address.ts';
import { withIpv6 } from '../device-ipv6.ts';
import { createTunDevice, deviceExists } from './tun-device.ts';

/** The TUN device of one tunnel, dressed as configured. Lives as long as its descriptor. */
export class TunDevice {
  readonly #route: RouteNetlink;
  readonly #config: TunnelConfig;
  readonly #vnetHeader: boolean;
  #made: { readonly fd: number; readonly index: IfIndex } | undefined;

  /** `vnetHeader`: see createTunDevice. */
  constructor(route: RouteNetlink, config: TunnelConfig, vnetHeader: boolean) {
    this.#route = route;
    this.#config = config;
    this.#vnetHeader = vnetHeader;
  }

  /** Kernel index while we hold a device. */
  get index(): IfIndex | undefined {
    return this.#made?.index;
  }

  /**
   * Makes the device and returns the descriptor of its packets. An older device of ours stays until
   * `release` is called with its descriptor. Rejects with exit 'link' when the name is taken.
   */
  async create(): Promise<number> {
    const { device } = this.#config.inner;
    if (await this.#route.linkByName(device)) throw deviceExists(device, 'RTM_GETLINK');
    const fd = createTunDevice(device, this.#vnetHeader, carries(this.#config.inner, 'ipv6'));
    try {
      const link = await this.#route.linkByName(device);
      if (!link) throw vanished(device);
      this.#made = { fd, index: link.index };
      return fd;
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** The descriptor of the device as it is now. */
  get fd(): number | undefined {
    return this.#made?.fd;
  }

  /** Whether the device is there under its name, up, and has its addresses. */
  async whole(): Promise<'whole' | 'undressed' | 'gone'> {
    const link = await this.#route.linkByName(this.#config.inner.device);
    if (!link || link.index !== this.#made?.index) return 'gone';
    return link.up && (await this.#missing(link.index)).length === 0 ? 'whole' : 'undressed';
  }

  /** Gives the device its MTU, addresses and state, changing only what differs. */
  async dress(mtu: number): Promise<void> {
    const { device } = this.#config.inner;
    const link = await this.#route.linkByName(device);
    if (!link || link.index !== this.#made?.index) throw vanished(device);
    if (!link.up && carries(this.#config.inner, 'ipv6')) await withIpv6(this.#route, link);
    if (!link.up || link.mtu !== mtu) {
      await refile('link', this.#route.setLink(link.index, { up: true, mtu }));
    }
    const missing = await this.#missing(link.index);
    // Whoever took it away may have switched IPv6 off.
    if (missing.some(({ ip }) => familyOf(ip) === 'ipv6')) await withIpv6(this.#route, link);
    for (const address of missing) await addAddress(this.#route, link.index, address);
  }

  async mtu(): Promise<number | undefined> {
    return (await this.#route.linkByName(this.#config.inner.device))?.mtu;
  }

  /** Removes the device, by closing its descriptor; nothing may use that any more. */
  remove(): void {
    if (this.#made) close(this.#made.fd);
    this.#made = undefined;
  }

  #missing(index: IfIndex): ReturnType<typeof missingAddresses> {
    return missingAddresses(this.#route, index, tunnelAddresses(this.#config));
  }
}

function vanished(device: string): KernelError {
  return new KernelError(
    'link',
    { operation: 'RTM_GETLINK', errno: 'ENODEV', subject: `link ${device}` },
    { hint: 'something removes or renames the device while it is being set up' },
  );
}
