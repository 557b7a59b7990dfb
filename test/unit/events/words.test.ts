import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { formatFields } from '../../../src/adapters/system/log.ts';
import { REFUSALS } from '../../../src/core/auth/refusal.ts';
import type { EventKind, EventOf, TunnelEvent } from '../../../src/core/events/event.ts';
import { wordsOf } from '../../../src/core/events/words.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import { endpoint, ip } from '../session/bench.ts';

const remote = endpoint('192.0.2.1', 10_000);
const other = endpoint('192.0.2.9', 4500);

const FAILURE = { error: 'EBUSY', hint: 'ipipou doctor' };

/** One of every kind, and its log line. */
const GOLDEN: { readonly [Kind in EventKind]: readonly [EventOf<Kind>, string] } = {
  refused: [
    {
      kind: 'refused',
      refusal: { ok: false, reason: 'signature' },
      from: remote,
      allowed: 300,
      unlogged: 3,
    },
    'warn wrong signature: the keys do not match, or auth-secret differs reason=signature from=192.0.2.1:10000 unlogged=3',
  ],
  'other-address': [
    {
      ...{ kind: 'other-address', address: remote.ip, before: ip('2001:db8::1') },
      ...{ why: 'no-route', again: false },
    },
    'info no route to the server by the address before: using another address=192.0.2.1 before=2001:db8::1',
  ],
  translated: [
    { kind: 'translated', address: remote.ip, via: ip('64:ff9b::c000:201') },
    "info no route of IPv4: reaching the server by the network's NAT64; if no data comes from it, put encap-csum into its config address=192.0.2.1 via=64:ff9b::c000:201",
  ],
  'hook-failed': [
    { kind: 'hook-failed', hook: 'peer-up', error: 'exit code 3: no such zone' },
    'warn the hook peer-up failed error="exit code 3: no such zone"',
  ],
  'turned-away': [
    { kind: 'turned-away', remote: other, error: 'exit code 1: no' },
    'warn turned away by the hook verify remote=192.0.2.9:4500 error="exit code 1: no"',
  ],
  'hook-left-out': [
    { kind: 'hook-left-out', hook: 'peer-up' },
    'warn the hook peer-up was left out: those before it take too long',
  ],
  trouble: [
    { kind: 'trouble', trouble: { kind: 'no-key' } },
    'error cannot authenticate: auth-key-b64 is not set',
  ],
  established: [{ kind: 'established', remote }, 'info established remote=192.0.2.1:10000'],
  back: [
    { kind: 'back', remote, silence: seconds(130) },
    'info established again after a silence remote=192.0.2.1:10000 seconds=130',
  ],
  unreachable: [
    { kind: 'unreachable', remote, code: 'port', from: remote.ip },
    'debug nothing listens on that port, says the network: authenticating remote=192.0.2.1:10000 from=192.0.2.1',
  ],
  'path-mtu': [
    { kind: 'path-mtu', role: 'client', mtu: 1372 },
    'info largest inner packet to the peer mtu=1372',
  ],
  'ipv6-on': [{ kind: 'ipv6-on', mtu: 1372 }, 'info the path takes enough for IPv6 again mtu=1372'],
  'proof-changed': [
    { kind: 'proof-changed' },
    'warn the configured proof has changed: who was admitted by the former one is forgotten',
  ],
  'not-admitted': [
    { kind: 'not-admitted', role: 'server', remote, attempt: 2 },
    'warn the tunnel could not be pointed at the peer; will be tried again remote=192.0.2.1:10000 attempt=2',
  ],
  displaced: [
    { kind: 'displaced', role: 'server', remote },
    'warn another peer has authenticated from the same address and port remote=192.0.2.1:10000',
  ],
  agreed: [
    { kind: 'agreed', remote, integrity: 'full' },
    'debug new session: both sides are proved remote=192.0.2.1:10000 integrity=full',
  ],
  'relay-suspected': [
    { kind: 'relay-suspected', remote, stays: other },
    'warn somebody sends on packets of the peer, which is still where it was: it is not followed there remote=192.0.2.1:10000 stays=192.0.2.9:4500',
  ],
  'injection-suspected': [
    { kind: 'injection-suspected', packets: 20, bytes: 28_000 },
    'warn more has come from the other side than it has sent: somebody puts packets into the tunnel packets=20 bytes=28000',
  ],
  'integrity-refused': [
    { kind: 'integrity-refused', level: 'full' },
    'error integrity full is wanted, and the data plane here cannot do it level=full',
  ],
  'session-reset': [
    { kind: 'session-reset', remote },
    'info the server has forgotten the session: beginning anew remote=192.0.2.1:10000',
  ],
  observed: [
    { kind: 'observed', source: remote },
    'info the server sees this side at endpoint=192.0.2.1:10000',
  ],
  moved: [
    { kind: 'moved', remote, before: other, again: false },
    'info peer has moved remote=192.0.2.1:10000 before=192.0.2.9:4500',
  ],
  refreshed: [
    { kind: 'refreshed', remote },
    'debug peer authenticated again remote=192.0.2.1:10000',
  ],
  expired: [
    { kind: 'expired', remote },
    'info silent: the connection has expired remote=192.0.2.1:10000',
  ],
  'ran-out': [
    { kind: 'ran-out', remote },
    'info peer was silent for its lifetime and is forgotten remote=192.0.2.1:10000',
  ],
  resumed: [
    { kind: 'resumed', remote },
    'info peer of the earlier run goes on remote=192.0.2.1:10000',
  ],
  'not-resumed': [
    { kind: 'not-resumed', remote },
    'info the remembered peer has run out or is no longer allowed remote=192.0.2.1:10000',
  ],
  unvouched: [
    { kind: 'unvouched', remote },
    'warn nothing vouches for whom the earlier run admitted: it must authenticate remote=192.0.2.1:10000',
  ],
  'nothing-to-authenticate': [
    { kind: 'nothing-to-authenticate' },
    'info nothing to authenticate: this is the server',
  ],
  silent: [
    { kind: 'silent', remote, timeout: seconds(60) },
    'warn the server is silent: authenticating until it answers remote=192.0.2.1:10000 timeout=60',
  ],
  reply: [{ kind: 'reply', from: remote }, 'debug reply verified from=192.0.2.1:10000'],
  resolved: [
    { kind: 'resolved', host: 'vps.example', address: ip('192.0.2.1'), before: undefined },
    'info server resolved host=vps.example address=192.0.2.1',
  ],
  'no-path': [{ kind: 'no-path' }, 'info no path to the server yet'],

  'plane-chosen': [
    { kind: 'plane-chosen', plane: 'bpf', why: 'asked for by the config' },
    'info data plane chosen plane=bpf why="asked for by the config"',
  ],
  'earlier-plane-cleaned': [
    { kind: 'earlier-plane-cleaned', plane: 'tun' },
    'info cleaning up after an earlier run plane=tun',
  ],
  adopted: [{ kind: 'adopted', peers: 1, remote }, 'info adopted remote=192.0.2.1:10000'],
  ready: [
    { kind: 'ready', role: 'server', device: 'ipipou0' },
    'info ready role=server device=ipipou0',
  ],
  ending: [{ kind: 'ending' }, 'info taking the tunnel down'],
  failed: [{ kind: 'failed', error: 'the worker died' }, 'error the worker died'],
  'not-undone': [
    { kind: 'not-undone', ...FAILURE },
    'error what has failed could not be undone error=EBUSY hint="ipipou doctor"',
  ],
  'peer-set': [{ kind: 'peer-set' }, 'info peer set'],
  'peer-removed': [{ kind: 'peer-removed' }, 'info peer removed'],
  joined: [{ kind: 'joined' }, 'info joined by its invitation: its own key is written down'],
  'not-joined': [
    { kind: 'not-joined', error: 'disk full', hint: undefined },
    'error a client could not join error="disk full"',
  ],
  'config-read': [
    { kind: 'config-read', added: 1, changed: 2, kept: 3, removed: 4 },
    'info config read again added=1 changed=2 kept=3 removed=4',
  ],
  'config-warning': [
    { kind: 'config-warning', words: 'verb: takes effect after a restart' },
    'warn verb: takes effect after a restart',
  ],
  'config-refused': [
    { kind: 'config-refused', error: 'no such file' },
    'error the config stays as it was error="no such file"',
  ],
  'log-level': [
    { kind: 'log-level', level: 'debug', before: 'info' },
    'info log level changed level=debug before=info',
  ],
  reauthenticating: [{ kind: 'reauthenticating' }, 'info authenticating again, as asked'],
  'not-reauthenticating': [
    { kind: 'not-reauthenticating', error: 'a server does not authenticate; its clients do' },
    'warn not authenticating again error="a server does not authenticate; its clients do"',
  ],
  'not-recorded': [
    { kind: 'not-recorded', ...FAILURE },
    'warn cannot write the run record error=EBUSY hint="ipipou doctor"',
  ],
  'run-directory-remade': [
    { kind: 'run-directory-remade' },
    'warn the run directory was deleted and has been made anew',
  ],
  'run-directory-lost': [
    { kind: 'run-directory-lost', ...FAILURE },
    'error the run directory was deleted and cannot be made anew error=EBUSY hint="ipipou doctor"',
  ],
  'no-status-group': [
    { kind: 'no-status-group', group: 'ipipou', asked: false },
    'debug root alone can see the tunnel: there is no such group group=ipipou',
  ],
  'not-shared': [
    { kind: 'not-shared', group: 'adm', ...FAILURE },
    'warn root alone can see the tunnel: it cannot be shared with a group group=adm error=EBUSY hint="ipipou doctor"',
  ],
  disturbed: [
    { kind: 'disturbed', what: 'nftables rules', repaired: true },
    'warn put back what was changed from outside what="nftables rules"',
  ],
  exposed: [{ kind: 'exposed', service: 'tcp/443' }, 'info exposed to visitors service=tcp/443'],
  unexposed: [{ kind: 'unexposed', service: 'tcp/443' }, 'info exposed no longer service=tcp/443'],
  shadowed: [
    { kind: 'shadowed', service: 'tcp/443', listener: remote },
    'warn visitors of what is exposed no longer reach what listens there on this host service=tcp/443 listener=192.0.2.1:10000',
  ],
  'left-out': [
    { kind: 'left-out', service: 'all', ports: ['tcp/22', 'udp/10000'] },
    'info ports where something listens on this host stay its own service=all ports="tcp/22 udp/10000"',
  ],
  'exposed-twice': [
    { kind: 'exposed-twice', service: 'tcp/443', device: 'ipipou1' },
    'warn another tunnel exposes the same ports: visitors reach one of the two service=tcp/443 device=ipipou1',
  ],
  'host-setting': [
    { kind: 'host-setting', setting: 'net.ipv4.ip_forward', value: '1', before: '0' },
    'info setting of this host changed setting=net.ipv4.ip_forward value=1 before=0',
  ],
  'host-setting-refused': [
    { kind: 'host-setting-refused', setting: 'net.ipv4.ip_forward', value: '1', ...FAILURE },
    'error setting of this host cannot be changed, and the config needs it setting=net.ipv4.ip_forward value=1 error=EBUSY hint="ipipou doctor"',
  ],
  'return-path': [
    { kind: 'return-path', table: 14_800, mark: '0x1000000/0x3f000000' },
    'info what comes by the tunnel is answered by it table=14800 mark=0x1000000/0x3f000000',
  ],
  'led-in': [
    { kind: 'led-in', what: '0.0.0.0/0 by routing table 14900, but 203.0.113.1' },
    'info led into the tunnel what="0.0.0.0/0 by routing table 14900, but 203.0.113.1"',
  ],
  'kill-switch': [{ kind: 'kill-switch', state: 'on' }, 'info nothing leaves but by the tunnel'],
  'dns-set': [
    { kind: 'dns-set', by: 'resolvconf', servers: '1.1.1.1,fd00::1' },
    "info this host asks the tunnel's name servers by=resolvconf servers=1.1.1.1,fd00::1",
  ],
  'dns-not-set': [
    { kind: 'dns-not-set', ...FAILURE },
    'error this host was not told of the tunnel\'s name servers error=EBUSY hint="ipipou doctor"',
  ],
  'outer-fragments': [
    { kind: 'outer-fragments' },
    'warn what does not fit the path goes in fragments, and hangs where those are dropped',
  ],
  masquerading: [
    { kind: 'masquerading' },
    "info what comes out of the tunnel for elsewhere goes there with this host's address",
  ],
  'network-says': [
    { kind: 'network-says', remote, says: { kind: 'too-big', mtu: 1400 } },
    'debug the network says: too-big remote=192.0.2.1:10000 mtu=1400',
  ],
  'route-not-found': [
    { kind: 'route-not-found', remote: remote.ip, error: 'ENETDOWN' },
    'warn cannot look up the route remote=192.0.2.1 error=ENETDOWN',
  ],
  'route-not-refreshed': [
    { kind: 'route-not-refreshed', ...FAILURE },
    'debug outer path not refreshed error=EBUSY hint="ipipou doctor"',
  ],
  'plane-refuses': [
    {
      kind: 'plane-refuses',
      work: 'not-pointed',
      failures: 2,
      retryAfter: millis(2000),
      ...FAILURE,
    },
    'error cannot point the tunnel at its peer error=EBUSY hint="ipipou doctor" failures=2 retryAfterMs=2000',
  ],
  'plane-obeys': [{ kind: 'plane-obeys', failures: 2 }, 'info tunnel updated again failures=2'],
  'mtu-not-set': [
    { kind: 'mtu-not-set', mtu: 1300, ...FAILURE },
    'warn cannot set the MTU towards a peer mtu=1300 error=EBUSY hint="ipipou doctor"',
  ],
  'counters-not-read': [
    { kind: 'counters-not-read', ...FAILURE },
    'debug cannot read counters error=EBUSY hint="ipipou doctor"',
  ],
  'not-sent': [
    { kind: 'not-sent', purpose: 'authenticate', again: false, error: 'ENETUNREACH' },
    'warn cannot send (authenticate) error=ENETUNREACH',
  ],
  'probe-not-sent': [
    { kind: 'probe-not-sent', error: 'EMSGSIZE' },
    'debug a probe was not sent error=EMSGSIZE',
  ],
  'device-back': [{ kind: 'device-back', device: 'eth0' }, 'info the device eth0 is there again'],
  'sends-again': [{ kind: 'sends-again' }, 'info sending works again'],
  'memory-damaged': [
    { kind: 'memory-damaged', error: 'line 3' },
    'error session memory is damaged: only packets signed from now on are accepted error="line 3"',
  ],
  'not-remembered': [
    { kind: 'not-remembered', again: false, error: 'ENOSPC' },
    'error cannot write the session memory error=ENOSPC',
  ],
  'remembers-again': [{ kind: 'remembers-again' }, 'info memory is written again'],
};

test.each(Object.values(GOLDEN))('$kind has its line', (event, expected) => {
  const { level, words, fields } = wordsOf(event);
  expect(`${level} ${words}${formatFields(fields)}`).toBe(expected);
});

test.each<[TunnelEvent, string]>([
  [{ kind: 'adopted', peers: 3, remote }, 'info adopted peers=3'],
  [
    { kind: 'disturbed', what: 'nftables rules', repaired: false },
    'error changed from outside and not put back what="nftables rules"',
  ],
  [
    { kind: 'no-status-group', group: 'adm', asked: true },
    'warn root alone can see the tunnel: there is no such group group=adm',
  ],
  [
    { kind: 'not-sent', purpose: 'reply', again: true, error: 'ENETUNREACH' },
    'debug cannot send (reply) error=ENETUNREACH',
  ],
  [
    { kind: 'not-remembered', again: true, error: 'ENOSPC' },
    'debug cannot write the session memory error=ENOSPC',
  ],
])('$kind has another line where it is otherwise', (event, expected) => {
  const { level, words, fields } = wordsOf(event);
  expect(`${level} ${words}${formatFields(fields)}`).toBe(expected);
});

describe('a refusal', () => {
  test.each(REFUSALS)('for its %s has words', (reason) => {
    const refusal =
      reason === 'clock' || reason === 'stale'
        ? ({ ok: false, reason, difference: -412 } as const)
        : ({ ok: false, reason } as const);
    const { words } = wordsOf({
      kind: 'refused',
      refusal,
      from: remote,
      allowed: 300,
      unlogged: undefined,
    });
    expect(words).not.toBe('');
  });

  test.each([
    [-412, "the other side's is behind"],
    [412, "the other side's is ahead"],
  ])('of a clock that differs by %i s says whose is wrong', (difference, whose) => {
    const refusal = { ok: false, reason: 'clock', difference } as const;
    const event = { kind: 'refused', refusal, from: remote, allowed: 300, unlogged: 0 } as const;
    const { level, words } = wordsOf(event);
    expect(level).toBe('warn');
    expect(words).toContain('clocks differ by 412 s, allowed 300: ');
    expect(words).toContain(whose);
  });
});

test('the published schema and page name every kind, and no other', () => {
  const read = (name: string) => readFileSync(`docs/${name}`, 'utf8');
  const schema = JSON.parse(read('schema/events.schema.json')) as {
    oneOf: { properties: { kind?: { enum: string[] } } }[];
  };
  const kinds = Object.keys(GOLDEN).toSorted();
  expect(schema.oneOf[0]?.properties.kind?.enum.toSorted()).toEqual(kinds);
  const page = read('JSON.md');
  expect(kinds.filter((kind) => !page.includes(`| \`${kind}\` `))).toEqual([]);
});
