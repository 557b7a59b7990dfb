import type { PeerId } from '../core/config/tunnel-config.ts';
import type { TunnelEvent } from '../core/events/event.ts';

/** Takes all that a tunnel tells of itself; `peer`: whose it is, where that is worth telling. Never throws. */
export interface Tell {
  (event: TunnelEvent, peer?: PeerId): void;
}
