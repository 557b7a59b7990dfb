/* The command over daemons that are not there: what is asked, what is told, and how much is held meanwhile. */
import { describe, expect, test } from 'vitest';
import { tunnelsJson } from '../../../src/app/management/json.ts';
import { surveyTunnels } from '../../../src/app/management/survey.ts';
import type { CommandContext } from '../../../src/cli/command.ts';
import { showCommand } from '../../../src/cli/commands/show.ts';
import type { Daemons } from '../../../src/cli/machine.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import { NoAnswer } from '../../../src/core/errors.ts';
import type { ControlRequest } from '../../../src/core/management/requests.ts';
import { millis, seconds } from '../../../src/core/units.ts';
import type { ControlReply, PeerStatus, TunnelStatus } from '../../../src/ports/control.ts';
import type { RunEntry } from '../../../src/ports/run-store.ts';
import { inner } from '../../rig/addresses.ts';
import { pathTo } from '../app/fakes.ts';

const PAGE = 100;

function peer(number: number): PeerStatus {
  return {
    ...{ id: `p${number}` as PeerId, innerIps: [inner('10.0.0.1')], allowedIps: 'any' },
    ...{ remote: undefined, localAlt: undefined, mtu: 1472, phase: 'established' },
    ...{ path: pathTo(1), authenticatedAt: millis(1), lastHeardAt: undefined, traffic: undefined },
    ...{ rememberedUntil: undefined, keepalive: seconds(0), refused: {}, troubles: [] },
    ...{ authPacketsSent: 0, repliesVerified: 0, requestsAccepted: 1 },
  };
}

type World = Readonly<Record<string, number | 'silent'>>;

/** Tunnels by their devices: how many peers each has. `readsUntil`: characters that anybody reads. `breaksAfter`: peers that a daemon tells before it ends. */
function world(tunnels: World, { rows, readsUntil = Infinity, breaksAfter = Infinity }: Options) {
  const asked: string[] = [];
  const said = { out: '', err: '' };
  let held = 0;
  let mostHeld = 0;
  const entries = Object.keys(tunnels).map((device) => ({
    ...{ device, controlPath: device, state: 'S' },
    record: {
      ...{ process: { pid: 7, startTime: '1' }, plane: 'tun', log: 'stderr', life: 'up', since: 0 },
      config: { name: 'home', role: 'server', inner: { ips: [] }, peers: [] },
    },
  })) as unknown as readonly RunEntry[];
  const daemons = {
    runs: { list: () => entries, find: (name: string) => entries.find((e) => e.device === name) },
    control: {
      async ask(device: string, request: ControlRequest): Promise<ControlReply> {
        asked.push(`${device} ${request.request}`);
        const count = tunnels[device];
        if (typeof count !== 'number') throw new NoAnswer('nothing', 3000);
        if (request.request === 'status') {
          const status = { device, name: 'home', role: 'server', peerCount: count, troubles: [] };
          const more = {
            since: 0,
            establishedCount: count,
            innerIps: [],
            refused: {},
            refusedBelow: {},
          };
          return { ok: true, status: { ...status, ...more } as unknown as TunnelStatus };
        }
        if (request.request === 'peer') {
          const number = Number(request.peer.slice(1));
          if (!(number < count)) return { ok: false, error: 'there is no such peer' };
          return { ok: true, peers: [peer(number)] };
        }
        if (request.request !== 'peers') throw new Error(request.request);
        const from = request.after === undefined ? 0 : Number(request.after.slice(1)) + 1;
        if (from >= breaksAfter) throw new NoAnswer('nothing', 3000);
        const length = Math.min(PAGE, count - from);
        held += length;
        mostHeld = Math.max(mostHeld, held);
        const peers = Array.from({ length }, (_, index) => peer(from + index));
        return { ok: true, peers, more: from + length < count };
      },
    },
    deviceCounters: () => undefined,
  } as unknown as Daemons;
  const context = {
    stdout: (text: string) => void (said.out += text),
    stderr: (text: string) => void (said.err += text),
    rows: () => rows,
    env: {},
    flushed: async () => {
      held = 0;
      return said.out.length < readsUntil;
    },
    daemons: async () => daemons,
  } as unknown as CommandContext;
  const show = (...args: readonly string[]) => showCommand.run(args, context);
  return { show, said, asked, mostHeld: () => mostHeld, entries, daemons };
}

type Options = {
  readonly rows?: number;
  readonly readsUntil?: number;
  readonly breaksAfter?: number;
};

const linesOf = (text: string): readonly string[] => text.trimEnd().split('\n');

describe('show', () => {
  test('of 20 000 peers tells each, a page at a time', async () => {
    const { show, said, mostHeld } = world({ ipipou0: 20_000 }, {});
    expect(await show()).toBe(0);
    const lines = linesOf(said.out);
    expect(lines).toHaveLength(20_002);
    expect(lines.at(-1)).toMatch(/^ {2}p19999 +established /);
    expect(mostHeld()).toBeLessThan(1000);
    expect(said.err).toBe('');
  });

  test('of 20 000 peers as JSON holds no more of them', async () => {
    const { show, said, mostHeld } = world({ ipipou0: 20_000 }, {});
    expect(await show('--json')).toBe(0);
    const parsed = JSON.parse(said.out) as { tunnels: [{ peers: readonly { id: string }[] }] };
    expect(parsed.tunnels[0].peers.map(({ id }) => id)).toEqual(
      Array.from({ length: 20_000 }, (_, number) => `p${number}`),
    );
    expect(mostHeld()).toBeLessThan(1000);
  });

  test('one field of 20 000 peers, and no more', async () => {
    const { show, said, mostHeld } = world({ ipipou0: 20_000 }, {});
    expect(await show('ipipou0', 'phases')).toBe(0);
    expect(linesOf(said.out)).toHaveLength(20_000);
    expect(mostHeld()).toBeLessThan(1000);
  });

  test('stops when nobody reads any more', async () => {
    const { show, asked } = world({ ipipou0: 20_000 }, { readsUntil: 50_000 });
    await show();
    expect(asked.length).toBeLessThan(20);
  });

  test('gives a terminal some, and says how to see the others', async () => {
    const { show, said, asked } = world({ ipipou0: 1000 }, { rows: 24 });
    expect(await show('--color=never')).toBe(0);
    expect(linesOf(said.out)).toHaveLength(53);
    expect(said.out).toMatch(/and 950 more: show ipipou0 --limit N, --after PEER\n$/);
    expect(asked).toEqual(['ipipou0 status', 'ipipou0 peers']);
  });

  test('--limit and --after turn the pages', async () => {
    const { show, said } = world({ ipipou0: 1000 }, {});
    expect(await show('ipipou0', '--limit', '3', '--after', 'p499')).toBe(0);
    expect(said.out.match(/^ {2}p\d+/gm)).toEqual(['  p500', '  p501', '  p502']);
    await expect(show('--after', 'p1')).rejects.toThrow('name it');
    await expect(show('--limit', 'x')).rejects.toThrow('--limit takes a number');
  });

  test('a peer alone, by its name, whose tunnel need not be named', async () => {
    const { show, said } = world({ ipipou0: 2, ipipou1: 5 }, {});
    expect(await show('p4')).toBe(0);
    expect(said.out).toMatch(/^peer p4: established\n/);
    expect(await show('ipipou1', 'p3')).toBe(0);
    expect(await show('ipipou1', 'peer', 'p2')).toBe(0);
    expect(said.out.match(/^peer .*/gm)).toEqual([
      'peer p4: established',
      'peer p3: established',
      'peer p2: established',
    ]);
    await expect(show('p7')).rejects.toThrow('no tunnel "p7"');
    await expect(show('ipipou0', 'p7')).rejects.toThrow('no field "p7", and no peer of that name');
    await expect(show('ipipou0', 'peer', 'p7')).rejects.toThrow('there is no such peer');
  });

  test('a daemon that hangs hides no other', async () => {
    const { show, said } = world({ ipipou0: 1, ipipou1: 'silent', ipipou2: 1 }, {});
    expect(await show()).toBe(1);
    expect(said.out.match(/^ipipou\d .*/gm)).toEqual([
      'ipipou0 (home): server, 1 of 1 peer established',
      'ipipou1 (home): server, not answering',
      'ipipou2 (home): server, 1 of 1 peer established',
    ]);
  });

  test('a daemon that ends while it is told is told of, and the JSON stays whole', async () => {
    const { show, said } = world({ ipipou0: 1000 }, { breaksAfter: 500 });
    expect(await show('--json')).toBe(1);
    const parsed = JSON.parse(said.out) as { tunnels: [{ peers: readonly unknown[] }] };
    expect(parsed.tunnels[0].peers).toHaveLength(556);
    expect(said.err).toMatch(/^ipipou0: not all peers are told: its daemon .* for 3 s\n$/);
  });

  test.each([{}, { ipipou0: 0 }, { ipipou0: 1 }, { ipipou0: 700, ipipou1: 'silent', ipipou2: 3 }])(
    'in pieces the JSON of %j is that of the whole',
    async (tunnels) => {
      const { show, said, entries, daemons } = world(tunnels as World, {});
      await show('--json');
      expect(said.out).toBe(tunnelsJson(await surveyTunnels(entries, daemons, () => Infinity)));
    },
  );
});
