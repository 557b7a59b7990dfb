import type { Family, OuterIp } from '../core/addr.ts';

/** How this host reaches an address. */
export type OutwardRoute = {
  readonly source: OuterIp;
  readonly device: string;
  /** Of the route, else of its device (outer bytes); not what was learnt of the path. */
  readonly mtu: number;
};

/** This host's addresses and routes, and word of their changes. */
export interface HostNetwork {
  /** First IPv4 address of a device; undefined when it has none or does not exist. */
  firstAddress(device: string): Promise<OuterIp | undefined>;
  /** Whether there is a device of that name. */
  hasDevice(device: string): Promise<boolean>;
  /** The route the kernel would take to `remote` (out of `device` if given); undefined when unreachable. */
  routeTo(remote: OuterIp, device: string | undefined): Promise<OutwardRoute | undefined>;
  /** Calls back after links, addresses or routes changed (coalesced); returns what stops it. */
  onChange(callback: () => void): () => void;
}

/** Name resolution. */
export interface Resolver {
  /** Addresses of these families, the best first. Rejects when the name has none of them now. */
  resolve(
    host: string,
    families: readonly Family[],
    signal: AbortSignal,
  ): Promise<readonly OuterIp[]>;
}
