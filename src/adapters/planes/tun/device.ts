import type { InnerIp } from '../../../core/addr.ts';
import { defaultPeer } from '../../../core/config/peers.ts';
import type { TunnelConfig } from '../../../core/config/tunnel-config.ts';
import { KernelError, withExit } from '../../../core/errors.ts';
import type { ExitName } from '../../../core/exit-codes.ts';
import type { IfIndex } from '../../../core/units.ts';
import { close } from '../../ffi/libc.ts';
import type { RouteNetlink } from '../../netlink/route.ts';
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
    const fd = createTunDevice(device, this.#vnetHeader);
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

  /** Whether the device is there under its name, up, and has its address. */
  async whole(): Promise<'whole' | 'undressed' | 'gone'> {
    const link = await this.#route.linkByName(this.#config.inner.device);
    if (!link || link.index !== this.#made?.index) return 'gone';
    return link.up && (await this.#hasAddress(link.index)) ? 'whole' : 'undressed';
  }

  /** Gives the device its MTU, address and state, changing only what differs. */
  async dress(mtu: number): Promise<void> {
    const { device, ip } = this.#config.inner;
    const link = await this.#route.linkByName(device);
    if (!link || link.index !== this.#made?.index) throw vanished(device);
    if (!link.up || link.mtu !== mtu) {
      await refile('link', this.#route.setLink(link.index, { up: true, mtu }));
    }
    if (!(await this.#hasAddress(link.index))) {
      await refile(
        'address',
        this.#route.addAddress({ index: link.index, ip, peer: this.#peerIp, prefix: 32 }),
        'tunl-ip and tunl-peer-ip must be free on this host',
      );
    }
  }

  async mtu(): Promise<number | undefined> {
    return (await this.#route.linkByName(this.#config.inner.device))?.mtu;
  }

  /** Removes the device, by closing its descriptor; nothing may use that any more. */
  remove(): void {
    if (this.#made) close(this.#made.fd);
    this.#made = undefined;
  }

  async #hasAddress(index: IfIndex): Promise<boolean> {
    const { ip } = this.#config.inner;
    const addresses = await this.#route.addresses({ index });
    return addresses.some((address) => address.ip === ip && address.peer === this.#peerIp);
  }

  /** The other end, where the tunnel has one that goes without a name; other peers have routes. */
  get #peerIp(): InnerIp | undefined {
    return defaultPeer(this.#config)?.innerIp;
  }
}

function vanished(device: string): KernelError {
  return new KernelError(
    'link',
    { operation: 'RTM_GETLINK', errno: 'ENODEV', subject: `link ${device}` },
    { hint: 'something removes or renames the device while it is being set up' },
  );
}

async function refile(exit: ExitName, promise: Promise<unknown>, hint?: string): Promise<void> {
  try {
    await promise;
  } catch (error) {
    throw withExit(error, exit, hint);
  }
}
