import { describe, expect, it } from 'vitest';
import {
  outerIpv4FromNumber,
  innerIpv4FromNumber,
  type Family,
  type Path,
} from '../../../src/core/addr.ts';
import {
  elementsOf,
  pairOf,
  prefixLengthsOf,
  type GuardPeer,
  setKey,
  type SetKey,
} from '../../../src/core/nft/guard-peer.ts';
import { objectNames, type GuardSpec } from '../../../src/core/nft/guard-spec.ts';
import { changePeers, installGuard, peerSets, removeGuard } from '../../../src/core/nft/guard.ts';
import { GUARD_LIMITS } from '../../../src/core/budgets.ts';
import { port } from '../../../src/core/units.ts';
import { inner, ip } from '../../rig/addresses.ts';

const spec: GuardSpec = {
  table: 'ipipou',
  port: port(10000),
  outside: ['ipv4'],
  inside: ['ipv4'],
  device: undefined,
  queue: 7,
  strangerQueue: 8,
  strangers: true,
  authLengths: [73],
  prefixLengths: { ipv4: [32, 24, 16], ipv6: [] },
  fragments: undefined,
  counters: true,
};

const path: Path = {
  local: { ip: outerIpv4FromNumber(0xcb007101), port: port(10000) },
  remote: { ip: outerIpv4FromNumber(0xcb007102), port: port(40001) },
};

const peer: GuardPeer = {
  device: 'ipipou0',
  innerSources: [],
  hint: undefined,
  admission: { path, alt: undefined },
  besides: [],
};
const alt = outerIpv4FromNumber(0xac1d0000);
const prefix = (number: number, length: number) => ({ ip: innerIpv4FromNumber(number), length });

function rulesOf(script: string, chain: string, word = 'ip'): string[] {
  const start = `add rule ${word} ${spec.table} ${chain} `;
  return script
    .split('\n')
    .filter((line) => line.startsWith(start))
    .map((line) => line.slice(start.length));
}

const names = objectNames(spec.port);
const V4: readonly Family[] = ['ipv4'];

/** Elements of the table of IPv4. */
function textsOf(of: GuardPeer): readonly { readonly set: string; readonly text: string }[] {
  return elementsOf(of, V4).map(({ set, text }) => ({ set, text }));
}

describe('installGuard', () => {
  it('ends the chain of the port by dropping', () => {
    for (const variant of [spec, { ...spec, strangers: false }, { ...spec, counters: false }]) {
      expect(rulesOf(installGuard(variant, []), names.guard).at(-1)).toMatch(/drop$/);
    }
  });

  it('accepts nothing but data of an admitted path', () => {
    const accepting = rulesOf(installGuard(spec, []), names.guard).filter((rule) =>
      rule.endsWith('accept'),
    );
    expect(accepting).toEqual([
      'ip saddr . udp sport . ip daddr @p10000_admitted @th,64,4 4 udp length != { 81 } counter accept',
      'ip saddr . udp sport . ip daddr @p10000_admitted @th,64,4 4 udp length 81 @th,80,16 73 counter accept',
    ]);
  });

  it('never lets the queue be bypassed', () => {
    expect(installGuard(spec, [])).not.toContain('bypass');
  });

  it('queues strangers only behind limits, and only where strangers are expected', () => {
    const script = installGuard(spec, []);
    const queueing = [names.guard, names.hinted, names.strangers].flatMap((chain) =>
      rulesOf(script, chain).filter((rule) => /queue num [78]$/.test(rule)),
    );
    expect(queueing).toEqual([
      'ip saddr . udp sport . ip daddr @p10000_admitted update @p10000_paths { ip saddr . udp sport . ip daddr limit rate 50/second burst 16 packets } queue num 7',
      '@th,64,4 4 udp length != { 81 } limit rate 10/second burst 4 packets queue num 7',
      'update @p10000_hint_budgets { @th,672,64 limit rate 20/second burst 8 packets } queue num 7',
      'ip saddr @p10000_known_sources update @p10000_known_budgets { ip saddr limit rate 10/second burst 4 packets } limit rate 100/second burst 4 packets queue num 7',
      'limit rate 100/second burst 8 packets queue num 8',
    ]);
    const client = installGuard({ ...spec, strangers: false }, []);
    expect(client.match(/queue num/g)).toHaveLength(1);
  });

  it('leaves room in a queue of the default length, whatever unknown sources send at once', () => {
    const { early, known, inits } = GUARD_LIMITS;
    expect(early.burst + known.burst + inits.burst).toBeLessThanOrEqual(12);
  });

  it('puts first messages of session 2 by the side, where they are tested, and leaves the queue to the rest', () => {
    const heard = { ...spec, authLengths: [73, 96, 200] };
    const queued = (script: string) =>
      script.split('\n').filter((line) => line.includes('queue num'));
    const first = /@th,64,32 0xf1020000/;
    const before = queued(installGuard(heard, []));
    const tested = installGuard({ ...heard, firstQueue: 9 }, []);
    expect(before.filter((rule) => first.test(rule))).toHaveLength(1);
    expect(queued(tested).filter((rule) => !rule.endsWith('queue num 9'))).toEqual(
      before.filter((rule) => !first.test(rule)),
    );
    expect(rulesOf(tested, names.tested)).toEqual([
      'update @p10000_asked { ip saddr }',
      'queue num 9',
    ]);
    const way = tested.split('\n').filter((line) => line.endsWith(`goto ${names.tested}`));
    expect(way).toEqual([
      'add rule ip ipipou p10000_first ip saddr @p10000_heard update @p10000_heard_budgets ' +
        '{ ip saddr limit rate 20/second burst 5 packets } limit rate 4000/second burst 128 packets goto p10000_tested',
      'add rule ip ipipou p10000_first limit rate 8000/second burst 128 packets ' +
        'add @p10000_heard { ip saddr } goto p10000_tested',
    ]);
    expect(rulesOf(tested, names.first).at(-1)).toMatch(/drop$/);
    expect(tested).not.toContain('bypass');
  });

  it('is the same text as ever where session 2 is not spoken, or first messages are not tested', () => {
    expect(installGuard({ ...spec, firstQueue: 9 }, [])).toBe(installGuard(spec, []));
    const heard = { ...spec, authLengths: [73, 96, 200] };
    expect(installGuard({ ...heard, firstQueue: undefined }, [])).toBe(installGuard(heard, []));
  });

  it('ends what hints and sources may send as it ends what strangers may', () => {
    const script = installGuard(spec, []);
    expect(rulesOf(script, names.hinted).at(-1)).toBe('goto p10000_strangers');
    expect(rulesOf(script, names.strangers).at(-1)).toMatch(/drop$/);
  });

  it('drops what is too short to prove anything before it is counted against its source', () => {
    const rules = rulesOf(installGuard(spec, []), names.guard);
    expect(rules.findIndex((rule) => rule.startsWith('udp length < 81'))).toBeLessThan(
      rules.indexOf('goto p10000_strangers'),
    );
  });

  it('spends nothing of a source on data that comes before its authentication', () => {
    const rules = rulesOf(installGuard(spec, []), names.guard);
    const data = '@th,64,4 4 udp length != { 81 } counter name p10000_refused drop';
    expect(rules).toContain(data);
    expect(rules.indexOf(data)).toBeLessThan(rules.indexOf('goto p10000_strangers'));
  });

  it('takes an empty authentication packet for what it is', () => {
    const rules = rulesOf(installGuard({ ...spec, authLengths: [0] }, []), names.guard);
    expect(rules.some((rule) => rule.startsWith('udp length <'))).toBe(false);
    expect(rules).toContain(
      'ip saddr . udp sport . ip daddr @p10000_admitted @th,64,4 4 udp length != { 8 } counter accept',
    );
  });

  it('drops bare IPIP between the outer addresses of the tunnel', () => {
    expect(rulesOf(installGuard(spec, []), names.input)[0]).toBe(
      'ip protocol 4 ip saddr . ip daddr @p10000_pairs counter name p10000_refused drop',
    );
  });

  it('refuses other devices than the configured one', () => {
    const rules = rulesOf(installGuard({ ...spec, device: 'eth0' }, []), names.guard);
    expect(rules[0]).toBe('iifname != "eth0" counter name p10000_refused drop');
  });

  it('has no counters when they are switched off', () => {
    expect(installGuard({ ...spec, counters: false }, [peer])).not.toContain('counter');
  });
});

describe('what passes a tunnel device', () => {
  it('is dropped before anything routes it when its source is not that of the peer', () => {
    const script = installGuard(spec, []);
    expect(rulesOf(script, names.prerouting)[0]).toBe(
      'iifname @p10000_devices goto p10000_foreign',
    );
    expect(rulesOf(script, names.foreign)).toEqual([
      'iifname . ip saddr @p10000_inner32 accept',
      'ip saddr @p10000_claimed32 goto p10000_stray',
      'iifname . ip saddr & 255.255.255.0 @p10000_inner24 accept',
      'ip saddr & 255.255.255.0 @p10000_claimed24 goto p10000_stray',
      'iifname . ip saddr & 255.255.0.0 @p10000_inner16 accept',
      'ip saddr & 255.255.0.0 @p10000_claimed16 goto p10000_stray',
      'iifname @p10000_everywhere accept',
      'goto p10000_stray',
    ]);
    expect(rulesOf(script, names.stray)).toEqual(['iifname @p10000_strays drop', 'drop']);
    expect(script).toContain('p10000_strays { type ifname; counter; }');
  });

  it('is looked for in sets without intervals, which lose nothing while they change', () => {
    expect(installGuard(spec, [peer])).not.toContain('interval');
  });

  it('never reaches the port', () => {
    const rules = rulesOf(installGuard(spec, []), names.guard);
    expect(rules[0]).toBe('iifname @p10000_devices counter name p10000_refused drop');
  });

  it('has its TCP segments made to fit, in both directions', () => {
    const clamp = 'tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu';
    expect(rulesOf(installGuard(spec, []), names.forward)).toEqual([
      `iifname @p10000_devices ${clamp}`,
      `oifname @p10000_devices ${clamp}`,
    ]);
  });
});

describe('the rewriting of alternative addresses', () => {
  it('asks a map by the whole path, before and after the host has its say', () => {
    const script = installGuard(spec, []);
    expect(rulesOf(script, names.prerouting)[1]).toBe(
      'udp dport 10000 ip daddr set ip saddr . udp sport . ip daddr map @p10000_inwards',
    );
    expect(rulesOf(script, names.postrouting)).toEqual([
      'udp sport 10000 ip saddr set ip saddr . ip daddr . udp dport map @p10000_outwards',
    ]);
  });
});

describe('what goes in fragments', () => {
  const fragments = { ...spec, outside: ['ipv4', 'ipv6'], fragments: { ttl: 64 } } as const;

  it('may be divided, over IPv4', () => {
    const script = installGuard(fragments, []);
    expect(rulesOf(script, names.postrouting).slice(0, 2)).toEqual([
      'oifname @p10000_devices meta oifkind { "ipip", "sit" } ip frag-off 0x4000 ip frag-off set 0',
      'udp sport 10000 ip daddr . ip saddr @p10000_pairs ip frag-off 0 ip ttl set 64',
    ]);
    expect(script).not.toMatch(/ip6 .*frag-off/);
    expect(installGuard({ ...fragments, inside: ['ipv6'] }, [])).not.toContain('oifkind');
    expect(installGuard(spec, [])).not.toContain('frag-off');
  });

  it('is rewritten as a whole: after it was put together, where it was not before', () => {
    const rewrite =
      'udp dport 10000 ip daddr set ip saddr . udp sport . ip daddr map @p10000_inwards';
    const script = installGuard(fragments, []);
    expect(rulesOf(script, names.prerouting)[1]).toBe(`ip frag-off & 0x3fff == 0 ${rewrite}`);
    expect(rulesOf(script, names.input)[0]).toBe(rewrite);
    expect(rulesOf(script, names.input, 'ip6').join('\n')).not.toContain('daddr set');
  });
});

describe('elementsOf', () => {
  it('says the device of a peer that is not admitted, and no more', () => {
    expect(textsOf({ ...peer, admission: undefined })).toEqual([
      { set: 'devices', text: '"ipipou0"' },
      { set: 'strays', text: '"ipipou0"' },
    ]);
  });

  it('admits a path', () => {
    expect(textsOf(peer)).toEqual([
      { set: 'devices', text: '"ipipou0"' },
      { set: 'strays', text: '"ipipou0"' },
      { set: 'admitted', text: '203.0.113.2 . 40001 . 203.0.113.1' },
      { set: 'pairs', text: '203.0.113.2 . 203.0.113.1' },
    ]);
  });

  it('admits by the alternative address and rewrites it both ways', () => {
    expect(textsOf({ ...peer, admission: { path, alt } }).slice(2)).toEqual([
      { set: 'admitted', text: '203.0.113.2 . 40001 . 172.29.0.0' },
      { set: 'inwards', text: '203.0.113.2 . 40001 . 203.0.113.1 : 172.29.0.0' },
      { set: 'outwards', text: '172.29.0.0 . 203.0.113.2 . 40001 : 203.0.113.1' },
      { set: 'pairs', text: '203.0.113.2 . 172.29.0.0' },
    ]);
  });

  it('refuses bare IPIP where a device may point besides, once', () => {
    const remote = path.remote.ip;
    const pairs = (besides: GuardPeer['besides']) =>
      textsOf({ ...peer, besides }).filter(({ set }) => set === 'pairs');
    expect(pairs([{ remote, local: alt }]).map(({ text }) => text)).toEqual([
      '203.0.113.2 . 203.0.113.1',
      '203.0.113.2 . 172.29.0.0',
    ]);
    expect(pairs([{ remote, local: path.local.ip }])).toHaveLength(1);
  });

  it('names inner sources by the length of their prefix, each once, and who may send from anywhere', () => {
    const innerSources = [
      prefix(0x0a010203, 32),
      prefix(0x0a010000, 16),
      prefix(0, 0),
      prefix(0x0a010000, 16),
    ];
    expect(textsOf({ ...peer, admission: undefined, innerSources }).slice(2)).toEqual([
      { set: 'inner32', text: '"ipipou0" . 10.1.2.3' },
      { set: 'claimed32', text: '10.1.2.3' },
      { set: 'inner16', text: '"ipipou0" . 10.1.0.0' },
      { set: 'claimed16', text: '10.1.0.0' },
      { set: 'everywhere', text: '"ipipou0"' },
    ]);
    expect(prefixLengthsOf([{ ...peer, innerSources }, peer])).toEqual({
      ipv4: [32, 16],
      ipv6: [],
    });
  });

  it('names the hint of a key', () => {
    const hint = Uint8Array.of(0, 1, 0xab, 3, 4, 5, 6, 0xff);
    expect(textsOf({ ...peer, hint })).toContainEqual({
      set: 'hints',
      text: '0x0001ab03040506ff',
    });
  });
});

describe('changePeers', () => {
  it('adds one peer without touching another', () => {
    expect(changePeers(spec, [{ before: undefined, after: peer }]).split('\n')).toEqual([
      'add element ip ipipou p10000_admitted { 203.0.113.2 . 40001 . 203.0.113.1 }',
      'add element ip ipipou p10000_pairs { 203.0.113.2 . 203.0.113.1 }',
      'add element ip ipipou p10000_devices { "ipipou0" }',
      'add element ip ipipou p10000_strays { "ipipou0" }',
    ]);
  });

  it('re-points a peer by the elements that differ', () => {
    const moved = { ...path, remote: { ...path.remote, port: port(40002) } };
    const after = { ...peer, admission: { path: moved, alt: undefined } };
    expect(changePeers(spec, [{ before: peer, after }]).split('\n')).toEqual([
      'delete element ip ipipou p10000_admitted { 203.0.113.2 . 40001 . 203.0.113.1 }',
      'add element ip ipipou p10000_admitted { 203.0.113.2 . 40002 . 203.0.113.1 }',
    ]);
  });

  it('removes all of a peer, and gives its inner addresses to another, which are claimed all the while', () => {
    const own = { ...peer, innerSources: [prefix(0x0a010000, 16)] };
    const other = { ...own, device: 'ipipou0-1', admission: undefined };
    const script = changePeers(spec, [
      { before: own, after: undefined },
      { before: undefined, after: other },
    ]);
    expect(script.split('\n')).toEqual([
      'delete element ip ipipou p10000_admitted { 203.0.113.2 . 40001 . 203.0.113.1 }',
      'delete element ip ipipou p10000_pairs { 203.0.113.2 . 203.0.113.1 }',
      'delete element ip ipipou p10000_devices { "ipipou0" }',
      'delete element ip ipipou p10000_strays { "ipipou0" }',
      'delete element ip ipipou p10000_inner16 { "ipipou0" . 10.1.0.0 }',
      'add element ip ipipou p10000_devices { "ipipou0-1" }',
      'add element ip ipipou p10000_strays { "ipipou0-1" }',
      'add element ip ipipou p10000_inner16 { "ipipou0-1" . 10.1.0.0 }',
    ]);
  });

  it('says nothing where nothing changes', () => {
    expect(changePeers(spec, [{ before: peer, after: { ...peer } }])).toBe('');
  });
});

describe('installGuard with peers', () => {
  const commands = (script: string) =>
    script.split('\n').filter((line) => /^(flush (set|map)|(add|delete) element) /.test(line));

  it('does not touch elements that are wanted and there already', () => {
    const own = { ...peer, admission: { path, alt }, innerSources: [prefix(0x0a010000, 16)] };
    const there = new Map<SetKey, Set<string>>();
    for (const each of peerSets(spec)) there.set(setKey(each), new Set());
    for (const each of elementsOf(own, V4)) there.set(setKey(each), new Set([each.text]));
    expect(commands(installGuard(spec, [own], there))).toEqual([]);
  });

  it("gives sets what they lack, and takes out what is nobody's", () => {
    const there = new Map<SetKey, Set<string>>([
      [
        'ipv4 admitted',
        new Set(['203.0.113.2 . 40001 . 203.0.113.1', '203.0.113.9 . 1 . 203.0.113.1']),
      ],
      ['ipv4 pairs', new Set()],
      ['ipv4 inwards', new Set(['203.0.113.9 . 1 . 203.0.113.1 : 172.29.0.0'])],
      ['ipv4 outwards', new Set()],
      ['ipv4 devices', new Set(['"ipipou0"'])],
      ['ipv4 strays', new Set(['"ipipou0"'])],
    ]);
    expect(commands(installGuard(spec, [peer], there))).toEqual([
      ...[
        'everywhere',
        'hints',
        'inner32',
        'claimed32',
        'inner24',
        'claimed24',
        'inner16',
        'claimed16',
      ].map((set) => `flush set ip ipipou p10000_${set}`),
      'delete element ip ipipou p10000_admitted { 203.0.113.9 . 1 . 203.0.113.1 }',
      'delete element ip ipipou p10000_inwards { 203.0.113.9 . 1 . 203.0.113.1 : 172.29.0.0 }',
      'add element ip ipipou p10000_pairs { 203.0.113.2 . 203.0.113.1 }',
    ]);
  });

  it('empties every set of which it is not known what it holds before it fills it', () => {
    const lines = installGuard(spec, [{ ...peer, admission: { path, alt } }]).split('\n');
    for (const name of ['admitted', 'pairs', 'inwards', 'outwards', 'devices'] as const) {
      const emptied = lines.findIndex(
        (line) => /^flush (set|map)/.test(line) && line.endsWith(names[name]),
      );
      const filled = lines.findIndex((line) =>
        line.startsWith(`add element ip ipipou ${names[name]} `),
      );
      expect(emptied, name).toBeGreaterThan(0);
      expect(filled, name).toBeGreaterThan(emptied);
    }
  });
});

describe('removeGuard', () => {
  const declared = [...installGuard(spec, []).matchAll(/^add (\w+) ip ipipou (\w+)/gm)];
  const there = declared.map(([, kind = '', name = '']) => ({ kind, name }));

  it('deletes every object that installGuard makes, rules first, and not the table', () => {
    const made = new Set(installGuard(spec, [peer]).match(/p10000_[a-z0-9_]+/g));
    const script = removeGuard(spec, 'ipv4', there);
    for (const name of made)
      expect(script).toMatch(new RegExp(`delete \\w+ ip ipipou ${name}$`, 'm'));
    const lines = script.split('\n');
    expect(lines.filter((line) => line.startsWith('delete'))).toHaveLength(made.size);
    expect(lines.findLastIndex((line) => line.startsWith('flush chain'))).toBeLessThan(
      lines.findIndex((line) => line.startsWith('delete')),
    );
    expect(script).not.toContain('delete table');
  });

  it("leaves other tunnels' objects and what is not there alone", () => {
    const others = [
      { kind: 'chain', name: 'p1000_guard' },
      { kind: 'set', name: 'mine' },
    ];
    expect(removeGuard(spec, 'ipv4', others)).toBe('');
  });
});

describe('a tunnel of both families', () => {
  const both: GuardSpec = {
    ...spec,
    outside: ['ipv4', 'ipv6'],
    inside: ['ipv4', 'ipv6'],
    prefixLengths: { ipv4: [32], ipv6: [128, 64] },
  };
  const rules6 = (script: string, chain: string): string[] => rulesOf(script, chain, 'ip6');
  const path6: Path = {
    local: { ip: ip('2001:db8::1'), port: port(10000) },
    remote: { ip: ip('2001:db8::2'), port: port(40001) },
  };

  it('has in the table of IPv4 what a tunnel of IPv4 alone has, but for what it carries besides', () => {
    const lines = (of: GuardSpec, word: string) =>
      installGuard(of, [peer])
        .split('\n')
        .filter((line) => new RegExp(`^(add|flush) \\S+ ${word} `).test(line));
    const narrow = { ...both, inside: ['ipv4'] } as const;
    const alone = { ...narrow, outside: ['ipv4'] } as const;
    expect(lines(narrow, 'ip')).toEqual(lines(alone, 'ip'));
    expect(lines(alone, 'ip6')).toEqual([]);
  });

  it('accepts data of both families by each, and of no other length than its own header says', () => {
    for (const [word, path] of [
      ['ip', 'ip saddr . udp sport . ip daddr'],
      ['ip6', 'ip6 saddr . udp sport . ip6 daddr'],
    ] as const) {
      const admitted = `${path} @p10000_admitted`;
      const accepting = rulesOf(installGuard(both, []), names.guard, word).filter((rule) =>
        rule.endsWith('accept'),
      );
      expect(accepting).toEqual([
        `${admitted} @th,64,4 { 4, 6 } udp length != { 81 } counter accept`,
        `${admitted} @th,64,4 4 udp length 81 @th,80,16 73 counter accept`,
        `${admitted} @th,64,4 6 udp length 81 @th,96,16 33 counter accept`,
      ]);
    }
  });

  it('takes no other family for data than it carries', () => {
    const only = installGuard({ ...both, inside: ['ipv6'] }, []);
    expect(only).not.toContain('@th,64,4 4');
    expect(only).toContain('@th,64,4 6 udp length != { 81 } counter accept');
    expect(installGuard({ ...both, inside: ['ipv4'] }, [])).not.toContain('@th,64,4 6');
  });

  it('drops all that the devices take without UDP', () => {
    const script = installGuard(both, []);
    expect(rulesOf(script, names.input)[0]).toBe(
      'ip protocol { 4, 41, 137 } ip saddr . ip daddr @p10000_pairs counter name p10000_refused drop',
    );
    expect(rules6(script, names.input)[0]).toBe(
      'meta l4proto { 4, 41, 137 } ip6 saddr . ip6 daddr @p10000_pairs counter name p10000_refused drop',
    );
  });

  it('looks for headers before UDP, and for ends that no peer has, before it admits anybody', () => {
    const refused = 'counter name p10000_refused drop';
    expect(rules6(installGuard(both, []), names.guard).slice(0, 4)).toEqual([
      `iifname @p10000_devices ${refused}`,
      `ip6 nexthdr != 17 ${refused}`,
      `ip6 saddr { ::, ::ffff:0:0/96, fe80::/10, ff00::/8 } ${refused}`,
      `ip6 daddr { fe80::/10, ff00::/8 } ${refused}`,
    ]);
  });

  it('has budgets by the /64', () => {
    const script = installGuard(both, []);
    const mask = 'ip6 saddr & ffff:ffff:ffff:ffff::';
    expect(rules6(script, names.hinted)[0]).toContain(`{ ${mask} . @th,672,64 limit `);
    expect(rules6(script, names.strangers).slice(0, 2).join('\n')).toMatch(
      new RegExp(`^${mask} @p10000_known_sources .*{ ${mask} limit .*\\n.*{ ${mask} limit `),
    );
    expect(rules6(script, names.guard).join('\n')).toContain(`@p10000_known_sources { ${mask} }`);
  });

  it('takes sources inside by prefixes of both, and none that no host has', () => {
    expect(rules6(installGuard(both, []), names.foreign)).toEqual([
      'ip6 saddr { ::/96, ::ffff:0:0/96, fe80::/10, ff00::/8 } goto p10000_stray',
      'ip6 daddr { ::/96, ::ffff:0:0/96 } goto p10000_stray',
      'iifname . ip6 saddr @p10000_inner128 accept',
      'ip6 saddr @p10000_claimed128 goto p10000_stray',
      'iifname . ip6 saddr & ffff:ffff:ffff:ffff:: @p10000_inner64 accept',
      'ip6 saddr & ffff:ffff:ffff:ffff:: @p10000_claimed64 goto p10000_stray',
      'iifname @p10000_everywhere accept',
      'goto p10000_stray',
    ]);
  });

  it('has no rules before the port of a family that it does not listen in', () => {
    const script = installGuard({ ...both, outside: ['ipv6'] }, []);
    for (const chain of [names.input, names.guard, names.strangers, names.hinted]) {
      expect(rulesOf(script, chain)).toEqual([]);
    }
    expect(rulesOf(script, names.prerouting)).toHaveLength(1);
    expect(rulesOf(script, names.postrouting)).toEqual([]);
    expect(rulesOf(script, names.forward)).toHaveLength(2);
  });

  it('says of a peer in each table what is of that family', () => {
    const own: GuardPeer = {
      ...peer,
      innerSources: [
        { ip: inner('172.28.0.1'), length: 32 },
        { ip: inner('fd28::1'), length: 128 },
        { ip: inner('::'), length: 0 },
      ],
      hint: new Uint8Array(8).fill(7),
      admission: { path: path6, alt: ip('fd00::1') },
      besides: [pairOf({ path, alt: undefined })],
    };
    const of = (family: Family) =>
      elementsOf(own, ['ipv4', 'ipv6'])
        .filter((element) => element.family === family)
        .map(({ set, text }) => `${set} ${text}`);
    expect(of('ipv4')).toEqual([
      'devices "ipipou0"',
      'strays "ipipou0"',
      'inner32 "ipipou0" . 172.28.0.1',
      'claimed32 172.28.0.1',
      'hints 0x0707070707070707',
      'pairs 203.0.113.2 . 203.0.113.1',
    ]);
    expect(of('ipv6')).toEqual([
      'devices "ipipou0"',
      'strays "ipipou0"',
      'inner128 "ipipou0" . fd28::1',
      'claimed128 fd28::1',
      'everywhere "ipipou0"',
      'hints 0x0707070707070707',
      'admitted 2001:db8::2 . 40001 . fd00::1',
      'inwards 2001:db8::2 . 40001 . 2001:db8::1 : fd00::1',
      'outwards fd00::1 . 2001:db8::2 . 40001 : 2001:db8::1',
      'pairs 2001:db8::2 . fd00::1',
    ]);
    expect(prefixLengthsOf([own])).toEqual({ ipv4: [32], ipv6: [128] });
  });

  it('re-points a peer from one family to the other', () => {
    const after = { ...peer, admission: { path: path6, alt: undefined } };
    expect(changePeers(both, [{ before: peer, after }]).split('\n')).toEqual([
      'delete element ip ipipou p10000_admitted { 203.0.113.2 . 40001 . 203.0.113.1 }',
      'delete element ip ipipou p10000_pairs { 203.0.113.2 . 203.0.113.1 }',
      'add element ip6 ipipou p10000_admitted { 2001:db8::2 . 40001 . 2001:db8::1 }',
      'add element ip6 ipipou p10000_pairs { 2001:db8::2 . 2001:db8::1 }',
    ]);
  });
});
