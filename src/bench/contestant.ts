import type { Ip } from '../core/addr.ts';
import type { Side } from './side.ts';
import type { Site } from './site.ts';

/** One way to carry packets from the client to the server; each is a small file of `contestants/`. */
export type Contestant = {
  /** The word for it in options and results. */
  readonly name: string;
  readonly title: string;
  /** `bare`: no tunnel at all. `plain`: nobody is kept from reading. */
  readonly kind: 'bare' | 'plain' | 'encrypted';
  readonly runsIn: 'kernel' | 'user space';
  /** What it keeps strangers on the path from. */
  readonly protects: Protection;
  /** Bytes that a full packet grows by, outer IPv4 header included (that of IPv6 is 20 more); undefined where it varies. */
  readonly overhead: number | undefined;
  /** Of the inner device: the greatest that fits 1500 bytes outside, of IPv4 (`Site.mtu`). */
  readonly mtu: number;
  /**
   * `translates`: the router does source NAT, as in life. `routes`: it passes addresses as they
   * are, for what cannot pass a NAT (no ports, or other ports each way).
   */
  readonly router: 'translates' | 'routes';
  /** How many clients it is measured with at most. */
  readonly clients: number;
  /** What of its setting matters to the figures, one line. */
  readonly remark: string;
  /** Why this machine cannot run it, or undefined; `probe` is a namespace to try things in. */
  readonly unavailable: (probe: Probe) => Promise<string | undefined>;
  /** Why it has no turn where the outside is IPv6; undefined = it has. */
  readonly notOverIpv6?: string;
  /** Makes keys and configs in the site's folder; nothing runs yet. */
  readonly open: (site: Site) => Promise<Tunnel>;
};

/**
 * `secrecy`: reading. `integrity`: changing and injecting; `headers`: with what is behind the headers left open.
 * `replay`: sending again what has been sent.
 */
export type Protection = {
  readonly secrecy: boolean;
  readonly integrity: 'all' | 'headers' | 'none';
  readonly replay: boolean;
};

export const NOTHING: Protection = { secrecy: false, integrity: 'none', replay: false };
export const EVERYTHING: Protection = { secrecy: true, integrity: 'all', replay: true };

/** A namespace for trying what the kernel has. */
export type Probe = { readonly namespace: string };

/** Starts the two ends; what it started is stopped by what `start…` resolved to. */
export type Tunnel = {
  /** What the client reaches the server by. */
  readonly serverAddress: Ip;
  /** Resolves once the server would answer a client. */
  readonly startServer: () => Promise<Side>;
  /** Resolves once all is set going; that packets flow is the caller's to see. */
  readonly startClient: (index: number) => Promise<Side>;
};
