import { seconds } from '../units.ts';
import { hostPrefix, isHostOf, type InnerIp, type Prefix } from '../addr.ts';
import {
  CONNECTION_IDLE,
  DEAD_PEER_TIMEOUT,
  DEFAULT_SECRET,
  KEEPALIVE,
  MAX_TIME_DISCREPANCY,
} from './limits.ts';
import { slotsOf } from './option.ts';
import { heard, type PeerBase, type PeerView } from './peer-view.ts';
import type { Filled } from './slots.ts';
import {
  DEFAULT_PEER,
  type AuthConfig,
  type PeerConfig,
  type Proof,
  type TimerConfig,
} from './tunnel-config.ts';

const defaultSecret = new TextEncoder().encode(DEFAULT_SECRET);

/** A peer whose options are sound. What it has in common with others it shares with them. */
export function buildPeer(view: PeerView, innerIps: readonly InnerIp[]): PeerConfig {
  const { id, own, base } = view;
  return {
    id,
    proof: chooseProof(view),
    auth: says(own, base.auth) ? authOf(own, base.inherited) : base.auth,
    timers: says(own, base.timers)
      ? timersOf({ ...base.inherited, ...own }, base.role)
      : base.timers,
    remoteHost: own.remoteHost,
    remotePort: own.remotePort,
    innerIps,
    allowedIps: allowedIpsOf(view, innerIps),
    ...publicIpsOf(view),
    ...exposedOf(view),
    ...invitationOf(view),
  };
}

/** Nothing of a peer that exposes nothing: there may be a hundred thousand of them. */
function exposedOf({ own }: PeerView): Pick<PeerConfig, 'exposed'> {
  const { expose: services = [], exposeFrom: from = [] } = own;
  return services.length === 0 ? {} : { exposed: { services, from } };
}

function publicIpsOf({ own }: PeerView): Pick<PeerConfig, 'publicIps'> {
  return own.publicIps?.length ? { publicIps: own.publicIps } : {};
}

function invitationOf({ own: { invitedUntil } }: PeerView): Pick<PeerConfig, 'invitedUntil'> {
  return invitedUntil ? { invitedUntil } : {};
}

/** Where nothing is verified and nothing signed there is nothing that keys could prove. */
function chooseProof(view: PeerView): Proof {
  const { token, peerPublicKey } = view.own;
  const privateSeed = heard(view, 'privateSeed');
  if (token !== undefined) return { kind: 'token', token };
  const proving = view.base.role === 'server' ? peerPublicKey : (privateSeed ?? peerPublicKey);
  if (proving === undefined) return { kind: 'none' };
  return {
    kind: 'ed25519',
    privateSeed,
    peerPublicKey,
    secret: view.own.secret ?? sharedSecret(view.base),
    maxTimeDiscrepancy: heard(view, 'maxTimeDiscrepancy') ?? MAX_TIME_DISCREPANCY,
  };
}

export function authOf(own: Filled, inherited: Filled): AuthConfig {
  return {
    byRemoteIp: own.byRemoteIp ?? false,
    byRemotePort: own.byRemotePort ?? false,
    packetTtl: own.packetTtl ?? inherited.packetTtl,
    replyOnAuthOk: own.replyOnAuthOk ?? inherited.replyOnAuthOk ?? false,
    session: own.session ?? inherited.session ?? 'auto',
    integrity: own.integrity ?? inherited.integrity ?? 'none',
  };
}

/** Whether an option says any of a part's fields, whose names are those of their slots. */
function says(own: Filled, part: AuthConfig | TimerConfig): boolean {
  return slotsOf(own).some((name) => name in part);
}

export function timersOf(slots: Filled, role: PeerBase['role']): TimerConfig {
  return {
    authLifetime: slots.authLifetime ?? seconds(0),
    keepalive: slots.keepalive ?? (role === 'client' ? KEEPALIVE : seconds(0)),
    connectionIdle: slots.connectionIdle ?? CONNECTION_IDLE,
    deadPeerTimeout: slots.deadPeerTimeout ?? DEAD_PEER_TIMEOUT,
  };
}

function allowedIpsOf(
  { id, own, base }: PeerView,
  innerIps: readonly InnerIp[],
): readonly Prefix[] | 'any' {
  if (own.allowedIps === undefined && id === DEFAULT_PEER) return 'any';
  // `map` leaves no room to grow, and most peers have no more than themselves.
  const ips = base.role === 'server' ? [...innerIps, ...(own.publicIps ?? [])] : innerIps;
  const itself = ips.map((ip) => hostPrefix(ip));
  if (own.allowedIps === undefined) return itself;
  return [...itself, ...own.allowedIps.filter((prefix) => !isHostOf(prefix, ips))];
}

/** The secret of peers that say no other. */
export function sharedSecret({ inherited }: PeerBase): Uint8Array {
  return inherited.secret ?? defaultSecret;
}

/** Peers as they are beside each other: the default one takes what is left only while it is alone. */
export function settlePeers(peers: readonly PeerConfig[], base: PeerBase): readonly PeerConfig[] {
  const [first, ...others] = peers;
  if (first?.id !== DEFAULT_PEER || !base.defaultTakesAny) return peers;
  const alone = others.length === 0;
  if (alone === (first.allowedIps === 'any')) return peers;
  const allowedIps = alone ? 'any' : first.innerIps.map((ip) => hostPrefix(ip));
  return [{ ...first, allowedIps }, ...others];
}
