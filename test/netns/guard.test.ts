import type { OuterIp, Prefix } from '../../src/core/addr.ts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { openNft, type Nft } from '../../src/adapters/nft/nft.ts';
import { openRawUdp, type RawUdp } from '../../src/adapters/raw-socket.ts';
import { HINT_LENGTH, HINT_OFFSET } from '../../src/core/auth/trailer.ts';
import { prefixLengthsOf, type GuardPeer } from '../../src/core/nft/guard-peer.ts';
import type { GuardSpec } from '../../src/core/nft/guard-rules.ts';
import { changePeers, installGuard } from '../../src/core/nft/guard.ts';
import { GUARD_LIMITS } from '../../src/core/budgets.ts';
import { port } from '../../src/core/units.ts';
import { inner, ip } from '../rig/addresses.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { holds } from '../rig/patience.ts';

/*
 * The guard's rules on packets of the loopback device. This kernel may have no `queue`: what would be
 * queued is counted instead. Budgets are never refilled, so that no test depends on the time.
 *
 *   namespace NAME:   127.x.x.x:any ──lo──▶ 127.0.0.1:10000, 127.0.0.1:9
 */
const NAME = `guard-${process.pid}`;
const TABLE = 't';

let nft: Nft;
let raw: RawUdp;

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

afterEach(() => nft.runScript(`delete table ip ${TABLE}`));

const base: GuardSpec = {
  table: TABLE,
  port: port(10_000),
  device: undefined,
  queue: 7,
  strangers: true,
  authLengths: [73],
  prefixLengths: [],
  counters: true,
};

function install(spec: GuardSpec, peers: readonly GuardPeer[]): void {
  const rules = installGuard(spec, peers)
    .replaceAll('queue num 7', 'counter name queued drop')
    .replaceAll(/[0-9]+\/second/g, '1/day');
  nft.runScript(`add table ip ${TABLE}\nadd counter ip ${TABLE} queued\n${rules}`);
}

function send(source: OuterIp, to: number, payload: Uint8Array, from = 5000): void {
  const path = {
    local: { ip: source, port: port(from) },
    remote: { ip: ip('127.0.0.1'), port: port(to) },
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
    const spec = { ...base, prefixLengths: prefixLengthsOf(peers) };
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
  const spec = { ...base, authLengths: [73, LENGTH] };

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
