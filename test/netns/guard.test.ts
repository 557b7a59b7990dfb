import { familyOf, type OuterIp, type Path, type Prefix } from '../../src/core/addr.ts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { openNft, type Nft } from '../../src/adapters/nft/nft.ts';
import { openRawUdp, type RawUdp } from '../../src/adapters/raw-socket.ts';
import { HINT_LENGTH, HINT_OFFSET } from '../../src/core/auth/trailer.ts';
import { pairOf, prefixLengthsOf, type GuardPeer } from '../../src/core/nft/guard-peer.ts';
import { tablesOf, WORD, type GuardSpec } from '../../src/core/nft/guard-spec.ts';
import { changePeers, installGuard } from '../../src/core/nft/guard.ts';
import { GUARD_LIMITS } from '../../src/core/budgets.ts';
import { encodeU16be } from '../../src/core/bytes.ts';
import { port } from '../../src/core/units.ts';
import { encodeIpv4Header } from '../../src/core/wire/ipv4.ts';
import { encodeIpv6Header } from '../../src/core/wire/ipv6.ts';
import { encodeUdpPacket } from '../../src/core/wire/udp.ts';
import { inner, ip } from '../rig/addresses.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { holds } from '../rig/patience.ts';
import { openRawBytes, type RawBytes } from '../rig/raw-bytes.ts';

/*
 * The guard's rules on packets of the loopback device. This kernel may have no `queue`: what would be
 * queued is counted instead. Budgets are never refilled, so that no test depends on the time.
 *
 *   namespace NAME:   127.x.x.x:any ──lo──▶ 127.0.0.1:10000, 127.0.0.1:9
 *                     [any]:any     ──lo──▶ [fd00::1]:10000, [fd00::1]:9
 */
const NAME = `guard-${process.pid}`;
const TABLE = 't';

let nft: Nft;
let raw: RawUdp;

beforeAll(async () => {
  await ipBatch(undefined, [`netns add ${NAME}`]);
  await ipBatch(NAME, ['link set lo up', 'addr add fd00::1/128 dev lo nodad']);
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

afterEach(() => nft.runScript(`delete table ip ${TABLE}`));

const base: GuardSpec = {
  table: TABLE,
  port: port(10_000),
  outside: ['ipv4'],
  inside: ['ipv4'],
  device: undefined,
  queue: 7,
  strangerQueue: 7,
  strangers: true,
  authLengths: [73],
  prefixLengths: { ipv4: [], ipv6: [] },
  fragments: undefined,
  counters: true,
};

function install(spec: GuardSpec, peers: readonly GuardPeer[], heardFor?: string): void {
  const rules = installGuard(spec, peers)
    .replaceAll(/timeout [0-9]+ms/g, heardFor === undefined ? '$&' : `timeout ${heardFor}`)
    .replaceAll('queue num 7', 'counter name queued drop')
    .replaceAll(/queue num [0-9]+/g, 'counter name p10000_refused drop')
    .replaceAll(/[0-9]+\/second/g, '1/day');
  const tables = tablesOf(spec).map(
    (family) => `add table ${WORD[family]} ${TABLE}\nadd counter ${WORD[family]} ${TABLE} queued\n`,
  );
  nft.runScript(`${tables.join('')}${rules}`);
}

function send(source: OuterIp, to: number, payload: Uint8Array, from = 5000): void {
  const path = {
    local: { ip: source, port: port(from) },
    remote: { ip: ip(familyOf(source) === 'ipv4' ? '127.0.0.1' : 'fd00::1'), port: port(to) },
  };
  raw.send({ path, payload, ttl: 64 });
}

describe('who sends from an address', () => {
  const prefix = (address: string, length: number): Prefix => ({ ip: inner(address), length });
  const peer = (device: string, innerSources: readonly Prefix[]): GuardPeer => ({
    device,
    innerSources,
    hint: undefined,
    admission: undefined,
    besides: [],
  });

  /** Whether a packet that comes out of "lo" from `source` goes on. */
  async function passes(source: string): Promise<boolean> {
    const strays = () => nft.elementPackets('ip', TABLE, 'p10000_strays').get('lo') ?? 0n;
    const passed = () => nft.counterPackets('ip', TABLE, 'passed') ?? 0n;
    const before = { strays: strays(), passed: passed() };
    send(ip(source), 9, new Uint8Array(1));
    await holds(() => strays() + passed() > before.strays + before.passed);
    return passed() > before.passed;
  }

  function begin(peers: readonly GuardPeer[]): GuardSpec {
    const spec: GuardSpec = { ...base, prefixLengths: prefixLengthsOf(peers) };
    install(spec, peers);
    nft.runScript(
      [
        `add counter ip ${TABLE} passed`,
        `add chain ip ${TABLE} after { type filter hook prerouting priority 0; }`,
        `add rule ip ${TABLE} after udp dport 9 counter name passed`,
      ].join('\n'),
    );
    return spec;
  }

  test('must have its longest prefix', async () => {
    begin([
      peer('lo', [prefix('127.50.0.0', 16), prefix('127.50.1.128', 25), prefix('127.9.9.9', 32)]),
      peer('b', [prefix('127.50.1.0', 24), prefix('127.50.2.2', 32)]),
    ]);
    for (const source of ['127.50.0.1', '127.50.1.129', '127.9.9.9', '127.50.2.3']) {
      expect(await passes(source), source).toBe(true);
    }
    for (const source of ['127.50.1.2', '127.50.2.2', '127.51.0.1', '127.9.9.8']) {
      expect(await passes(source), source).toBe(false);
    }
  });

  test('may take what is left, and no more', async () => {
    begin([
      peer('lo', [prefix('127.0.0.2', 32), prefix('0.0.0.0', 0)]),
      peer('b', [prefix('127.50.0.0', 16)]),
    ]);
    expect(await passes('127.0.0.2')).toBe(true);
    expect(await passes('127.3.4.5')).toBe(true);
    expect(await passes('127.50.7.7')).toBe(false);
  });

  test('loses what another is given, and gets it back', async () => {
    const wide = peer('lo', [prefix('127.50.0.0', 16), prefix('127.0.0.2', 32)]);
    const narrow = peer('b', [prefix('127.50.1.2', 32)]);
    const spec = begin([wide]);
    expect(await passes('127.50.1.2')).toBe(true);
    nft.runScript(changePeers(spec, [{ before: undefined, after: narrow }]));
    expect(await passes('127.50.1.2')).toBe(false);
    expect(await passes('127.50.1.3')).toBe(true);
    nft.runScript(changePeers(spec, [{ before: narrow, after: undefined }]));
    expect(await passes('127.50.1.2')).toBe(true);
  });
});

describe('packets of unknown sources', () => {
  const hintOf = (byte: number) => new Uint8Array(HINT_LENGTH).fill(byte);
  const peerOf = (byte: number): GuardPeer => ({
    device: `tun${byte}`,
    innerSources: [],
    hint: hintOf(byte),
    admission: undefined,
    besides: [],
  });
  const LENGTH = 85;
  const spec: GuardSpec = { ...base, authLengths: [73, LENGTH] };

  /** A packet as long as one that proves something, of no data; with a hint or without. */
  function packet(hint?: Uint8Array): Uint8Array {
    const payload = new Uint8Array(LENGTH).fill(0x99);
    if (hint) payload.set(hint, HINT_OFFSET);
    return payload;
  }

  const queued = () => Number(nft.counterPackets('ip', TABLE, 'queued'));

  /** How many of these packets would be queued. */
  async function queuedOf(sent: number, act: (index: number) => void): Promise<number> {
    const refused = () => Number(nft.counterPackets('ip', TABLE, 'p10000_refused'));
    const before = { queued: queued(), all: queued() + refused() };
    for (let index = 0; index < sent; index++) act(index);
    await holds(() => queued() + refused() === before.all + sent);
    return queued() - before.queued;
  }

  const anywhere = (index: number): OuterIp => ip(`127.1.${index >> 8}.${index & 255}`);
  const flood = (hint?: Uint8Array) =>
    queuedOf(1000, (index) => send(anywhere(index), 10_000, packet(hint)));
  const one = (source: string, hint?: Uint8Array, from?: number) =>
    queuedOf(1, () => send(ip(source), 10_000, packet(hint), from));

  beforeEach(() => install(spec, [peerOf(1), peerOf(2)]));

  test('with a hint have what a flood of others cannot use up', async () => {
    expect(await flood()).toBe(GUARD_LIMITS.strangers.burst);
    expect(await one('127.2.0.1')).toBe(0);
    expect(await one('127.2.0.1', hintOf(3)), 'a hint of nobody').toBe(0);
    expect(await one('127.2.0.1', hintOf(1))).toBe(1);
  });

  test('that are first messages of session 2 have their own, and so has what ends their handshake', async () => {
    install({ ...spec, authLengths: [...spec.authLengths, 96, 200] }, [peerOf(1)]);
    const begun = (length: number, ...first: number[]): Uint8Array => {
      const bytes = new Uint8Array(length).fill(9);
      bytes.set(first);
      return bytes;
    };
    const [init, control] = [begun(200, 0xf1, 2, 0, 0), begun(96, 0xf4, 0, 0, 0)];
    const from = (source: string, payload: Uint8Array) =>
      queuedOf(1, () => send(ip(source), 10_000, payload));
    expect(await flood()).toBe(GUARD_LIMITS.strangers.burst);
    expect(await from('127.2.0.1', control), 'before its first message').toBe(0);
    expect(await from('127.2.0.1', init)).toBe(1);
    expect(await from('127.2.0.1', control)).toBe(1);
    expect(await from('127.2.0.2', control), 'without one').toBe(0);
    const before = performance.now();
    const inits = await queuedOf(2000, (index) => send(anywhere(index), 10_000, init));
    const { perSecond, burst } = GUARD_LIMITS.inits;
    const seconds = (performance.now() - before) / 1000;
    expect(inits).toBeGreaterThanOrEqual(burst - 1);
    expect(inits).toBeLessThanOrEqual(burst + perSecond * seconds);
    const many = await queuedOf(20, () => send(ip('127.2.0.1'), 10_000, control));
    expect(many).toBeLessThanOrEqual(GUARD_LIMITS.asked.burst + GUARD_LIMITS.asked.perSecond);
  });

  test('that are first messages which the daemon tests go to a queue of their own, of sources that are heard for a moment', async () => {
    const authLengths = [...spec.authLengths, 96, 200];
    const init = new Uint8Array(200).fill(9);
    init.set([0xf1, 2, 0, 0]);
    const control = new Uint8Array(96).fill(9);
    control.set([0xf4, 0, 0, 0]);
    // The counter stands for that queue; nobody's time is over during the test.
    install(
      { ...spec, authLengths, queue: 8, strangerQueue: 8, firstQueue: 7 },
      [peerOf(1)],
      '9999s',
    );
    const { tested, testedSource } = GUARD_LIMITS;
    const one = () => send(ip('127.2.0.1'), 10_000, init);
    expect(await queuedOf(50, one), 'of one source').toBe(1 + testedSource.burst);
    const all = await queuedOf(1000, (index) => send(anywhere(index), 10_000, init));
    expect(all, 'of many').toBe(tested.burst - 1);
    const heard = await queuedOf(1, () => send(anywhere(0), 10_000, init));
    expect(heard, 'of one that is heard').toBe(1);
    const late = await queuedOf(1, () => send(anywhere(999), 10_000, init));
    expect(late, 'of one that came too late').toBe(0);
    expect(await queuedOf(1, () => send(ip('127.2.0.3'), 10_000, new Uint8Array(200)))).toBe(0);
    install({ ...spec, authLengths, firstQueue: 8 }, [peerOf(1)], '9999s');
    await flood();
    const from = (source: string) => queuedOf(1, () => send(ip(source), 10_000, control));
    expect(await from('127.2.0.1'), 'what ends its handshake').toBe(1);
    expect(await from('127.2.0.2'), 'what ends none').toBe(0);
  });

  test('with a hint from one source leave the hint to others', async () => {
    const sent = await queuedOf(200, () => send(ip('127.2.0.1'), 10_000, packet(hintOf(1))));
    expect(sent).toBe(GUARD_LIMITS.hintedSource.burst + GUARD_LIMITS.strangers.burst);
    expect(await one('127.2.0.2', hintOf(1))).toBe(1);
  });

  test('with one hint from everywhere leave the others theirs, also when the set of sources is full', async () => {
    for (let round = 0; round < 5; round++) {
      await queuedOf(1000, (index) => {
        send(anywhere(round * 1000 + index), 10_000, packet(hintOf(1)));
      });
    }
    expect(await one('127.2.0.1', hintOf(1))).toBe(0);
    expect(await one('127.2.0.1', hintOf(2))).toBe(1);
  });

  test('from where a peer was admitted have a budget before the others', async () => {
    const remote = { ip: ip('127.3.0.1'), port: port(4000) };
    const local = { ip: ip('127.0.0.1'), port: port(10_000) };
    install(spec, [{ ...peerOf(1), admission: { path: { local, remote }, alt: undefined } }]);
    expect(await one(remote.ip, undefined, 4000), 'a refresh').toBe(1);
    await flood();
    expect(await one(remote.ip, undefined, 4001)).toBe(1);
    expect(await one('127.3.0.2', undefined, 4001)).toBe(0);
  });
});

describe('a tunnel of both families', () => {
  const both: GuardSpec = {
    ...base,
    outside: ['ipv4', 'ipv6'],
    inside: ['ipv4', 'ipv6'],
    authLengths: [73, 85],
  };
  const local = { ip: ip('fd00::1'), port: port(10_000) };
  const path: Path = { local, remote: { ip: ip('2001:db8::2'), port: port(4000) } };
  const path4: Path = {
    local: { ip: ip('127.0.0.1'), port: port(10_000) },
    remote: { ip: ip('127.3.0.1'), port: port(4000) },
  };
  const peer: GuardPeer = {
    device: 'tun0',
    innerSources: [],
    hint: new Uint8Array(HINT_LENGTH).fill(1),
    admission: { path, alt: undefined },
    besides: [pairOf({ path: path4, alt: undefined })],
  };

  let bytes: RawBytes;

  beforeAll(() => {
    bytes = inNamespace(NAME, () => openRawBytes());
  });

  afterAll(() => bytes.close());

  afterEach(() => nft.runScript(`delete table ip6 ${TABLE}`));

  /** With counters of what has passed the guard, and of all that has come. */
  function begin(peers: readonly GuardPeer[]): void {
    install({ ...both, prefixLengths: prefixLengthsOf(peers) }, peers);
    for (const word of ['ip', 'ip6']) {
      const ours = 'meta l4proto { 4, 41, 137, 17, 60, 44 }';
      nft.runScript(
        [
          ...['came', 'passed'].map((name) => `add counter ${word} ${TABLE} ${name}`),
          `add chain ${word} ${TABLE} first { type filter hook input priority -400; }`,
          `add rule ${word} ${TABLE} first ${ours} counter name came`,
          `add chain ${word} ${TABLE} after { type filter hook input priority 100; }`,
          `add rule ${word} ${TABLE} after ${ours} counter name passed`,
        ].join('\n'),
      );
    }
  }

  const counted = (name: string): number =>
    ['ip', 'ip6'].reduce((sum, word) => sum + Number(nft.counterPackets(word, TABLE, name)), 0);

  /** How many of the packets go on behind the guard; all have come. */
  async function passing(sent: number, act: () => void): Promise<number> {
    const before = { came: counted('came'), passed: counted('passed') };
    act();
    await holds(() => counted('came') === before.came + sent);
    return counted('passed') - before.passed;
  }

  /** Data of a version, of no length that proofs have. */
  const data = (version: number, length = 100): Uint8Array => {
    const payload = new Uint8Array(length);
    payload[0] = version << 4;
    return payload;
  };
  const from = (remote: Path['remote'], payload: Uint8Array) =>
    passing(1, () => raw.send({ path: { local: remote, remote: local }, payload, ttl: 64 }));

  test('lets data of both families in by the exact path', async () => {
    begin([peer]);
    for (const version of [4, 6]) expect(await from(path.remote, data(version))).toBe(1);
    expect(await from({ ...path.remote, port: port(4001) }, data(6))).toBe(0);
    expect(await from({ ...path.remote, ip: ip('2001:db8::3') }, data(6))).toBe(0);
  });

  test('tells proofs from data of their length by the header of each family', async () => {
    begin([peer]);
    const six = data(6, 85);
    expect(await from(path.remote, six)).toBe(0);
    six[5] = 85 - 40;
    expect(await from(path.remote, six)).toBe(1);
    const four = data(4, 85);
    four[3] = 85;
    expect(await from(path.remote, four)).toBe(1);
  });

  test('lets no header of GUE in, whoever sends it', async () => {
    begin([peer]);
    // Version 0, no options, and IPv6 or IPv4 behind it (draft-ietf-intarea-gue, 3.1).
    for (const protocol of [41, 4]) {
      const gue = Uint8Array.of(0, protocol, 0, 0, ...data(protocol === 4 ? 4 : 6));
      expect(await from(path.remote, gue)).toBe(0);
    }
  });

  test.each([
    ['hop-by-hop options', 0],
    ['destination options', 60],
    ['a fragment header', 44],
  ])('lets nothing in behind %s', async (_what, header) => {
    begin([peer]);
    const packet = encodeUdpPacket({
      path: { local: path.remote, remote: local },
      payload: data(6),
      ttl: 64,
      dontFragment: false,
      checksum: true,
    });
    const plain = () => bytes.send(packet, local.ip);
    expect(await passing(1, plain)).toBe(1);
    // Eight bytes: UDP is next; six bytes of padding, or offset and identification.
    const extension = header === 44 ? [17, 0, 0, 1, 0, 0, 0, 9] : [17, 0, 1, 4, 0, 0, 0, 0];
    const longer = Uint8Array.from([...packet.slice(0, 40), ...extension, ...packet.slice(40)]);
    longer[6] = header;
    longer.set(encodeU16be(longer.length - 40), 4);
    expect(await passing(1, () => bytes.send(longer, local.ip))).toBe(0);
  });

  test.each([4, 41, 137])('lets protocol %i in on none of its pairs', async (protocol) => {
    begin([peer]);
    const bare6 = encodeIpv6Header({
      payloadLength: 40,
      nextHeader: protocol,
      hopLimit: 64,
      source: path.remote.ip,
      destination: local.ip,
    });
    const bare4 = encodeIpv4Header({
      payloadLength: 40,
      identification: 0,
      dontFragment: false,
      ttl: 64,
      protocol,
      source: path4.remote.ip,
      destination: path4.local.ip,
    });
    const rest = new Uint8Array(40);
    const sent = await passing(2, () => {
      bytes.send(Uint8Array.from([...bare6, ...rest]), local.ip);
      bytes.send(Uint8Array.from([...bare4, ...rest]), path4.local.ip);
    });
    expect(sent).toBe(0);
    // From elsewhere it is none of its business.
    const [stranger] = [bare6.slice()];
    stranger[23] = 9;
    expect(
      await passing(1, () => bytes.send(Uint8Array.from([...stranger, ...rest]), local.ip)),
    ).toBe(1);
  });

  const proof = (hint?: Uint8Array): Uint8Array => {
    const payload = new Uint8Array(85).fill(0x99);
    if (hint) payload.set(hint, HINT_OFFSET);
    return payload;
  };
  const queued = () => Number(nft.counterPackets('ip6', TABLE, 'queued'));

  /** How many of these would be queued. */
  async function queuedOf(sources: readonly string[], payload: Uint8Array): Promise<number> {
    const before = queued();
    await passing(sources.length, () => {
      for (const source of sources) send(ip(source), 10_000, payload);
    });
    return queued() - before;
  }

  test('asks nobody from a link of his own', async () => {
    begin([peer]);
    expect(await queuedOf(['fe80::9'], proof())).toBe(0);
    expect(await queuedOf(['2001:db8:9::9'], proof())).toBe(1);
  });

  test('has one budget for all of a /64, with a hint or without', async () => {
    begin([peer]);
    const neighbours = Array.from({ length: 30 }, (_, index) => `2001:db8:5::${index + 1}`);
    const hinted = await queuedOf(neighbours, proof(peer.hint));
    expect(hinted).toBe(GUARD_LIMITS.hintedSource.burst + GUARD_LIMITS.strangers.burst);
    expect(await queuedOf(['2001:db8:6::1'], proof(peer.hint))).toBe(1);
  });

  test('knows the /64 that a peer was admitted at', async () => {
    begin([peer]);
    await passing(1, () =>
      raw.send({ path: { local: path.remote, remote: local }, payload: proof(), ttl: 64 }),
    );
    const flood = Array.from({ length: 30 }, (_, index) => `2001:db8:${index + 16}::1`);
    expect(await queuedOf(flood, proof())).toBe(GUARD_LIMITS.strangers.burst);
    expect(await queuedOf(['2001:db8::77'], proof())).toBe(1);
  });

  test('takes inner sources of IPv6 by their longest prefix, and none that is no host', async () => {
    const prefix = (address: string, length: number): Prefix => ({ ip: inner(address), length });
    const named = (device: string, innerSources: readonly Prefix[]): GuardPeer => ({
      ...peer,
      device,
      innerSources,
      hint: undefined,
      admission: undefined,
    });
    begin([
      named('lo', [prefix('fd28::1', 128), prefix('fd50::', 32), prefix('::', 0)]),
      named('b', [prefix('fd50:0:1::', 48)]),
    ]);
    const passes = (source: string) => passing(1, () => send(ip(source), 9, new Uint8Array(1)));
    // What is dropped before it is routed does not come to the input hook: only strays tell.
    const strays = () => nft.elementPackets('ip6', TABLE, 'p10000_strays').get('lo') ?? 0n;
    for (const source of ['fd28::1', 'fd50::9', '2001:db8::1']) {
      expect(await passes(source), source).toBe(1);
    }
    for (const source of ['fd50:0:1::9', 'fe80::1', '::102:304']) {
      const before = strays();
      send(ip(source), 9, new Uint8Array(1));
      await holds(() => strays() === before + 1n);
    }
  });
});
