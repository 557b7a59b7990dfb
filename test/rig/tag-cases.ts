/*
 * Tags on a plane of any kind that knows them. Topology: the drawings at the heads of plane-pair.ts and two-hosts.ts.
 */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { DEFAULT_PEER } from '../../src/core/config/tunnel-config.ts';
import { concatBytes } from '../../src/core/bytes.ts';
import { decodeTagHeader, TAG_LENGTH } from '../../src/core/tag/layout.ts';
import { isTaggedRight, tagged } from '../../src/core/tag/tag.ts';
import { TAG_KEY_LENGTH, type TagKeys, type TagLevel } from '../../src/core/tag/types.ts';
import { port } from '../../src/core/units.ts';
import { NamespaceSocket } from './namespace-sockets.ts';
import { allArrived, eventually, type PlanePair } from './plane-pair.ts';
import { answered, expectNothingLost, innerEcho } from './traffic.ts';
import { expectTcp } from './transfer.ts';
import { tunnelled } from './tunnelled.ts';

/** The keys of both ends for one session after the other: each goes on hearing the one before. */
export class TagSessions {
  readonly #level: TagLevel;
  #count = 0;
  #before: { readonly a: TagKeys; readonly b: TagKeys } | undefined;

  constructor(level: TagLevel) {
    this.#level = level;
  }

  get now(): { readonly a: TagKeys; readonly b: TagKeys } | undefined {
    return this.#before;
  }

  next(): { readonly a: TagKeys; readonly b: TagKeys } {
    this.#count += 1;
    const level = this.#level;
    const toA = { index: 2 * this.#count, key: randomBytes(TAG_KEY_LENGTH) };
    const toB = { index: 0xff_ffff - this.#count, key: randomBytes(TAG_KEY_LENGTH) };
    const { a, b } = this.#before ?? { a: undefined, b: undefined };
    this.#before = {
      a: { level, send: toB, receive: [toA, ...(a?.receive.slice(0, 1) ?? [])] },
      b: { level, send: toA, receive: [toB, ...(b?.receive.slice(0, 1) ?? [])] },
    };
    return this.#before;
  }
}

/** Admits each end to the other, with tags of the next session: both hear under its keys before either sends so. */
export async function admitTagged({ a, b, ends }: PlanePair, sessions: TagSessions) {
  const { now: before } = sessions;
  const keys = sessions.next();
  if (before) {
    await b.admit(ends.bToA, DEFAULT_PEER, { ...keys.b, send: before.b.send });
    await a.admit(ends.aToB, DEFAULT_PEER, { ...keys.a, send: before.a.send });
  }
  await b.admit(ends.bToA, DEFAULT_PEER, keys.b);
  await a.admit(ends.aToB, DEFAULT_PEER, keys.a);
  return keys;
}

const LEVELS = ['header', 'full'] as const;

/** What crosses the cable and what each side takes. */
export function describeTags(pairOf: () => PlanePair): void {
  describe.each(LEVELS)('at level %s', (level) => {
    test('packets carry the right tags, and what is carried arrives', async () => {
      const pair = pairOf();
      const { cable, ends } = pair;
      await Promise.all([pair.openA(), pair.openB()]);
      const keys = await admitTagged(pair, new TagSessions(level));
      using tap = NamespaceSocket.tapAll(cable.b);
      expect(await cable.pings(cable.a, ends.innerB, '-c5', '-i0.05')).toBe(true);
      expect(await cable.pings(cable.b, ends.innerA, '-s1200')).toBe(true);
      const seen = tap.received();
      for (const [from, key] of [
        [ends.a.ip, keys.a.send],
        [ends.b.ip, keys.b.send],
      ] as const) {
        const payloads = tunnelled(seen, from).map(({ payload }) => payload);
        expect(payloads.length).toBeGreaterThanOrEqual(6);
        const headers = payloads.map((payload) => decodeTagHeader(payload));
        expect(headers.map((header) => [header?.level, header?.index])).toEqual(
          payloads.map(() => [level, key.index]),
        );
        expect(new Set(headers.map((header) => header?.counter)).size).toBe(payloads.length);
        expect(payloads.filter((payload) => !isTaggedRight(key.key, payload))).toEqual([]);
      }
      await expectTcp(cable.a, cable.b, ends.innerB, 8 << 20);
      await expectTcp(cable.b, cable.a, ends.innerA, 8 << 20);
      for (const host of [pair.a, pair.b]) {
        expect(await host.counters()).toMatchObject({ tagFailures: 0n, replays: 0n });
      }
    });

    test('there is room for the tag: a full-sized packet fits, fragments inside arrive', async () => {
      const pair = pairOf();
      const { cable, ends } = pair;
      await Promise.all([pair.openA(), pair.openB()]);
      await admitTagged(pair, new TagSessions(level));
      const mtu = ends.mtu - TAG_LENGTH;
      expect((await pair.a.describePeer()).mtu).toBe(mtu);
      const most = mtu - ends.header - 8;
      expect(await cable.pings(cable.a, ends.innerB, '-Mdo', `-s${most}`)).toBe(true);
      const larger = ['ping', '-c1', '-w1', '-Mdo', `-s${most + 1}`, ends.innerB];
      expect((await cable.exec(cable.a, ...larger)).code).not.toBe(0);
      expect(await cable.pings(cable.a, ends.innerB, '-s3000')).toBe(true);
      await Promise.all([pair.a.admit(ends.aToB), pair.b.admit(ends.bToA)]);
      expect((await pair.a.describePeer()).mtu).toBe(ends.mtu);
      expect(await cable.pings(cable.a, ends.innerB)).toBe(true);
    });

    test('replayed, altered, of another level, untagged: nothing of it arrives', async () => {
      const pair = pairOf();
      const { cable, ends, b } = pair;
      await pair.openB();
      const keys = new TagSessions(level).next();
      await b.admit(ends.bToA, DEFAULT_PEER, keys.b);
      using peer = NamespaceSocket.udp(cable.a, ends.a);
      const echo = innerEcho(ends.innerA, ends.innerB, 100);
      const sent = (counter: number, as: TagLevel = level): Uint8Array =>
        tagged({ level: as, index: keys.a.send.index, counter }, keys.a.send.key, echo);
      const before = await pair.arrivedInB();
      peer.send(ends.b, sent(5000));
      const altered = level === 'full' ? echo.length : 64;
      for (let at = 1; at < TAG_LENGTH + altered; at += 1) {
        const wrong = sent(5001);
        wrong[at] = (wrong[at] ?? 0) ^ (1 << (at & 7));
        peer.send(ends.b, wrong);
      }
      for (const counter of [5000, 0, 1, 5000 - 2048]) peer.send(ends.b, sent(counter));
      peer.send(ends.b, sent(5002, level === 'full' ? 'header' : 'full'));
      peer.send(ends.b, echo);
      peer.send(ends.b, sent(5003));
      await eventually(async () => {
        expect(await pair.arrivedInB()).toBeGreaterThanOrEqual(before + 2);
      });
      await eventually(async () => {
        const { rxPackets, tagFailures = 0n, replays = 0n } = await b.counters();
        expect([rxPackets, replays >= 4n, tagFailures >= BigInt(altered)]).toEqual([
          2n,
          true,
          true,
        ]);
      });
      expect(await pair.arrivedInB()).toBe(before + 2);
    });
  });

  test('from elsewhere it is taken, and told; where it goes changes when the peer is admitted there', async () => {
    const pair = pairOf();
    const { cable, ends, b } = pair;
    await pair.openB();
    const keys = new TagSessions('full').next();
    await b.admit(ends.bToA, DEFAULT_PEER, keys.b);
    const elsewhere = { ip: ends.otherA, port: port(4444) };
    using moved = NamespaceSocket.udp(cable.a, elsewhere);
    const echo = innerEcho(ends.innerA, ends.innerB, 100);
    const sent = (counter: number): Uint8Array =>
      tagged({ level: 'full', index: keys.a.send.index, counter }, keys.a.send.key, echo);
    const before = await pair.arrivedInB();
    for (let counter = 1; counter <= 20; counter += 1) moved.send(ends.b, sent(counter));
    for (let counter = 1; counter <= 20; counter += 1) moved.send(ends.b, sent(counter));
    const path = { local: ends.b, remote: elsewhere };
    await eventually(async () => {
      expect(await pair.arrivedInB()).toBe(before + 20);
      expect(b.roamed()[0]).toEqual(path);
    });
    await b.admit(path, DEFAULT_PEER, keys.b);
    moved.received();
    moved.send(ends.b, sent(21));
    await eventually(() => {
      const answers = moved.received();
      expect(answers.length).toBeGreaterThan(0);
      expect(
        answers.filter((answer) => !isTaggedRight(keys.a.receive[0]?.key ?? echo, answer)),
      ).toEqual([]);
    });
  });

  test.each(['its path', 'elsewhere'])(
    'a train of datagrams from %s is tested packet by packet',
    async (from) => {
      const pair = pairOf();
      const { cable, ends, b } = pair;
      await pair.openB();
      const keys = new TagSessions('full').next();
      await b.admit(ends.bToA, DEFAULT_PEER, keys.b);
      const elsewhere = { ip: ends.otherA, port: port(4444) };
      using sender = NamespaceSocket.udp(cable.a, from === 'elsewhere' ? elsewhere : ends.a);
      const echo = innerEcho(ends.innerA, ends.innerB, 100);
      const { index, key } = keys.a.send;
      const cars = Array.from({ length: 10 }, (_, at) =>
        tagged({ level: 'full', index, counter: at + 1 }, key, echo),
      );
      const [third = new Uint8Array(0)] = cars.slice(2);
      third[40] = (third[40] ?? 0) ^ 1;
      sender.segment(third.length);
      const before = await pair.arrivedInB();
      sender.send(ends.b, concatBytes(cars));
      await eventually(async () => {
        expect(await pair.arrivedInB()).toBe(before + 9);
      });
      sender.send(ends.b, concatBytes(cars));
      sender.send(ends.b, tagged({ level: 'full', index, counter: 11 }, key, echo));
      await eventually(async () => {
        expect(await pair.arrivedInB()).toBe(before + 10);
      });
      expect((await b.counters()).rxPackets).toBe(10n);
    },
  );

  test('keys change under load without a packet lost or taken twice', async () => {
    const pair = pairOf();
    const { cable, ends } = pair;
    await Promise.all([pair.openA(), pair.openB()]);
    const sessions = new TagSessions('full');
    await admitTagged(pair, sessions);
    const pinging = new Program(inside(cable.a, ['ping', '-i', '0.002', ends.innerB]));
    let changes = 0;
    while (answered(pinging) < 1500) {
      await admitTagged(pair, sessions);
      await allArrived(pair);
      changes += 1;
    }
    await expectNothingLost(pinging);
    expect(changes).toBeGreaterThan(10);
    for (const host of [pair.a, pair.b]) {
      expect(await host.counters()).toMatchObject({ tagFailures: 0n, replays: 0n });
    }
  });
}
