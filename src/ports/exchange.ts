import type { Endpoint } from '../core/addr.ts';

/** Packets to one other side, from a port of their own. */
export interface Exchange {
  /** Failures are told by `onError`. */
  send(payload: Uint8Array): void;
  close(): void;
}

export type OpenExchange = (
  remote: Endpoint,
  on: {
    readonly packet: (payload: Uint8Array) => void;
    /** What the network says; the exchange goes on. */
    readonly error: (error: Error) => void;
  },
) => Exchange;
