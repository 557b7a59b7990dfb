import { KernelError } from '../../core/errors.ts';
import {
  decodeFou,
  encodeAddFou,
  encodeDelFou,
  encodeGetFou,
  FOU_GENL_NAME,
  type FouIdentity,
  type FouListener,
  type FouSpec,
} from '../../core/netlink/fou.ts';
import { decodeFamily, encodeGetFamily } from '../../core/netlink/generic.ts';
import { NETLINK_GENERIC } from '../../core/netlink/message.ts';
import { readAnswer, unless } from './answers.ts';
import { openNetlink, type NetlinkSocket } from './socket.ts';

export type { FouIdentity, FouListener, FouSpec } from '../../core/netlink/fou.ts';

/**
 * FOU listeners of one network namespace. Failures reject with KernelError, exit `fou`; so does
 * every call when the kernel has no FOU.
 */
export interface FouNetlink extends Disposable {
  list(): Promise<readonly FouListener[]>;
  add(spec: FouSpec): Promise<void>;
  /** Removes the listener of exactly this port, address and device; no failure when it is gone. */
  remove(listener: FouIdentity): Promise<void>;
  close(): void;
}

/** Opens generic netlink in the namespace of the calling thread; the family is looked up when first needed. */
export function openFouNetlink(): FouNetlink {
  return new FouClient(openNetlink({ family: NETLINK_GENERIC, subject: 'FOU', exit: 'fou' }));
}

class FouClient implements FouNetlink {
  readonly #socket: NetlinkSocket;
  #known: number | undefined;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  async list(): Promise<readonly FouListener[]> {
    const messages = await this.#socket.dump(encodeGetFou(await this.#family()));
    return messages.map((message) => readAnswer(decodeFou, message, 'FOU_CMD_GET', 'fou'));
  }

  async add(spec: FouSpec): Promise<void> {
    const call = encodeAddFou(await this.#family(), spec);
    await this.#socket.request({ ...call, subject: `FOU port ${spec.port}` });
  }

  async remove(listener: FouIdentity): Promise<void> {
    const call = encodeDelFou(await this.#family(), listener);
    const request = this.#socket.request({ ...call, subject: `FOU port ${listener.port}` });
    // The kernel says EINVAL when there is none like it (6.1), others may say ENOENT.
    await unless(['EINVAL', 'ENOENT'], undefined, request);
  }

  /** Asked anew until it is there: the module may be loaded later. */
  async #family(): Promise<number> {
    this.#known ??= await this.#lookUp();
    return this.#known;
  }

  async #lookUp(): Promise<number> {
    const request = encodeGetFamily(FOU_GENL_NAME);
    try {
      const message = await this.#socket.get({ ...request, subject: 'FOU' });
      return readAnswer(decodeFamily, message, request.operation, 'fou');
    } catch (error) {
      if (!(error instanceof KernelError) || error.errno !== 'ENOENT') throw error;
      const { operation, errno, subject } = error;
      const words = error.words ?? 'this kernel has no FOU (module "fou")';
      throw new KernelError(
        'fou',
        { operation, errno, words, subject },
        { hint: 'load the kernel module: modprobe fou', cause: error },
      );
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
