/*
 * What somebody on the way gets done, by daemons: each cell of the table in docs/PROTOCOL.md. Topology: the drawing at
 * the head of src/adapters/lab/topology.ts; he sits at the router.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import { NAT_ADDRESSES } from '../../src/adapters/lab/topology.ts';
import { formatBase64 } from '../../src/core/base64.ts';
import { TAG_LENGTH } from '../../src/core/tag/layout.ts';
import { millis } from '../../src/core/units.ts';
import type { TunnelStatus } from '../../src/ports/control.ts';
import type { PlaneName } from '../../src/ports/data-plane.ts';
import { innerAddresses } from './addresses.ts';
import { changed, DESCRIBED, type Daemon } from './daemon.ts';
import type { LabScene } from './lab-scene.ts';
import { ELSEWHERE, OnTheWay, PASS, type Trick } from './on-the-way.ts';
import { eventually } from './plane-pair.ts';
import { expectPing, innerEcho } from './traffic.ts';

const keys = generateKeyPair();
const INNER = innerAddresses(0);
/** Of an inner packet, what level `header` proves. */
const PROVED = 64;
const COUNT = 20;
/** Bytes of a ping's payload, so that there is something behind what is proved. */
const LONG = 300;
/** So much that it is noticed where only bytes are compared. */
const LARGE = 1000;
/** Three statements take half a minute. */
const LONG_WAIT = millis(60_000);

const COLUMNS = ['v1', 'none', 'header', 'full'] as const;
type Column = (typeof COLUMNS)[number];
const ROWS = ['injects', 'replays', 'replaces', 'relays'] as const;

/** What the page says, by row and column. */
function promises(): ReadonlyMap<string, string> {
  const page = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8');
  const [, table = ''] = /<!-- attacks -->([^]*)<!-- end of attacks -->/.exec(page) ?? [];
  const found = new Map<string, string>();
  for (const line of table.split('\n')) {
    const [, name = '', ...cells] = line.split('|').map((cell) => cell.trim());
    const row = ROWS.find((each) => name.startsWith(each));
    if (row) COLUMNS.forEach((column, at) => found.set(`${row} ${column}`, cells[at] ?? ''));
  }
  return found;
}

export function describeAttacks(
  plane: PlaneName,
  scene: LabScene,
  columns: readonly Column[] = COLUMNS,
): void {
  const table = promises();

  describe.each(columns)(`somebody on the way, ${plane}, %s`, (column) => {
    const said = (row: (typeof ROWS)[number]): string => table.get(`${row} ${column}`) ?? '';

    test('forges the admitted path, and sends again what has passed, also after kill -9', async () => {
      const { server, serverLines, attacker } = await begin(scene, plane, column);
      await using _ = attacker;
      const { lab, start } = scene;
      // Two statements, so that there is something to compare with.
      if (said('injects').includes('alarm')) await attested(server, 2);
      const echo = innerEcho(INNER.client, INNER.server, LARGE);
      await expectEchoes(lab.server, said('injects'), () => repeat(() => attacker.send(echo)));
      await expectAlarm(server, said('injects'), COUNT);
      attacker.seen.length = 0;
      const ping = ['ping', '-c1', '-w10', `-s${LARGE}`, INNER.server];
      expect(await lab.exec(lab.client(), ping)).toMatchObject({ code: 0 });
      const passed = attacker.seen.find((payload) => isData(payload, column));
      if (!passed) throw new Error('nothing has passed');
      await expectEchoes(lab.server, said('replays'), () => repeat(() => attacker.send(passed)));
      await expectAlarm(server, said('replays'), 2 * COUNT);
      await expectPing(lab, lab.client(), INNER.server);
      if (said('replays') !== 'nothing') return;
      const old = attacker.seen.filter((payload) => isData(payload, column));
      await server.kill();
      const next = await start(lab.server, serverLines);
      await next.established();
      await expectPing(lab, lab.client(), INNER.server);
      expect(old.length).toBeGreaterThan(1);
      await expectEchoes(lab.server, said('replays'), async () => {
        for (const payload of old) attacker.send(payload);
      });
      await expectPing(lab, lab.client(), INNER.server);
    });

    test('replaces what is behind the first bytes of a packet that he stops', async () => {
      const { attacker } = await begin(scene, plane, column);
      await using _ = attacker;
      const { lab } = scene;
      attacker.trick = (payload) =>
        isData(payload, column) ? PASS(replaced(payload, column)) : PASS(payload);
      const ping = ['ping', '-n', `-c${COUNT}`, '-i0.02', '-W1', `-s${LONG}`, INNER.server];
      await expectEchoes(lab.server, said('replaces'), () => lab.exec(lab.client(), ping));
      attacker.trick = PASS;
      await expectPing(lab, lab.client(), INNER.server);
    });

    test('relays all from elsewhere, faster than it comes by itself', async () => {
      const { server, attacker } = await begin(scene, plane, column);
      await using _ = attacker;
      const { lab } = scene;
      const relay: Trick = (payload) => [
        { payload, from: 'elsewhere' },
        { payload, from: 'client', after: 5 },
      ];
      attacker.trick = relay;
      const ping = lab.spawn(lab.client(), ['ping', '-n', '-i0.1', INNER.server]);
      if (said('relays').startsWith('follows')) {
        await server.until('taken over', ({ path }) => path?.remote.ip === ELSEWHERE.ip);
      } else {
        await eventually(() => {
          expect(server.program.output()).toContain('somebody sends on packets of the peer');
        });
        // For ten seconds he is not looked at.
        const { path } = await server.established();
        expect(path?.remote.ip).toBe(NAT_ADDRESSES[0]);
        const before = ping.stdout.length;
        await ping.waitFor((output) => output.length > before + 200);
        expect((await server.established()).path?.remote.ip).toBe(NAT_ADDRESSES[0]);
      }
      await ping.stop('SIGINT');
    });

    async function expectEchoes(
      namespace: string,
      promise: string,
      act: () => Promise<unknown>,
    ): Promise<void> {
      const before = await echoesIn(namespace);
      await act();
      const expected = before + (promise.startsWith('comes in') ? COUNT : 0);
      await eventually(async () => expect(await echoesIn(namespace)).toBe(expected));
      // What was refused leaves room for nothing later.
      if (expected === before) {
        await new Promise((resolve) => void setTimeout(resolve, 300));
        expect(await echoesIn(namespace)).toBe(before);
      }
    }

    async function echoesIn(namespace: string): Promise<number> {
      const { stdout } = await scene.lab.exec(namespace, ['nstat', '-asz', 'IcmpInEchos']);
      return Number(/IcmpInEchos\s+(\d+)/.exec(stdout)?.[1] ?? NaN);
    }
  });
}

async function begin(
  { lab, start }: LabScene,
  plane: PlaneName,
  column: Column,
): Promise<{
  readonly server: Daemon;
  readonly serverLines: readonly string[];
  readonly attacker: OnTheWay;
}> {
  const lines =
    column === 'v1'
      ? [`dataplane ${plane}`, 'session v1']
      : [`dataplane ${plane}`, 'session v2', `integrity ${column}`];
  const own = `auth-key-b64 ${formatBase64(keys.privateSeed)}`;
  const serverLines = changed(DESCRIBED.server, own, ...lines);
  const server = await start(lab.server, serverLines);
  await server.ready();
  const theirs = `auth-remote-pubkey-b64 ${formatBase64(keys.publicKey)}`;
  const ofClient = changed(DESCRIBED.client, theirs, 'keepalive 2', ...lines);
  const client = await start(lab.client(), ofClient);
  const [{ path }] = await Promise.all([server.established(), client.established()]);
  if (path === undefined) throw new Error('no path');
  await expectPing(lab, lab.client(), INNER.server);
  return { server, serverLines, attacker: await OnTheWay.begin(lab, path) };
}

/** What was sent meanwhile by the client hides as much. */
const HIDDEN = 5;

async function expectAlarm(server: Daemon, promise: string, count: number): Promise<void> {
  const output = (): string => server.program.output();
  if (!promise.includes('alarm')) return expect(output()).not.toContain('puts packets into');
  const counted = ({ session }: TunnelStatus): number =>
    session?.attestation?.injected.packets ?? 0;
  const status = await server.until('alarmed', (now) => counted(now) >= count - HIDDEN, LONG_WAIT);
  expect(counted(status)).toBeLessThanOrEqual(count);
  expect(output()).toContain('somebody puts packets into the tunnel');
}

/** Waits for so many statements of the client's. */
async function attested(server: Daemon, count: number): Promise<void> {
  let last: number | undefined;
  for (let seen = 0; seen < count; seen += 1) {
    const { session } = await server.until('attested', ({ session: of }) => {
      const at = of?.attestation?.at;
      return at !== undefined && at !== last;
    });
    last = session?.attestation?.at;
  }
}

async function repeat(act: () => void): Promise<void> {
  for (let count = 0; count < COUNT; count += 1) act();
}

/** Whether what the client has sent is an echo request in the tunnel. */
function isData(payload: Uint8Array, column: Column): boolean {
  const inner = payload.subarray(headerOf(column));
  return inner.length > 28 && inner[0] === 0x45 && inner[9] === 1;
}

function headerOf(column: Column): number {
  return column === 'header' || column === 'full' ? TAG_LENGTH : 0;
}

/** Two words of the payload exchanged: no checksum inside notices. */
function replaced(payload: Uint8Array, column: Column): Uint8Array {
  const at = headerOf(column) + PROVED + 100;
  const [a, b] = [payload.slice(at, at + 2), payload.slice(at + 2, at + 4)];
  payload.set(b, at);
  payload.set(a, at + 2);
  return payload;
}
