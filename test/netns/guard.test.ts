import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { openNft, type Nft } from '../../src/adapters/nft/nft.ts';
import { openRawUdp, type RawUdp } from '../../src/adapters/raw-socket.ts';
import type { Ipv4, Prefix } from '../../src/core/addr.ts';
import { prefixLengthsOf, type GuardPeer } from '../../src/core/nft/guard-peer.ts';
import type { GuardSpec } from '../../src/core/nft/guard-rules.ts';
import { changePeers, installGuard } from '../../src/core/nft/guard.ts';
import { port } from '../../src/core/units.ts';
import { ip } from '../rig/addresses.ts';
import { inNamespace } from '../rig/in-namespace.ts';

/*
 * The guard's rules on packets of the loopback device. This kernel may have no `queue`: what would be
 * queued is counted instead.
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
  const rules = installGuard(spec, peers).replaceAll('queue num 7', 'counter name queued drop');
  nft.runScript(`add table ip ${TABLE}\nadd counter ip ${TABLE} queued\n${rules}`);
}

function send(source: Ipv4, to: number, payload: Uint8Array, from = 5000): void {
  const path = {
    local: { ip: source, port: port(from) },
    remote: { ip: ip('127.0.0.1'), port: port(to) },
  };
  raw.send({ path, payload, ttl: 64 });
}

describe('who sends from an address', () => {
  const prefix = (address: string, length: number): Prefix => ({ ip: ip(address), length });
  const peer = (device: string, innerSources: readonly Prefix[]): GuardPeer => ({
    device,
    innerSources,
    admission: undefined,
    besides: [],
  });

  /** Whether a packet that comes out of "lo" from `source` goes on. */
  async function passes(source: string): Promise<boolean> {
    const strays = () => nft.elementPackets('ip', TABLE, 'p10000_strays').get('lo') ?? 0n;
    const passed = () => nft.counterPackets('ip', TABLE, 'passed') ?? 0n;
    const before = { strays: strays(), passed: passed() };
    send(ip(source), 9, new Uint8Array(1));
    await vi.waitUntil(() => strays() + passed() > before.strays + before.passed);
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
