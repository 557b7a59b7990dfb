import { ipv4Add } from '../addr.ts';
import type { ConfigProblem } from '../errors.ts';
import { FIRST_INNER_IP, NUMBER_FROM_QUEUE_MAX, TOKEN_SAFE_BYTES } from './limits.ts';
import type { Merged } from './merge.ts';
import { problemAt, type Setting } from './setting.ts';
import type { Filled, SlotName } from './slots.ts';
import { isUnicast } from './syntax.ts';

/** What the rules look at: the merged settings, and what depends on several of them. */
export type Situation = Merged & {
  readonly role: 'server' | 'client';
  readonly number: number;
  readonly innerIp: Filled['innerIp'];
  readonly innerPeerIp: Filled['innerPeerIp'];
  /** Where an option that is missing should be given: the last file, else the command line. */
  readonly lastSource: string;
};

export function situate(merged: Merged, lastSource: string): Situation {
  const { slots } = merged;
  const role = slots.role ?? (isServerInAllButName(merged) ? 'server' : 'client');
  const number = chooseNumber(slots);
  const innerIp =
    slots.innerIp ?? (role === 'server' ? ipv4Add(FIRST_INNER_IP, 2 * number) : undefined);
  const innerPeerIp =
    slots.innerPeerIp ?? (innerIp && ipv4Add(innerIp, role === 'server' ? 1 : -1));
  return { ...merged, role, number, innerIp, innerPeerIp, lastSource };
}

/**
 * Whether a config without `client` or `server` can only be meant for a server: it sets what only a
 * server has, nothing that only a client has, and no other side to go to. As a client it would be
 * refused, so taking it for the server can never turn a sound client into one.
 */
function isServerInAllButName({ slots, settings }: Merged): boolean {
  const sets = (role: 'client' | 'server') => settings.some(({ option }) => option.role === role);
  return slots.remoteHost === undefined && sets('server') && !sets('client');
}

/** `number`; where that is 0, a queue number from 1 to 999 counts as it. */
function chooseNumber({ number = 0, queueNumber = 0 }: Filled): number {
  const follows = number === 0 && queueNumber <= NUMBER_FROM_QUEUE_MAX;
  return follows ? queueNumber : number;
}

/** Everything that is wrong though each option by itself is right. */
export function checkRules(at: Situation): readonly ConfigProblem[] {
  // Where the role itself is given wrong, what follows from it would only mislead.
  if (at.problems.some(({ key }) => key === 'client' || key === 'server')) return [];
  return [...checkRoles(at), ...checkAuthentication(at), ...checkRemote(at), ...checkInner(at)];
}

function checkRoles({ settings, role }: Situation): readonly ConfigProblem[] {
  return settings
    .filter(({ option }) => option.role !== 'both' && option.role !== role)
    .map((setting) =>
      problemAt(setting, `role \`${setting.option.role}\`; a ${role} has no use for it`),
    );
}

/** The problem of an option that is needed and not given; none if what was given is wrong already. */
function missing(at: Situation, names: readonly string[], expected: string): ConfigProblem[] {
  if (at.problems.some((problem) => names.includes(problem.key))) return [];
  const key = names[0] ?? '';
  return [{ source: at.lastSource, line: undefined, key, value: undefined, expected }];
}

/**
 * Who needs which keys. A server has to verify: without the client's public key it could admit
 * nobody. A client has to sign. The other key of each is for replies and may be left out.
 */
function checkAuthentication(at: Situation): readonly ConfigProblem[] {
  const { token, privateSeed, peerPublicKey } = at.slots;
  const found: ConfigProblem[] = [];
  const tokenOrigin = at.origins.get('token');
  if (token && tokenOrigin && (privateSeed ?? peerPublicKey)) {
    const names = [
      ...(privateSeed ? ['`auth-key-b64`'] : []),
      ...(peerPublicKey ? ['`auth-remote-pubkey-b64`'] : []),
    ].join(' and ');
    found.push(problemAt(tokenOrigin, `either a token or keys, not both (${names} is given too)`));
  }
  if (at.role === 'server' && privateSeed && !peerPublicKey) {
    const expected =
      "the client's public key: with keys, a server without it could admit nobody " +
      '(`auth-key-b64` only signs replies)';
    found.push(...missing(at, ['auth-remote-pubkey-b64'], expected));
  }
  if (at.role === 'client' && peerPublicKey && !privateSeed) {
    const expected =
      'the own private key: with keys, a client without it could not authenticate ' +
      '(`auth-remote-pubkey-b64` only verifies replies)';
    found.push(...missing(at, ['auth-key-b64'], expected));
  }
  return found;
}

function checkRemote(at: Situation): readonly ConfigProblem[] {
  const { remoteHost, remotePort, byRemoteIp, byRemotePort } = at.slots;
  const found: ConfigProblem[] = [];
  if (remoteHost === undefined && (at.role === 'client' || byRemoteIp)) {
    const why = at.role === 'client' ? 'the server' : 'what `auth-by-remote-ip` is to accept';
    const expected = `an IPv4 address or a host name: ${why}`;
    found.push(...missing(at, ['fou-remote-ip', 'fou-remote'], expected));
  }
  if (remotePort === undefined && (at.role === 'client' || byRemotePort)) {
    const why = at.role === 'client' ? "the server's" : 'what `auth-by-remote-port` is to accept';
    const expected = `a port from 1 to 65535: ${why}`;
    found.push(...missing(at, ['fou-remote-port', 'fou-remote'], expected));
  }
  return found;
}

function checkInner(at: Situation): readonly ConfigProblem[] {
  const { innerIp, innerPeerIp, origins, slots } = at;
  const found: ConfigProblem[] = [];
  const refuseAt = (slot: SlotName, expected: string) => {
    const origin = origins.get(slot);
    if (origin) found.push(problemAt(origin, expected));
  };
  if (innerIp === undefined) {
    found.push(
      ...missing(at, ['tunl-ip'], 'an IPv4 address: the one that the server calls tunl-peer-ip'),
    );
  } else if (innerPeerIp !== undefined && !isUnicast(innerPeerIp)) {
    refuseAt('innerIp', '`tunl-peer-ip` with it: its neighbour is no unicast address');
  } else if (innerIp === innerPeerIp) {
    refuseAt('innerPeerIp', 'another address than `tunl-ip`');
  }
  if (innerPeerIp !== undefined && innerPeerIp === slots.remoteHost) {
    refuseAt('remoteHost', "another address than the tunnel's: it is the peer's inner one");
  }
  if (slots.tunnelDevice !== undefined && slots.tunnelDevice === slots.outerDevice) {
    refuseAt('tunnelDevice', 'another device than `fou-dev`');
  }
  if (slots.localIpAlt !== undefined && slots.localIpAlt === slots.localIp) {
    refuseAt('localIpAlt', 'another address than `fou-local-ip`');
  }
  return found;
}

/** What works, but hardly as meant: a line of text each, with the place that it comes from. */
export function findWarnings(at: Situation): readonly string[] {
  const { slots, origins } = at;
  const keys = slots.privateSeed !== undefined || slots.peerPublicKey !== undefined;
  const found: string[] = [];
  const warnAt = (slot: SlotName, text: string) => {
    const origin = origins.get(slot);
    if (origin) found.push(`${formatPlace(origin)}: ${origin.option.name}: ${text}`);
  };
  if (slots.token !== undefined && slots.token.length > TOKEN_SAFE_BYTES) {
    warnAt('token', `longer than ${TOKEN_SAFE_BYTES} bytes: packets of it may be lost on the way`);
  }
  if (keys && slots.secret === undefined) {
    found.push(
      `${at.lastSource}: auth-secret: not given: the default is known to everybody, choose one`,
    );
  }
  if (at.role === 'server' && slots.role === undefined) {
    found.push(`${at.lastSource}: no line \`server\`: taken for one by what is set`);
  }
  if (at.role === 'server' && !keys && !slots.token && !slots.byRemoteIp) {
    const who = slots.byRemotePort ? 'from the right port' : 'first';
    found.push(`${at.lastSource}: no authentication: whoever sends a packet ${who} is the client`);
  }
  if (!keys) {
    warnAt('secret', 'no effect without keys');
    warnAt('keyType', 'no effect without keys');
  }
  if (slots.peerPublicKey === undefined) {
    warnAt('maxTimeDiscrepancy', 'no effect without auth-remote-pubkey-b64');
  }
  if (at.role === 'server') {
    if (!slots.replyOnAuthOk) warnAt('privateSeed', 'no effect without reply-on-auth-ok');
    if (!slots.byRemoteIp) warnAt('remoteHost', 'admits others too without auth-by-remote-ip');
    if (!slots.byRemotePort) warnAt('remotePort', 'admits other ports without auth-by-remote-port');
  }
  return [...found, ...withoutTheirPlane(at)];
}

function withoutTheirPlane({ settings, slots }: Situation): readonly string[] {
  return settings
    .filter(({ option }) => option.plane !== undefined && slots.dataplane === 'tun')
    .map((setting) => {
      const { name, plane } = setting.option;
      return `${formatPlace(setting)}: ${name}: no effect without dataplane ${plane ?? ''}`;
    });
}

function formatPlace({ source, line }: Setting): string {
  return line === undefined ? source : `${source}:${line}`;
}
