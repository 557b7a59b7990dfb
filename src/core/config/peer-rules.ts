import {
  isHostOf,
  familyOf,
  formatPrefix,
  ofFamily,
  parseOuterIp,
  prefixHolds,
  type InnerIp,
} from '../addr.ts';
import { formatBase64 } from '../base64.ts';
import type { ConfigProblem } from '../errors.ts';
import { familiesAsked, formatService, type Exposure } from './exposure.ts';
import { carries, familyName } from './families.ts';
import { heard, type PeerView } from './peer-view.ts';
import { COMMAND_LINE, problemAt, sayAt, type Setting } from './setting.ts';
import type { SlotName } from './slots.ts';
import { isUnicast } from './syntax.ts';
import { DEFAULT_PEER, type TunnelConfig } from './tunnel-config.ts';

/** Everything that is wrong with one peer though each of its options by itself is right. */
export function checkPeer(view: PeerView): readonly ConfigProblem[] {
  return [
    ...checkAuthentication(view),
    ...checkSession(view),
    ...checkRemote(view),
    ...checkInner(view),
    ...checkExposed(view),
    ...checkPublic(view),
    ...checkInvitation(view),
  ];
}

/** Options that the other role has. */
export function checkRoles(
  settings: readonly Setting[],
  role: TunnelConfig['role'],
): readonly ConfigProblem[] {
  return settings
    .filter(({ option }) => option.role !== 'both' && option.role !== role)
    .map((setting) =>
      sayAt(setting, `${setting.option.name} is for a ${setting.option.role}; this is a ${role}`),
    );
}

/** The problem of an option that is needed and not given; none if what was given is wrong already. */
export function missing(
  at: Pick<PeerView, 'problems' | 'place'>,
  names: readonly string[],
  expected: string,
): ConfigProblem[] {
  if (at.problems.some((problem) => names.includes(problem.key))) return [];
  const { source, line } = at.place;
  return [{ source, line, key: names[0] ?? '', value: undefined, expected }];
}

/**
 * Who needs which keys. A server has to verify: without the client's public key it could admit
 * nobody. A client has to sign. The other key of each is for replies and may be left out. A section
 * of a server says how its client proves who it is: nobody is let in because a line is missing.
 */
function checkAuthentication(view: PeerView): readonly ConfigProblem[] {
  const { own, origins, base } = view;
  const { token, privateSeed, peerPublicKey } = own;
  const found: ConfigProblem[] = [];
  const tokenOrigin = origins.get('token');
  if (token && tokenOrigin && (privateSeed ?? peerPublicKey)) {
    const names = [
      ...(privateSeed ? ['`auth-key-b64`'] : []),
      ...(peerPublicKey ? ['`auth-remote-pubkey-b64`'] : []),
    ].join(' and ');
    found.push(problemAt(tokenOrigin, `either a token or keys, not both (${names} is given too)`));
  }
  const keyOrigin = origins.get('peerPublicKey');
  const seed = heard(view, 'privateSeed');
  if (peerPublicKey && keyOrigin && seed && formatBase64(seed) === peerPublicKey) {
    found.push(
      sayAt(
        keyOrigin,
        'auth-key-b64 and auth-remote-pubkey-b64 are the same: one is a private key and one a public one ' +
          '(ipipou pubkey tells the public key of a private one)',
      ),
    );
  }
  const authOrigin = origins.get('auth');
  if (authOrigin && provesItself(view)) {
    found.push(sayAt(authOrigin, 'auth none, and a proof of who the client is: only one of them'));
  }
  if (base.role === 'server' && !saysWho(view) && view.place.source === COMMAND_LINE) {
    found.push(
      ...missing(view, ['auth', ...PROOFS], NOBODY_NAMED).map((problem): ConfigProblem => ({
        ...problem,
        sentence: true,
      })),
    );
  }
  if (base.role === 'server' && privateSeed && !peerPublicKey && !token) {
    const expected =
      "the client's public key: with keys, a server without it could admit nobody " +
      '(`auth-key-b64` only signs replies)';
    found.push(...missing(view, ['auth-remote-pubkey-b64'], expected));
  } else if (base.role === 'server' && view.id !== DEFAULT_PEER && !provesItself(view)) {
    const expected =
      "the client's public key, or `auth-token`, or `auth-by-remote-ip`: " +
      'a section says how its client proves who it is';
    found.push(...missing(view, PROOFS, expected));
  }
  if (base.role === 'client' && peerPublicKey && !heard(view, 'privateSeed')) {
    const expected =
      'the own private key: with keys, a client without it could not authenticate ' +
      '(`auth-remote-pubkey-b64` only verifies replies)';
    found.push(...missing(view, ['auth-key-b64'], expected));
  }
  return found;
}

/** Session 2 proves both sides, and only what it agrees on can mark packets. */
function checkSession(view: PeerView): readonly ConfigProblem[] {
  const { own, origins } = view;
  const session = heard(view, 'session') ?? 'auto';
  const integrity = heard(view, 'integrity') ?? 'none';
  const asks = session === 'v2' ? 'session v2' : `integrity ${integrity}`;
  if (session !== 'v2' && integrity === 'none') return [];
  const origin = origins.get(session === 'v2' ? 'session' : 'integrity');
  if (session === 'v1') {
    return origin ? [sayAt(origin, `${asks} needs session v2, and this is session v1`)] : [];
  }
  if (own.token !== undefined) {
    return origin ? [sayAt(origin, `${asks} needs keys, and this peer has a token`)] : [];
  }
  const lacks = (key: string, whose: string) =>
    missing(view, [key], `${whose}: ${asks} proves both sides to each other`);
  return [
    ...(heard(view, 'privateSeed') ? [] : lacks('auth-key-b64', 'the own private key')),
    ...(own.peerPublicKey ? [] : lacks('auth-remote-pubkey-b64', "the other side's public key")),
  ];
}

const PROOFS = ['auth-remote-pubkey-b64', 'auth-token', 'auth-token-b64', 'auth-by-remote-ip'];

const NOBODY_NAMED =
  'nothing says who the client is: give auth-remote-pubkey-b64, auth-token or auth-by-remote-ip; ' +
  'or auth none, to take whoever sends a packet';

/** Whether the default peer's options say who it is, if only that it may be anybody. */
function saysWho(view: PeerView): boolean {
  const { own } = view;
  const keys = heard(view, 'privateSeed');
  return (
    provesItself(view) || Boolean(keys ?? own.byRemotePort ?? own.auth) || view.id !== DEFAULT_PEER
  );
}

function provesItself({ own }: PeerView): boolean {
  return Boolean(own.peerPublicKey ?? own.token ?? own.byRemoteIp);
}

function checkRemote(view: PeerView): readonly ConfigProblem[] {
  const { remoteHost, remotePort, byRemoteIp, byRemotePort } = view.own;
  const client = view.base.role === 'client';
  const found: ConfigProblem[] = [];
  if (remoteHost === undefined && (client || byRemoteIp)) {
    const why = client ? 'the server' : 'what `auth-by-remote-ip` is to accept';
    const expected = `an address or a host name: ${why}`;
    found.push(...missing(view, ['fou-remote-ip', 'fou-remote'], expected));
  }
  if (remotePort === undefined && (client || byRemotePort)) {
    const why = client ? "the server's" : 'what `auth-by-remote-port` is to accept';
    const expected = `a port from 1 to 65535: ${why}`;
    found.push(...missing(view, ['fou-remote-port', 'fou-remote'], expected));
  }
  const literal = parseOuterIp(remoteHost ?? '');
  const origin = view.origins.get('remoteHost');
  if (literal && origin && !view.base.outerFamilies.includes(familyOf(literal))) {
    const [only] = view.base.outerFamilies;
    found.push(
      sayAt(
        origin,
        `${literal} is ${familyName(familyOf(literal))}, and fou-family or fou-local-ip leave ` +
          `${familyName(only ?? 'ipv4')} only`,
      ),
    );
  }
  return found;
}

function checkInner(view: PeerView): readonly ConfigProblem[] {
  const { innerIps, own, base, origins } = view;
  const found: ConfigProblem[] = [];
  const refuseAt = (slot: SlotName, expected: string) => {
    const origin = origins.get(slot);
    if (origin) found.push(problemAt(origin, expected));
    return origin;
  };
  if (innerIps.some((ip) => !isUnicast(ip))) {
    const refused = refuseAt(
      'innerIps',
      '`tunl-peer-ip` with it: its neighbour is no unicast address',
    );
    if (!refused)
      found.push(...missing(view, ['tunl-peer-ip'], "an address: tunl-ip's neighbour is none"));
  } else if (innerIps.some((ip) => base.tunnelIps.includes(ip))) {
    refuseAt('innerPeerIps', 'another address than `tunl-ip`');
  }
  const itself = innerIps.find((ip) => ip === own.remoteHost);
  if (itself !== undefined) {
    refuseAt('remoteHost', "another address than the tunnel's: it is the peer's inner one");
  }
  const ownPrefix = own.allowedIps?.find((prefix) => isHostOf(prefix, base.tunnelIps));
  if (ownPrefix) {
    refuseAt('allowedIps', `prefixes without ${ownPrefix.ip}, which is \`tunl-ip\``);
  }
  if (base.tunnelIps.length === 0) return found;
  const strange = (ip: InnerIp) => !carries({ ips: base.tunnelIps }, familyOf(ip));
  const ip = innerIps.find(strange);
  if (ip !== undefined) refuseAt('innerPeerIps', `${familyWithout(ip)} (${ip} is one)`);
  const prefix = own.allowedIps?.find((allowed) => strange(allowed.ip));
  if (prefix)
    refuseAt('allowedIps', `${familyWithout(prefix.ip)} (${formatPrefix(prefix)} is one)`);
  return found;
}

function familyWithout(ip: InnerIp): string {
  const name = familyName(familyOf(ip));
  return `no ${name} while \`tunl-ip\` has no ${name} address`;
}

/** Who registers proves himself by the invitation's key, and is answered by the server's. */
function checkInvitation(view: PeerView): readonly ConfigProblem[] {
  const origin = view.origins.get('invitedUntil');
  const { invitedUntil, peerPublicKey } = view.own;
  if (origin === undefined || !invitedUntil) return [];
  if (view.id === DEFAULT_PEER)
    return [sayAt(origin, 'invited-until belongs into a section: put it behind a line `peer`')];
  const lacking = [
    ...(peerPublicKey ? [] : ['auth-remote-pubkey-b64, which is the key of the invitation']),
    ...(heard(view, 'privateSeed') ? [] : ['auth-key-b64, to sign the answer']),
    ...(heard(view, 'replyOnAuthOk') ? [] : ['reply-on-auth-ok']),
  ];
  return lacking.map((what) => sayAt(origin, `an invitation needs ${what}`));
}

/** What a peer exposes has to be the peer's, and must not take what the tunnel itself needs. */
function checkExposed(view: PeerView): readonly ConfigProblem[] {
  const origin = view.origins.get('expose');
  const { own } = view;
  if (origin === undefined || view.innerIps.length === 0) return [];
  return (own.expose ?? [])
    .map((service) => wrongWith(service, view))
    .filter((sentence) => sentence !== undefined)
    .map((sentence) => sayAt(origin, sentence));
}

function wrongWith(service: Exposure, { innerIps, own, base }: PeerView): string | undefined {
  const name = formatService(service);
  const { targetIp: target, protocol, first, last } = service;
  if (protocol === 'udp' && first <= base.localPort && base.localPort <= last) {
    return `${name}: UDP port ${base.localPort} is the tunnel's own (fou-local-port)`;
  }
  if (target !== undefined) {
    const theirs = innerIps.includes(target);
    if (theirs || own.allowedIps?.some((prefix) => prefixHolds(prefix, target))) return undefined;
    return `${name}: ${target} is not behind the peer: put it into the peer's allowed-ips`;
  }
  const family = familiesAsked(service);
  if (family === undefined || ofFamily(innerIps, family) !== undefined) return undefined;
  return `${name}: the peer has no ${familyName(family)} address inside the tunnel (tunl-peer-ip)`;
}

function checkPublic({ id, own, base, innerIps, origins }: PeerView): readonly ConfigProblem[] {
  const origin = origins.get('publicIps');
  if (origin === undefined || !own.publicIps?.length) return [];
  const taken = own.publicIps.find((ip) => base.tunnelIps.includes(ip) || innerIps.includes(ip));
  if (taken !== undefined) {
    return [problemAt(origin, `addresses besides those inside the tunnel, which ${taken} is`)];
  }
  const strange = own.publicIps.find((ip) => !carries({ ips: base.tunnelIps }, familyOf(ip)));
  if (strange !== undefined && base.tunnelIps.length > 0) {
    return [problemAt(origin, `${familyWithout(strange)} (${strange} is one)`)];
  }
  if (base.role === 'client' || id !== DEFAULT_PEER || own.allowedIps !== undefined) return [];
  return [
    sayAt(
      origin,
      'public-ip is for a peer that says what is behind it: put it into a section of its own',
    ),
  ];
}
