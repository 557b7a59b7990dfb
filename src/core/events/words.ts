/** The words and the level of every event: what a log line of it says. */
import { formatEndpoint, type Endpoint } from '../addr.ts';
import type { Refusal, Refused } from '../auth/refusal.ts';
import type { EventKind, EventOf, Failure, TunnelEvent } from './event.ts';
import { REFUSED_WORK, troubleLevel, troubleWords, UNDELIVERED_WORDS } from './trouble-words.ts';

/** 0 error, 1 warn, 2 info, 3 debug: the numbers of `verb`. */
export type Level = 'error' | 'warn' | 'info' | 'debug';

/** An event as a log line. */
export type Line = {
  readonly level: Level;
  readonly words: string;
  readonly fields: Fields;
};

type Fields = Readonly<Record<string, string | number | undefined>>;
type Table = { readonly [Kind in EventKind]: (event: EventOf<Kind>) => Line };

/** What is said of an event. */
export function wordsOf(event: TunnelEvent): Line {
  // One row of the table for every kind: the row takes the event that it is found by.
  const row = TABLE[event.kind] as (event: TunnelEvent) => Line;
  return row(event);
}

const TABLE: Table = {
  trouble: ({ trouble }) => line(troubleLevel(trouble), troubleWords(trouble)),
  established: ({ remote }) => line('info', 'established', at(remote)),
  back: ({ remote, silence }) =>
    line('info', 'established again after a silence', { ...at(remote), seconds: silence }),
  refused: ({ refusal, from, allowed, unlogged }) =>
    line(QUIET.has(refusal.reason) ? 'debug' : 'warn', refusalWords(refusal, allowed), {
      reason: refusal.reason,
      from: formatEndpoint(from),
      unlogged,
    }),
  'path-mtu': ({ role, mtu }) =>
    line(role === 'client' ? 'info' : 'debug', 'largest inner packet to the peer', {
      mtu: mtu ?? 'what the route takes',
    }),
  'ipv6-on': ({ mtu }) =>
    line('info', 'the path takes enough for IPv6 again', { mtu: mtu ?? 'what the route takes' }),
  'proof-changed': () =>
    line(
      'warn',
      'the configured proof has changed: who was admitted by the former one is forgotten',
    ),
  'not-admitted': ({ role, remote, attempt }) =>
    line(
      'warn',
      role === 'client'
        ? 'the tunnel could not be pointed at the server; will be tried again'
        : 'the tunnel could not be pointed at the peer; will be tried again',
      { ...at(remote), attempt },
    ),
  displaced: ({ role, remote }) =>
    role === 'client'
      ? line('error', 'another peer of this tunnel is at the same address and port', at(remote))
      : line('warn', 'another peer has authenticated from the same address and port', at(remote)),

  agreed: ({ remote, integrity }) =>
    line('debug', 'new session: both sides are proved', { ...at(remote), integrity }),
  'relay-suspected': ({ remote, stays }) =>
    line(
      'warn',
      'somebody sends on packets of the peer, which is still where it was: it is not followed there',
      { ...at(remote), stays: formatEndpoint(stays) },
    ),
  'injection-suspected': ({ packets, bytes }) =>
    line(
      'warn',
      'more has come from the other side than it has sent: somebody puts packets into the tunnel',
      { packets, bytes },
    ),
  'integrity-refused': ({ level }) =>
    line('error', `integrity ${level} is wanted, and the data plane here cannot do it`, { level }),
  'session-reset': ({ remote }) =>
    line('info', 'the server has forgotten the session: beginning anew', at(remote)),
  observed: ({ source }) =>
    line('info', 'the server sees this side at', { endpoint: formatEndpoint(source) }),

  moved: ({ remote, before, again }) =>
    line(again ? 'debug' : 'info', 'peer has moved', {
      ...at(remote),
      before: formatEndpoint(before),
    }),
  refreshed: ({ remote }) => line('debug', 'peer authenticated again', at(remote)),
  expired: ({ remote }) => line('info', 'silent: the connection has expired', at(remote)),
  'ran-out': ({ remote }) =>
    line('info', 'peer was silent for its lifetime and is forgotten', at(remote)),
  resumed: ({ remote }) => line('info', 'peer of the earlier run goes on', at(remote)),
  'not-resumed': ({ remote }) =>
    line('info', 'the remembered peer has run out or is no longer allowed', at(remote)),
  unvouched: ({ remote }) =>
    line(
      'warn',
      'nothing vouches for whom the earlier run admitted: it must authenticate',
      at(remote),
    ),
  'nothing-to-authenticate': () => line('info', 'nothing to authenticate: this is the server'),

  silent: ({ remote, timeout }) =>
    line('warn', 'the server is silent: authenticating until it answers', {
      ...at(remote),
      timeout,
    }),
  reply: ({ from }) => line('debug', 'reply verified', { from: formatEndpoint(from) }),
  resolved: ({ host, address, before }) =>
    line('info', before === undefined ? 'server resolved' : 'server has another address', {
      host,
      address,
      before,
    }),
  'other-address': ({ address, before, why, again }) =>
    line(again ? 'debug' : 'info', OTHER_ADDRESS_WORDS[why], { address, before }),
  translated: ({ address, via }) =>
    line(
      'info',
      "no route of IPv4: reaching the server by the network's NAT64; if no data comes from it, put encap-csum into its config",
      { address, via },
    ),
  'no-path': () => line('info', 'no path to the server yet'),
  unreachable: ({ remote, code, from }) =>
    line('debug', `${UNDELIVERED_WORDS[code]}, says the network: authenticating`, {
      ...at(remote),
      from,
    }),

  'plane-chosen': ({ plane, why }) => line('info', 'data plane chosen', { plane, why }),
  'earlier-plane-cleaned': ({ plane }) =>
    line('info', 'cleaning up after an earlier run', { plane }),
  adopted: ({ peers, remote }) => line('info', 'adopted', peers === 1 ? at(remote) : { peers }),
  ready: ({ role, device }) => line('info', 'ready', { role, device }),
  ending: () => line('info', 'taking the tunnel down'),
  failed: ({ error, hint }) => line('error', error, { hint }),
  'not-undone': (failure) => line('error', 'what has failed could not be undone', because(failure)),
  'peer-set': () => line('info', 'peer set'),
  'peer-removed': () => line('info', 'peer removed'),
  joined: () => line('info', 'joined by its invitation: its own key is written down'),
  'not-joined': (failure) => line('error', 'a client could not join', because(failure)),
  'config-read': ({ added, changed, kept, removed }) =>
    line('info', 'config read again', { added, changed, kept, removed }),
  'config-warning': ({ words }) => line('warn', words),
  'config-refused': (failure) => line('error', 'the config stays as it was', because(failure)),
  'log-level': ({ level, before }) => line('info', 'log level changed', { level, before }),
  reauthenticating: () => line('info', 'authenticating again, as asked'),
  'not-reauthenticating': (failure) => line('warn', 'not authenticating again', because(failure)),
  'hook-failed': ({ hook, ...failure }) =>
    line('warn', `the hook ${hook} failed`, because(failure)),
  'turned-away': ({ remote, ...failure }) =>
    line('warn', 'turned away by the hook verify', {
      remote: formatEndpoint(remote),
      ...because(failure),
    }),
  'hook-left-out': ({ hook }) =>
    line('warn', `the hook ${hook} was left out: those before it take too long`),
  'not-recorded': (failure) => line('warn', 'cannot write the run record', because(failure)),
  'run-directory-remade': () =>
    line('warn', 'the run directory was deleted and has been made anew'),
  'run-directory-lost': (failure) =>
    line('error', 'the run directory was deleted and cannot be made anew', because(failure)),
  'no-status-group': ({ group, asked }) =>
    line(asked ? 'warn' : 'debug', 'root alone can see the tunnel: there is no such group', {
      group,
    }),
  'not-shared': ({ group, ...failure }) =>
    line('warn', 'root alone can see the tunnel: it cannot be shared with a group', {
      group,
      ...because(failure),
    }),

  disturbed: ({ what, repaired }) =>
    repaired
      ? line('warn', 'put back what was changed from outside', { what })
      : line('error', 'changed from outside and not put back', { what }),
  exposed: ({ service }) => line('info', 'exposed to visitors', { service }),
  unexposed: ({ service }) => line('info', 'exposed no longer', { service }),
  shadowed: ({ service, listener }) =>
    line('warn', 'visitors of what is exposed no longer reach what listens there on this host', {
      service,
      listener: formatEndpoint(listener),
    }),
  'left-out': ({ service, ports }) =>
    line('info', 'ports where something listens on this host stay its own', {
      service,
      ports: ports.join(' '),
    }),
  'exposed-twice': ({ service, device }) =>
    line('warn', 'another tunnel exposes the same ports: visitors reach one of the two', {
      service,
      device,
    }),
  'host-setting': ({ setting, value, before }) =>
    line('info', 'setting of this host changed', { setting, value, before }),
  'host-setting-refused': ({ setting, value, ...failure }) =>
    line('error', 'setting of this host cannot be changed, and the config needs it', {
      setting,
      value,
      ...because(failure),
    }),
  'return-path': ({ table, mark }) =>
    line('info', 'what comes by the tunnel is answered by it', { table, mark }),
  'led-in': ({ what }) => line('info', 'led into the tunnel', { what }),
  'kill-switch': ({ state }) => line(state === 'stays' ? 'warn' : 'info', KILL_SWITCH_WORDS[state]),
  'dns-set': ({ by, servers }) =>
    line('info', "this host asks the tunnel's name servers", { by, servers }),
  'dns-not-set': (failure) =>
    line('error', "this host was not told of the tunnel's name servers", because(failure)),
  'outer-fragments': () =>
    line('warn', 'what does not fit the path goes in fragments, and hangs where those are dropped'),
  masquerading: () =>
    line('info', "what comes out of the tunnel for elsewhere goes there with this host's address"),
  'network-says': ({ remote, says: { kind, ...said } }) =>
    line('debug', `the network says: ${kind}`, { ...at(remote), ...said }),
  'route-not-found': ({ remote, ...failure }) =>
    line('warn', 'cannot look up the route', { remote, ...because(failure) }),
  'route-not-refreshed': (failure) => line('debug', 'outer path not refreshed', because(failure)),
  'device-back': ({ device }) => line('info', `the device ${device} is there again`),
  'plane-refuses': ({ work, failures, retryAfter, ...failure }) =>
    line('error', REFUSED_WORK[work], { ...because(failure), failures, retryAfterMs: retryAfter }),
  'plane-obeys': ({ failures }) => line('info', 'tunnel updated again', { failures }),
  'mtu-not-set': ({ mtu, ...failure }) =>
    line('warn', 'cannot set the MTU towards a peer', { mtu, ...because(failure) }),
  'counters-not-read': (failure) => line('debug', 'cannot read counters', because(failure)),
  'not-sent': ({ purpose, again, ...failure }) =>
    line(again ? 'debug' : 'warn', `cannot send (${purpose})`, because(failure)),
  'probe-not-sent': (failure) => line('debug', 'a probe was not sent', because(failure)),
  'sends-again': () => line('info', 'sending works again'),
  'memory-damaged': ({ error }) =>
    line('error', 'session memory is damaged: only packets signed from now on are accepted', {
      error,
    }),
  'not-remembered': ({ again, ...failure }) =>
    line(again ? 'debug' : 'error', 'cannot write the session memory', because(failure)),
  'remembers-again': () => line('info', 'memory is written again'),
};

function line(level: Level, words: string, fields: Fields = {}): Line {
  return { level, words, fields };
}

function because({ error, hint }: Failure): Fields {
  return { error, hint };
}

function at(remote: Endpoint): Fields {
  return { remote: formatEndpoint(remote) };
}

/** What junk any stranger can send; the rest needs knowledge or is a sign of trouble. */
const QUIET: ReadonlySet<Refusal> = new Set([
  'wrong-source',
  'not-authentication',
  'length',
  'rate-limited',
  'unsolicited',
]);

function refusalWords(refusal: Refused, allowed: number): string {
  switch (refusal.reason) {
    case 'clock': {
      const side = refusal.difference > 0 ? 'ahead' : 'behind';
      return (
        `clocks differ by ${Math.abs(refusal.difference)} s, allowed ${allowed}: ` +
        `the other side's is ${side}; set the wrong one, or allow more with auth-max-time-discrepancy`
      );
    }
    case 'stale':
      return `packet is ${-refusal.difference} s older than the newest accepted one: replayed, or that side's clock was set back`;
    case 'bound-elsewhere':
      return 'packet refused: it was made for a server with another key than auth-key-b64 here';
    case 'unverifiable':
      return 'signed packet cannot be checked: auth-remote-pubkey-b64 is not set here';
    case 'signature':
      return 'wrong signature: the keys do not match, or auth-secret differs';
    case 'integrity':
      return 'session refused: one side wants more of each packet proved (integrity) than the other can';
    case 'undecipherable':
      return 'packet of session v2 is not authentic: the keys do not match, or it was altered';
    case 'downgrade':
      return 'session v1 refused: this peer has spoken v2; if it has an older version now, put session v1 into its config here';
    case 'unknown-peer':
      return 'packet refused: no peer of this tunnel has this key, token or address';
    case 'uninvited':
      return "packet refused: an invitation's key admits nobody, and registers one key until it expires";
    case 'unresolved':
      return 'packet refused: the name in fou-remote-ip has no address yet';
    default:
      return `packet refused: ${refusal.reason}`;
  }
}

const OTHER_ADDRESS_WORDS: Readonly<Record<EventOf<'other-address'>['why'], string>> = {
  'no-route': 'no route to the server by the address before: using another',
  'no-answer': 'no answer from the server by the address before: trying another',
  refused: "the tunnel cannot be pointed at the server's address before: trying another",
};

const KILL_SWITCH_WORDS: Readonly<Record<EventOf<'kill-switch'>['state'], string>> = {
  on: 'nothing leaves but by the tunnel',
  off: 'packets may leave beside the tunnel again',
  stays: 'nothing leaves until the tunnel runs again, or is taken down (ipipou down)',
};
