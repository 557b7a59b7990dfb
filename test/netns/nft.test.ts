import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { inside, ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import { watchNft, type NftEvent } from '../../src/adapters/nft/monitor.ts';
import { openNft, type Nft } from '../../src/adapters/nft/nft.ts';
import { openRawUdp, type RawUdp } from '../../src/adapters/raw-socket.ts';
import { parseOuterIp, type OuterIp, type Endpoint, type Prefix } from '../../src/core/addr.ts';
import { KernelError } from '../../src/core/errors.ts';
import { elementsOf, type GuardPeer } from '../../src/core/nft/guard-peer.ts';
import { declareObjects } from '../../src/core/nft/guard-rules.ts';
import type { GuardSpec } from '../../src/core/nft/guard-spec.ts';
import { peerSets } from '../../src/core/nft/guard.ts';
import { port } from '../../src/core/units.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { holds } from '../rig/patience.ts';
import { inner } from '../rig/addresses.ts';

/*
 *   namespace NAME:   127.0.0.x:10000 ──lo──▶ 127.0.0.1:10001, seen by the input hook of table t
 */
const NAME = `nft-${process.pid}-a`;

let nft: Nft;
let raw: RawUdp;

function address(text: string): OuterIp {
  const ip = parseOuterIp(text);
  if (ip === undefined) throw new Error(text);
  return ip;
}

function endpoint(ip: string, number: number): Endpoint {
  return { ip: address(ip), port: port(number) };
}

function prefix(ip: string, length: number): Prefix {
  return { ip: inner(ip), length };
}

beforeAll(async () => {
  await ipBatch(undefined, [`netns add ${NAME}`]);
  await ipBatch(NAME, ['link set lo up']);
  inNamespace(NAME, () => {
    nft = openNft();
    raw = openRawUdp();
  });
});

afterAll(async () => {
  nft.close();
  raw.close();
  await removeNamespaces([NAME]);
});

beforeEach(() => nft.runScript('add table ip t'));
afterEach(() => nft.runScript('delete table ip t'));

/** What `act` throws. */
function failure(act: () => void): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}

function packets(counter: string): number {
  return Number(nft.counterPackets('ip', 't', counter));
}

describe('elements', () => {
  const guard: GuardSpec = {
    table: 't',
    port: port(10_000),
    outside: ['ipv4', 'ipv6'],
    inside: ['ipv4', 'ipv6'],
    device: undefined,
    queue: 0,
    strangerQueue: 9,
    strangers: true,
    authLengths: [73],
    prefixLengths: { ipv4: [32, 24], ipv6: [128, 48] },
    fragments: undefined,
    counters: true,
  };
  const peer: GuardPeer = {
    device: 'ipipou0-1',
    innerSources: [prefix('10.7.0.0', 24), prefix('172.28.0.1', 32), prefix('0.0.0.0', 0)],
    hint: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    admission: {
      path: { local: endpoint('192.0.2.1', 10_000), remote: endpoint('192.0.2.2', 53) },
      alt: address('172.29.0.0'),
    },
    besides: [],
  };

  const peer6: GuardPeer = {
    ...peer,
    innerSources: [prefix('fd00:7::', 48), prefix('fd28::1', 128), prefix('::', 0)],
    admission: {
      path: { local: endpoint('2001:db8::1', 10_000), remote: endpoint('2001:db8::2', 53) },
      alt: address('fd00::'),
    },
  };

  test.each([
    ['ipv4', 'ip', peer, true],
    ['ipv4', 'ip', peer, false],
    ['ipv6', 'ip6', peer6, true],
    ['ipv6', 'ip6', peer6, false],
  ] as const)('of %s are told as the guard has named them, counters: %4$s', (...row) => {
    const [family, word, of, counters] = row;
    const written = elementsOf(of, [family]);
    const spec = { ...guard, counters };
    nft.runScript(
      [
        ...declareObjects(spec, family),
        ...written.map(({ set, text }) => `add element ${word} t p10000_${set} { ${text} }`),
      ].join('\n'),
    );
    for (const { set, kind } of peerSets({ ...spec, outside: [family], inside: [] })) {
      const texts = written.filter((element) => element.set === set).map(({ text }) => text);
      expect(texts.length, set).toBeGreaterThan(0);
      // A hint is more than a number of JSON holds.
      const told = set === 'hints' ? undefined : new Set(texts);
      expect(nft.elements(word, 't', { kind, name: `p10000_${set}` }), set).toEqual(told);
    }
    if (word !== 'ip') nft.runScript(`delete table ${word} t`);
  });

  test('are none where there is no such set, and not told where they are of another kind', () => {
    expect(nft.elements('ip', 't', { kind: 'set', name: 'nosuch' })).toEqual(new Set());
    nft.runScript('add set ip t s { type ipv4_addr; flags timeout; }');
    nft.runScript('add element ip t s { 192.0.2.1 timeout 1h }');
    expect(nft.elements('ip', 't', { kind: 'set', name: 's' })).toBeUndefined();
  });
});

describe('openNft', () => {
  test('runs all commands of a script or none, and says what the kernel refused', () => {
    const script = 'add set ip t s { type ipv4_addr; }\ndelete chain ip t nosuch';
    const thrown = failure(() => nft.runScript(script));
    expect(thrown).toBeInstanceOf(KernelError);
    expect(thrown).toMatchObject({ exit: 'nftables', operation: 'nft', errno: 'ENOENT' });
    expect((thrown as KernelError).words).toContain('No such file or directory');
    expect(nft.tableIsEmpty('ip', 't')).toBe(true);
  });

  test('says what it does not understand', () => {
    expect(failure(() => nft.runScript('add nonsense'))).toMatchObject({
      errno: 'EINVAL',
      words: expect.stringMatching(/^syntax error, .* \| add nonsense$/),
    });
  });

  test('refuses a text that would be cut short', () => {
    expect(() => nft.runScript('add table ip t\0add table ip u')).toThrow('a zero in the text');
  });

  test('lists a table, and not the elements of its sets', () => {
    nft.runScript(
      'add set ip t pairs { type ipv4_addr . inet_service; elements = { 10.0.0.1 . 1000 }; }',
    );
    const listed = nft.list('ip', 't');
    expect(listed.map((entry) => entry.kind)).toEqual(['table', 'set']);
    expect(listed[1]?.fields).toMatchObject({ name: 'pairs' });
    expect(listed[1]?.fields).not.toHaveProperty('elem');
  });

  test('tells an empty table from a used one and from none', () => {
    expect(nft.tableIsEmpty('ip', 't')).toBe(true);
    expect(nft.tableIsEmpty('ip', 'nosuch')).toBe(false);
    nft.runScript('add chain ip t c');
    expect(nft.tableIsEmpty('ip', 't')).toBe(false);
    expect(failure(() => nft.list('ip', 'nosuch'))).toMatchObject({ errno: 'ENOENT' });
    expect(nft.tableIsEmpty('ip', 'x", "y')).toBe(false);
  });

  test('lists in a context that has done nothing yet', () => {
    const other = inNamespace(NAME, openNft);
    expect(other.list('ip', 't').map(({ kind }) => kind)).toEqual(['table']);
    other.close();
  });

  test('names what is in a table, and nothing of one that is not there', () => {
    nft.runScript(
      [
        'add chain ip t c',
        'add rule ip t c counter',
        'add set ip t s { type ipv4_addr; flags dynamic,timeout; timeout 10s; }',
        'add map ip t m { type ipv4_addr : ipv4_addr; }',
        'add counter ip t n',
      ].join('\n'),
    );
    const objects = nft.objects('ip', 't').toSorted((a, b) => a.name.localeCompare(b.name));
    expect(objects).toEqual([
      { kind: 'chain', name: 'c' },
      { kind: 'map', name: 'm' },
      { kind: 'counter', name: 'n' },
      { kind: 'set', name: 's' },
    ]);
    expect(nft.objects('ip', 'nosuch')).toEqual([]);
  });

  test('tells what each element of a set has counted', async () => {
    nft.runScript(`
      add set ip t s { type ifname; counter; }
      add element ip t s { "lo", "eth7" }
      add chain ip t in { type filter hook input priority 0; }
      add rule ip t in iifname @s drop`);
    for (let i = 0; i < 3; i++) {
      const at = { local: endpoint('127.0.0.1', 10000), remote: endpoint('127.0.0.1', 10001) };
      raw.send({ path: at, payload: Uint8Array.of(i), ttl: 64 });
    }
    await holds(() => nft.elementPackets('ip', 't', 's').get('lo') === 3n);
    expect(nft.elementPackets('ip', 't', 's').get('eth7')).toBe(0n);
    expect(nft.elementPackets('ip', 't', 'nosuch').size).toBe(0);
  });

  test('counts nothing where there is no counter', () => {
    expect(nft.counterPackets('ip', 't', 'nosuch')).toBeUndefined();
  });

  test('cannot be used after it is closed', () => {
    const other = inNamespace(NAME, openNft);
    other.close();
    other.close();
    expect(() => other.runScript('add table ip u')).toThrow('closed');
  });
});

describe('watchNft', () => {
  let events: NftEvent[];
  let watch: { close(): void };

  beforeEach(() => {
    events = [];
    watch = inNamespace(NAME, () => watchNft((event) => events.push(event)));
  });
  afterEach(() => watch.close());

  test('tells own changes, whole transactions at a time', async () => {
    nft.runScript(
      [
        'add set ip t s { type ipv4_addr; }',
        'add element ip t s { 10.0.0.1 }',
        'add chain ip t c',
        'add rule ip t c drop',
        'add counter ip t n',
      ].join('\n'),
    );
    await holds(() => events.length > 0);
    // The kernel counts processes in the first PID namespace, which need not be this one's.
    const processId = expect.any(Number) as number;
    const own = { family: 'ip', table: 't', processId, portId: nft.portId };
    const none = { chain: undefined, set: undefined };
    expect(nft.portId).toBeTypeOf('number');
    expect(events).toHaveLength(5);
    expect(events).toEqual(
      expect.arrayContaining([
        { change: 'add', object: 'set', ...own, ...none, set: 's' },
        { change: 'add', object: 'element', ...own, ...none, set: 's' },
        { change: 'add', object: 'chain', ...own, ...none, chain: 'c' },
        { change: 'add', object: 'rule', ...own, ...none, chain: 'c' },
        { change: 'add', object: 'object', ...own, ...none },
      ]),
    );
  });

  test("tells another process's changes from own ones", async () => {
    await runChecked(inside(NAME, ['nft', 'flush ruleset']));
    await holds(() => events.length > 0);
    nft.runScript('add table ip t');
    await holds(() => events.length > 1);
    const [theirs, ours] = events;
    expect(theirs).toMatchObject({ change: 'delete', object: 'table', family: 'ip', table: 't' });
    if (theirs?.change !== 'delete' || ours?.change !== 'add') throw new Error('unexpected');
    expect(theirs.processId).not.toBe(ours.processId);
    expect(theirs.portId).not.toBe(nft.portId);
    expect(ours.portId).toBe(nft.portId);
  });
});

describe('limits per source', () => {
  /** Sends `count` packets from 127.0.0.`source`; all have passed the hook on return. */
  function flood(source: number, count: number): void {
    const path = {
      local: endpoint(`127.0.0.${source}`, 10000),
      remote: endpoint('127.0.0.1', 10001),
    };
    for (let i = 0; i < count; i++) raw.send({ path, payload: Uint8Array.of(i), ttl: 64 });
  }

  test('hold each source to its burst, and all sources that a full set has no room for to one', async () => {
    nft.runScript(`
      add set ip t sources { type ipv4_addr; size 2; flags dynamic,timeout; timeout 60s; }
      add counter ip t n_offered
      add counter ip t n_each
      add counter ip t n_all
      add counter ip t n_passed
      add chain ip t in { type filter hook input priority 10; policy accept; }
      add rule ip t in udp dport != 10001 accept
      add rule ip t in counter name n_offered
      add rule ip t in update @sources { ip saddr limit rate over 1/hour burst 5 packets } counter name n_each drop
      add rule ip t in limit rate over 1/hour burst 12 packets counter name n_all drop
      add rule ip t in counter name n_passed drop`);
    flood(11, 20);
    await holds(() => packets('n_offered') === 20);
    expect([packets('n_passed'), packets('n_each'), packets('n_all')]).toEqual([5, 15, 0]);
    flood(12, 20);
    await holds(() => packets('n_offered') === 40);
    expect([packets('n_passed'), packets('n_each'), packets('n_all')]).toEqual([10, 30, 0]);
    // The set is full now: further sources share what is left of the limit on all.
    for (const source of [13, 14, 15]) flood(source, 20);
    await holds(() => packets('n_offered') === 100);
    expect([packets('n_passed'), packets('n_each'), packets('n_all')]).toEqual([12, 30, 58]);
  });

  test('let nothing through that a full set has no room for, where the limit is the way in', async () => {
    nft.runScript(`
      add set ip t sources { type ipv4_addr; size 1; flags dynamic,timeout; timeout 60s; }
      add counter ip t n_offered
      add counter ip t n_passed
      add chain ip t in { type filter hook input priority 10; policy accept; }
      add rule ip t in udp dport != 10001 accept
      add rule ip t in counter name n_offered
      add rule ip t in update @sources { ip saddr limit rate 1/hour burst 5 packets } counter name n_passed drop
      add rule ip t in drop`);
    for (const source of [11, 12, 13]) flood(source, 20);
    await holds(() => packets('n_offered') === 60);
    expect(packets('n_passed')).toBe(5);
  });
});
