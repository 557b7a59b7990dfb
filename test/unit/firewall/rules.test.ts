import { describe, expect, test } from 'vitest';
import { parseInnerIp } from '../../../src/core/addr.ts';
import { obstaclesOf, type Chain, type Hook } from '../../../src/core/firewall/chains.ts';
import { readIptablesSave } from '../../../src/core/firewall/iptables-save.ts';
import { readNftRuleset, readPrinted } from '../../../src/core/firewall/nft-ruleset.ts';
import type { Packet } from '../../../src/core/firewall/packet.ts';

/** What a client that nobody knows yet sends to a server's port. */
const ASKED: Packet = {
  family: 'ipv4',
  protocol: 'udp',
  source: undefined,
  destination: parseInnerIp('203.0.113.1'),
  sourcePort: undefined,
  destinationPort: 10000,
  from: 'eth0',
  to: undefined,
  state: 'new',
  translated: false,
  forHost: true,
};

const NOTHING = { rules: new Map<string, string>(), devices: new Map<string, string[]>() };
const INPUT: readonly Hook[] = ['ingress', 'prerouting', 'input'];

/** What becomes of it: the certainty, and the place. */
function told(chains: readonly Chain[], packet: Packet = ASKED): readonly string[] {
  return obstaclesOf(chains, INPUT, packet).map(
    ({ certainty, what, chain, rule }) =>
      `${certainty} ${what} in ${chain.name}${rule ? '' : ' by its policy'}`,
  );
}

/** One nft chain at the input hook. */
function input(
  exprs: readonly (readonly object[])[],
  policy: 'accept' | 'drop' = 'accept',
  more: readonly { readonly kind: string; readonly fields: Record<string, unknown> }[] = [],
): readonly Chain[] {
  const place = { family: 'inet', table: 'f' };
  return readNftRuleset(
    [
      {
        kind: 'chain',
        fields: { ...place, name: 'in', type: 'filter', hook: 'input', prio: 0, policy },
      },
      ...more,
      ...exprs.map((expr, index) => ({
        kind: 'rule',
        fields: { ...place, chain: 'in', handle: index + 2, expr },
      })),
    ],
    NOTHING,
  );
}

const match = (left: object, right: unknown, op = '=='): object => ({
  match: { op, left, right },
});
const dport = { payload: { protocol: 'udp', field: 'dport' } };
const saddr = { payload: { protocol: 'ip', field: 'saddr' } };
const state = { ct: { key: 'state' } };
const drop = { drop: null };
const accept = { accept: null };

describe('nftables', () => {
  test.each<[string, readonly object[], readonly string[]]>([
    ['the port', [match(dport, 10000), drop], ['surely drop in in']],
    ['another port', [match(dport, 10001), drop], []],
    ['all but the port', [match(dport, 10000, '!='), drop], []],
    ['a range', [match(dport, { range: [9000, 11000] }), drop], ['surely drop in in']],
    ['a set', [match(dport, { set: [1, { range: [10000, 10002] }] }), drop], ['surely drop in in']],
    ['below', [match(dport, 1024, '<'), drop], []],
    ['TCP', [match({ payload: { protocol: 'tcp', field: 'dport' } }, 10000), drop], []],
    [
      'any',
      [match({ payload: { protocol: 'th', field: 'dport' } }, 10000), drop],
      ['surely drop in in'],
    ],
    ['IPv6', [match({ meta: { key: 'nfproto' } }, 'ipv6'), drop], []],
    [
      'protocols',
      [match({ meta: { key: 'l4proto' } }, { set: ['tcp', 'udp'] }), drop],
      ['surely drop in in'],
    ],
    ['a device', [match({ meta: { key: 'iifname' } }, 'eth*'), drop], ['surely drop in in']],
    ['another device', [match({ meta: { key: 'iifname' } }, 'wlan0'), drop], []],
    [
      'some senders',
      [match(saddr, { prefix: { addr: '198.51.100.0', len: 24 } }), drop],
      ['some drop in in'],
    ],
    [
      'all senders',
      [match(saddr, { prefix: { addr: '0.0.0.0', len: 0 } }), drop],
      ['surely drop in in'],
    ],
    [
      'too many',
      [match(dport, 10000), { limit: { rate: 9, per: 'second', inv: true } }, drop],
      ['some drop in in'],
    ],
    ['invalid', [match(state, 'invalid', 'in'), drop], []],
    ['new', [match(state, ['new', 'untracked'], 'in'), drop], ['surely drop in in']],
    [
      'what cannot be told',
      [match({ meta: { key: 'hour' } }, '22:00'), drop],
      ['unknown drop in in'],
    ],
    [
      'a reverse path',
      [match({ fib: { result: 'oif', flags: ['saddr', 'iif'] } }, false), drop],
      [],
    ],
    [
      'what is for this host',
      [match({ fib: { result: 'type', flags: ['daddr'] } }, 'local'), drop],
      ['surely drop in in'],
    ],
    ['a mark', [match({ meta: { key: 'mark' } }, 1), drop], []],
    ['a part of a mark', [match({ '&': [{ meta: { key: 'mark' } }, 16] }, 16), drop], []],
    [
      'counted',
      [{ counter: { packets: 1, bytes: 2 } }, { log: null }, drop],
      ['surely drop in in'],
    ],
    ['refused', [{ reject: { type: 'icmp', expr: 'port-unreachable' } }], ['surely reject in in']],
    [
      'a module of iptables',
      [{ xt: { type: 'match', name: 'time' } }, drop],
      ['unknown drop in in'],
    ],
    ['a comment', [{ xt: { type: 'match', name: 'comment' } }, drop], ['surely drop in in']],
  ])('a rule for %s', (_, rule, expected) => {
    expect(told(input([rule]))).toEqual(expected);
  });

  test('a verdict map, whose first match is not the packet', () => {
    const vmap = {
      vmap: {
        key: state,
        data: {
          set: [
            ['established', accept],
            ['new', drop],
          ],
        },
      },
    };
    expect(told(input([[vmap]]))).toEqual(['surely drop in in']);
    expect(told(input([[vmap]]), { ...ASKED, state: 'established' })).toEqual([]);
  });

  test('sets that have a name, with several values to an element', () => {
    const key = { concat: [{ meta: { key: 'iifname' } }, dport] };
    const set = (port: number) => ({
      kind: 'set',
      fields: { family: 'inet', table: 'f', name: 's', elem: [{ concat: ['eth0', port] }] },
    });
    expect(told(input([[match(key, '@s'), accept]], 'drop', [set(10000)]))).toEqual([]);
    expect(told(input([[match(key, '@s'), accept]], 'drop', [set(9)]))).toEqual([
      'surely drop in in by its policy',
    ]);
  });

  test('what came before decides, and where that cannot be told it is said', () => {
    const open = [match(dport, 10000), accept];
    expect(told(input([open, [drop]], 'drop'))).toEqual([]);
    expect(told(input([[drop], open]))).toEqual(['surely drop in in']);
    const friends = [match(saddr, '198.51.100.1'), accept];
    const [found] = obstaclesOf(input([friends], 'drop'), INPUT, ASKED);
    expect(found).toMatchObject({ certainty: 'unknown', rule: undefined });
    expect(found?.unless?.handle).toBe(2);
  });

  test('chains that are called, and left', () => {
    const place = { family: 'inet', table: 'f' };
    const called = (verdict: object) => [
      { kind: 'chain', fields: { ...place, name: 'sub' } },
      { kind: 'rule', fields: { ...place, chain: 'sub', handle: 90, expr: [verdict] } },
    ];
    const jump = [{ jump: { target: 'sub' } }];
    const go = [{ goto: { target: 'sub' } }];
    expect(told(input([jump, [accept]], 'accept', called(drop)))).toEqual(['surely drop in sub']);
    expect(told(input([jump, [accept]], 'drop', called({ return: null })))).toEqual([]);
    expect(told(input([go, [accept]], 'drop', called({ return: null })))).toEqual([
      'surely drop in in by its policy',
    ]);
    expect(told(input([jump], 'drop', called(accept)))).toEqual([]);
    const circle = called({ jump: { target: 'sub' } });
    expect(told(input([jump, [drop]], 'accept', circle))).toEqual(['surely drop in in']);
  });

  test('a port whose packets go elsewhere, and a chain at a device', () => {
    const place = { family: 'ip', table: 'nat' };
    const nat = readNftRuleset(
      [
        { kind: 'chain', fields: { ...place, name: 'pre', hook: 'prerouting', prio: -100 } },
        {
          kind: 'rule',
          fields: {
            ...{ ...place, chain: 'pre', handle: 1 },
            expr: [match(dport, 10000), { dnat: { addr: '172.17.0.2', port: 1 } }],
          },
        },
      ],
      NOTHING,
    );
    expect(told(nat)).toEqual(['surely divert in pre']);
    const at = (dev: string) =>
      readNftRuleset(
        [
          {
            kind: 'chain',
            fields: {
              ...{ family: 'netdev', table: 't', name: 'i', hook: 'ingress', prio: 0 },
              policy: 'drop',
            },
          },
        ],
        readPrinted(
          `table netdev t {\n\tchain i {\n\t\ttype filter hook ingress ${dev} priority 0;`,
        ),
      );
    expect(told(at('device "eth0"'))).toEqual(['surely drop in i by its policy']);
    expect(told(at('devices = { "eth1", eth2 }'))).toEqual([]);
  });

  test('rules in the words of nft', () => {
    const listing = [
      'table inet f { # handle 1',
      '\tset s { # handle 4',
      '\t\ttype ipv4_addr',
      '\t}',
      '',
      '\tchain in { # handle 2',
      '\t\ttype filter hook input priority filter; policy drop;',
      '\t\tudp dport 10000  counter packets 0 bytes 0 drop # handle 3',
      '\t}',
      '}',
    ];
    expect(readPrinted(listing.join('\n')).rules).toEqual(
      new Map([['inet f in 3', 'udp dport 10000 counter packets 0 bytes 0 drop']]),
    );
  });
});

describe('iptables', () => {
  const rules = (lines: readonly string[], policy = 'ACCEPT'): readonly Chain[] =>
    readIptablesSave(
      ['*filter', `:INPUT ${policy} [0:0]`, ':SUB - [0:0]', ...lines, 'COMMIT'].join('\n'),
      'iptables-legacy',
      'ip',
    );

  test.each<[string, readonly string[]]>([
    ['-p udp -j DROP', ['surely drop in INPUT']],
    ['-p tcp -j DROP', []],
    ['-p udp -m udp --dport 9000:11000 -j DROP', ['surely drop in INPUT']],
    ['-p udp -m udp ! --dport 10000 -j DROP', []],
    [
      '-p udp -m multiport --dports 53,10000 -j REJECT --reject-with icmp-port-unreachable',
      ['surely reject in INPUT'],
    ],
    ['-p udp -m comment --comment "a \\"b\\" -j ACCEPT" -j DROP', ['surely drop in INPUT']],
    ['! -i eth0 -j DROP', []],
    ['-i eth+ -j DROP', ['surely drop in INPUT']],
    ['-o eth0 -j DROP', []],
    ['-s 198.51.100.0/24 -j DROP', ['some drop in INPUT']],
    ['-d 203.0.113.1/32 -j DROP', ['surely drop in INPUT']],
    ['-d 203.0.113.2/32 -j DROP', []],
    ['-m conntrack --ctstate INVALID -j DROP', []],
    ['-m state --state NEW -j DROP', ['surely drop in INPUT']],
    ['-m set --match-set bad src -j DROP', ['some drop in INPUT']],
    ['-m mark --mark 0x8000/0x8000 -j DROP', []],
    ['-m addrtype --dst-type LOCAL -j DROP', ['surely drop in INPUT']],
    ['-m time --timestart 22:00 -j DROP', ['unknown drop in INPUT']],
    ['-m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "DROP "', []],
    ['-j SUB', []],
  ])('%s', (rule, expected) => {
    expect(told(rules([`-A INPUT ${rule}`]))).toEqual(expected);
  });

  test('chains, policies and families', () => {
    expect(told(rules(['-A SUB -j DROP', '-A INPUT -j SUB']))).toEqual(['surely drop in SUB']);
    expect(told(rules(['-A INPUT -p udp --dport 10000 -j ACCEPT'], 'DROP'))).toEqual([]);
    expect(told(rules([], 'DROP'))).toEqual(['surely drop in INPUT by its policy']);
    expect(told(rules([], 'DROP'), { ...ASKED, family: 'ipv6' })).toEqual([]);
  });
});
