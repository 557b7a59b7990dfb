import { seconds } from '../units.ts';
import type { Ipv4, Prefix } from '../addr.ts';
import {
  CONNECTION_IDLE,
  DEAD_PEER_TIMEOUT,
  DEFAULT_SECRET,
  MAX_TIME_DISCREPANCY,
} from './limits.ts';
import type { PeerView } from './peer-view.ts';
import type { Filled } from './slots.ts';
import {
  DEFAULT_PEER,
  type PeerConfig,
  type Proof,
  type TimerConfig,
  type TunnelConfig,
} from './tunnel-config.ts';

const defaultSecret = new TextEncoder().encode(DEFAULT_SECRET);

/** A peer whose options are sound. What it has in common with others it shares with them. */
export function buildPeer(view: PeerView, innerIp: Ipv4): PeerConfig {
  const { id, own, slots, base } = view;
  return {
    id,
    auth: {
      proof: chooseProof(slots, base.role),
      byRemoteIp: own.byRemoteIp ?? false,
      byRemotePort: own.byRemotePort ?? false,
      packetTtl: slots.packetTtl,
      replyOnAuthOk: slots.replyOnAuthOk ?? false,
    },
    timers: setsTimer(own) ? timersOf(slots) : base.timers,
    remoteHost: own.remoteHost,
    remotePort: own.remotePort,
    innerIp,
    allowedIps: allowedIpsOf(view, innerIp),
  };
}

/** Where nothing is verified and nothing signed there is nothing that keys could prove. */
export function chooseProof(slots: Filled, role: TunnelConfig['role']): Proof {
  const { token, privateSeed, peerPublicKey } = slots;
  if (token !== undefined) return { kind: 'token', token };
  const proving = role === 'server' ? peerPublicKey : (privateSeed ?? peerPublicKey);
  if (proving === undefined) return { kind: 'none' };
  return {
    kind: 'ed25519',
    privateSeed,
    peerPublicKey,
    secret: slots.secret ?? defaultSecret,
    maxTimeDiscrepancy: slots.maxTimeDiscrepancy ?? MAX_TIME_DISCREPANCY,
  };
}

export function timersOf(slots: Filled): TimerConfig {
  return {
    authLifetime: slots.authLifetime ?? seconds(0),
    keepalive: slots.keepalive ?? seconds(0),
    connectionIdle: slots.connectionIdle ?? CONNECTION_IDLE,
    deadPeerTimeout: slots.deadPeerTimeout ?? DEAD_PEER_TIMEOUT,
  };
}

function setsTimer(own: Filled): boolean {
  return (
    own.authLifetime !== undefined ||
    own.keepalive !== undefined ||
    own.connectionIdle !== undefined ||
    own.deadPeerTimeout !== undefined
  );
}

function allowedIpsOf({ id, own }: PeerView, innerIp: Ipv4): readonly Prefix[] | 'any' {
  if (own.allowedIps === undefined && id === DEFAULT_PEER) return 'any';
  const others = own.allowedIps?.filter(({ ip, length }) => ip !== innerIp || length !== 32) ?? [];
  return [{ ip: innerIp, length: 32 }, ...others];
}

/** Peers as they are beside each other: the default one takes what is left only while it is alone. */
export function besideOthers(peers: readonly PeerConfig[]): readonly PeerConfig[] {
  const [first] = peers;
  if (first?.allowedIps !== 'any' || peers.length === 1) return peers;
  const allowedIps = [{ ip: first.innerIp, length: 32 }];
  return [{ ...first, allowedIps }, ...peers.slice(1)];
}
