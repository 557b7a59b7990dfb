/** Commands of the operator that a tunnel runs at its start and end, and when something becomes of a peer. */
import { formatEndpoint, type Endpoint } from './addr.ts';
import { DEFAULT_PEER, type PeerId } from './config/tunnel-config.ts';
import type { TunnelEvent } from './events/event.ts';
import type { PeerHook } from './hook-names.ts';

/** What a command finds in its environment; each name begins with IPIPOU_. Nothing in it is secret. */
export type HookEnvironment = Readonly<Record<string, string>>;

/** What of an event calls for a hook. */
export type PeerChange = {
  readonly hook: PeerHook;
  readonly peer: PeerId;
  readonly environment: HookEnvironment;
};

/** Which of a tunnel's peers are there, as their hooks were told: each comes and goes in turns. */
export class PeersThere {
  readonly #there = new Map<PeerId, string>();

  /** What has become of a peer by an event; undefined where it calls for no hook. */
  take(event: TunnelEvent, peer: PeerId = DEFAULT_PEER): PeerChange | undefined {
    switch (event.kind) {
      case 'established':
      case 'back':
      case 'moved':
      case 'resumed':
        return this.#seen(peer, event.remote);
      case 'silent':
      case 'expired':
      case 'ran-out':
      case 'displaced':
      case 'turned-away':
      case 'peer-removed':
        return this.#gone(peer);
      case 'path-mtu':
        return {
          hook: 'mtu-changed',
          peer,
          environment: { IPIPOU_PEER: peer, IPIPOU_MTU: String(event.mtu ?? '') },
        };
      default:
        return undefined;
    }
  }

  #seen(peer: PeerId, remote: Endpoint): PeerChange | undefined {
    const before = this.#there.get(peer);
    const now = formatEndpoint(remote);
    if (before === now) return undefined;
    this.#there.set(peer, now);
    const environment = { IPIPOU_PEER: peer, IPIPOU_ENDPOINT: now };
    if (before === undefined) return { hook: 'peer-up', peer, environment };
    return {
      hook: 'peer-moved',
      peer,
      environment: { ...environment, IPIPOU_PREVIOUS_ENDPOINT: before },
    };
  }

  #gone(peer: PeerId): PeerChange | undefined {
    const before = this.#there.get(peer);
    if (before === undefined) return undefined;
    this.#there.delete(peer);
    return {
      hook: 'peer-down',
      peer,
      environment: { IPIPOU_PEER: peer, IPIPOU_PREVIOUS_ENDPOINT: before },
    };
  }
}

const PLAIN_DEVICE = /^[A-Za-z0-9._-]+$/;

/**
 * The command with `%i` for the device's name and `%%` for a percent sign, as wg-quick(8) has it; undefined
 * where another letter follows a percent sign, or the name would mean something to the shell.
 */
export function expandHook(command: string, device: string): string | undefined {
  let sound = true;
  const text = command.replaceAll(/%(.?)/gs, (_, letter: string) => {
    if (letter === '%') return '%';
    sound &&= letter === 'i' && PLAIN_DEVICE.test(device);
    return device;
  });
  return sound ? text : undefined;
}
