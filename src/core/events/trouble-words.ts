/** The words and the level of every trouble: what `show`, the status and the log say of it. */
import { bitsOf, familyOf, formatEndpoint, type OuterIp } from '../addr.ts';
import type { Notice } from '../auth/refusal.ts';
import { familyName } from '../config/families.ts';
import { IPV6_MIN_MTU } from '../wire/ipv6.ts';
import type { PeerId } from '../config/tunnel-config.ts';
import type { Millis } from '../units.ts';
import type {
  NoRoute,
  Trouble,
  TroubleKind,
  TroubleOf,
  TroubleReport,
  Unprobed,
  Unusable,
} from './trouble.ts';
import type { Undelivered, UndeliveredCode } from '../wire/icmp-error.ts';

type Row<Kind extends TroubleKind> = {
  readonly level: 'error' | 'warn';
  readonly words: (trouble: TroubleOf<Kind>) => string;
};
type Table = { readonly [Kind in TroubleKind]: Row<Kind> };

/** One sentence or two: what is wrong, and what to look at. */
export function troubleWords(trouble: Trouble): string {
  return rowOf(trouble).words(trouble);
}

export function troubleLevel(trouble: Trouble): 'error' | 'warn' {
  return rowOf(trouble).level;
}

/** One row of the table for every kind: the row takes the trouble that it is found by. */
function rowOf(trouble: Trouble): { level: 'error' | 'warn'; words: (trouble: Trouble) => string } {
  return TABLE[trouble.kind] as Row<TroubleKind> & { words: (trouble: Trouble) => string };
}

const TABLE: Table = {
  unresolved: {
    level: 'warn',
    words: ({ host, error }) =>
      `the name ${host} does not resolve${error === undefined ? '' : `: ${error}`}`,
  },
  'unusable-address': {
    level: 'warn',
    words: ({ host, address, why }) =>
      `the name ${host} resolves to ${address}, ${UNUSABLE_WORDS[why]}: no server can be there`,
  },
  'no-route': {
    level: 'warn',
    words: ({ remote, why, others = [] }) =>
      [{ remote, why }, ...others]
        .map((one, index) => `${index === 0 ? 'no route to' : 'nor to'} ${routeWords(one)}`)
        .join('; '),
  },
  'no-key': { level: 'error', words: () => 'cannot authenticate: auth-key-b64 is not set' },
  'device-missing': {
    level: 'error',
    words: ({ device }) =>
      `there is no device ${device}, which fou-dev names: nothing leaves or arrives by it until there is one (see "ip link")`,
  },
  'no-answer': { level: 'warn', words: noAnswerWords },
  'server-refuses': { level: 'warn', words: ({ notice }) => noticeWords(notice) },
  'shared-key': {
    level: 'warn',
    words: ({ remote, other }) =>
      `the same key (or token) comes from ${formatEndpoint(remote)} and ${formatEndpoint(other)} ` +
      'by turns: two clients that have one key take the tunnel from each other; give each its own',
  },
  unprobed: {
    level: 'warn',
    words: ({ why }) =>
      `${UNPROBED_WORDS[why]}, so the path is not probed and mtu auto relies on ICMP alone`,
  },
  'ipv6-off': {
    level: 'warn',
    words: ({ mtu }) =>
      `IPv6 is off towards this peer: the path takes ${mtu} bytes, IPv6 needs ${IPV6_MIN_MTU}`,
  },
  'integrity-refused': {
    level: 'error',
    words: ({ level, by }) =>
      by === 'server'
        ? `integrity ${level} is set here, and the server's data plane cannot do it: no session is made with less`
        : `the server wants integrity ${level}, and the data plane here cannot do it`,
  },
  'not-pointed': {
    level: 'error',
    words: ({ error }) => `${REFUSED_WORK['not-pointed']}: ${error}`,
  },
  'not-evicted': {
    level: 'error',
    words: ({ error }) => `${REFUSED_WORK['not-evicted']}: ${error}`,
  },
  'prefix-taken': {
    level: 'error',
    words: ({ prefix, device }) =>
      `${prefix} is not led to its peer: another route of this host has it` +
      `${device === undefined ? '' : `, out of ${device}`} (ip ${prefix.includes(':') ? '-6 ' : ''}route show ${prefix}); ` +
      'take that away, or give the peer another prefix',
  },
  'more-taken': {
    level: 'error',
    words: ({ prefixes }) => `and ${prefixes} more prefixes of peers are not led to them`,
  },
  'more-refused': {
    level: 'error',
    words: ({ peers }) => `and the same or the like of ${peers} more peers`,
  },
  'not-sent': {
    level: 'warn',
    words: ({ purpose, error }) => `cannot send (${purpose}): ${error}`,
  },
  'not-remembered': {
    level: 'error',
    words: ({ error }) => `nobody new is let in, since memory cannot be written: ${error}`,
  },
};

/** What a plane refused to do. */
export const REFUSED_WORK = {
  'not-pointed': 'cannot point the tunnel at its peer',
  'not-evicted': 'cannot take the peer out of the tunnel',
} as const;

/** A trouble as the status has it. */
export function reportTrouble(trouble: Trouble, peer?: PeerId): TroubleReport {
  return { ...trouble, words: troubleWords(trouble), ...(peer !== undefined && { peer }) };
}

function noAnswerWords(trouble: TroubleOf<'no-answer'>): string {
  const { remote, others = [], since, sent, network } = trouble;
  const requests = sent === 1 ? '1 request' : `${sent} requests`;
  const nor = others.map((address) => ` nor from ${address}`).join('');
  const what = `no answer from ${formatEndpoint(remote)}${nor} since ${formatUnix(since)} (${requests} sent)`;
  return `${what}: ${network ? networkWords(network) : `nothing said on the way; check ${CHECKS}`}`;
}

/** The server's word that it refuses us, in ours. */
function noticeWords({ reason, seconds }: Notice): string {
  const by = `${Math.abs(seconds)} s`;
  switch (reason) {
    case 'clock':
      return `the server refuses us: the clock here is ${by} ${seconds > 0 ? 'ahead of' : 'behind'} its own`;
    case 'stale':
      return `the server refuses us: it has taken a packet from here whose time is ${by} later; the clock here was set back`;
    case 'taken-over':
      return `the server refuses us: another client has the same key, or the clock here was set back by ${by}`;
    default:
      return 'the server refuses us for a reason that this version does not know';
  }
}

const CHECKS =
  'that the server runs, that its firewall lets this UDP port in, that keys, auth-secret and both ' +
  'clocks are right (its log says which is not), and that it has reply-on-auth-ok';

function networkWords({ code, from }: Undelivered): string {
  const whose = from === undefined ? 'the network' : from;
  return `${whose} says that ${UNDELIVERED_WORDS[code]}; check ${UNDELIVERED_CHECKS[code]}`;
}

export const UNDELIVERED_WORDS: Readonly<Record<UndeliveredCode, string>> = {
  net: 'the network there cannot be reached',
  host: 'the host cannot be reached',
  protocol: 'the host takes no UDP',
  port: 'nothing listens on that port',
  prohibited: 'a firewall forbids it',
  hops: 'packets go in circles or too far',
  other: 'packets do not arrive',
};

const UNDELIVERED_CHECKS: Readonly<Record<UndeliveredCode, string>> = {
  net: 'the address, and the routes there',
  host: 'the address, and that the machine is up',
  protocol: 'the address',
  port: 'that the server runs, and the port',
  prohibited: "the server's firewall, and those on the way",
  hops: 'the routes on the way',
  other: 'the address and the port',
};

const UNUSABLE_WORDS: Readonly<Record<Unusable, string>> = {
  unspecified: 'which is no address',
  loopback: 'which is this host itself',
  'link-local': 'which counts on one link only',
  multicast: 'which is a multicast address',
  broadcast: 'which is a broadcast address',
  own: 'which is an address of this host',
};

function routeWords({ remote, why }: Pick<TroubleOf<'no-route'>, 'remote' | 'why'>): string {
  return why ? `${remote}: ${noRouteWords(remote, why)}` : remote;
}

function noRouteWords(remote: OuterIp, why: NoRoute): string {
  switch (why.kind) {
    case 'missing':
      return why.device === undefined
        ? `check the default route (ip ${ipFamily(remote)}route)`
        : `none out of ${why.device}; check that it is up (ip ${ipFamily(remote)}route show dev ${why.device})`;
    case 'no-address':
      return `${why.device} has no address to send from`;
    case 'not-wanted':
      return `fou-family, or the addresses of fou-local-ip, leave ${familyName(why.family)} out`;
    case 'kept-in':
      return `this network has IPv6 alone, and the kill switch lets nothing out that would find what stands for it here (NAT64); give fou-remote that IPv6 address`;
    case 'loop':
    default:
      return `it leads into the tunnel itself (${why.device}); ip ${ipFamily(remote)}route add ${remote}/${bitsOf(familyOf(remote))} via GATEWAY, or set fou-dev`;
  }
}

/** What `ip` takes before the object where that is IPv6. */
function ipFamily(address: OuterIp): '' | '-6 ' {
  return familyOf(address) === 'ipv4' ? '' : '-6 ';
}

const UNPROBED_WORDS: Readonly<Record<Unprobed, string>> = {
  unsigned: 'only signed requests (auth-key-b64) can be padded',
  padding: 'the server does not answer padded requests',
  unanswered: 'the server does not answer requests (it needs reply-on-auth-ok)',
};

/** `2026-11-23 00:00:00 UTC`. */
function formatUnix(at: Millis): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
