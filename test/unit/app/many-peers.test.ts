import { describe, expect, test } from 'vitest';
import { START_BATCH, WAKE_BATCH } from '../../../src/app/limits.ts';
import { openTunnel, type Tunnel, type TunnelPorts } from '../../../src/app/tunnel.ts';
import type { OuterIp, Path } from '../../../src/core/addr.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import type { PeerConfig, PeerId, TunnelConfig } from '../../../src/core/config/tunnel-config.ts';
import { KernelError } from '../../../src/core/errors.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { millis, port, seconds } from '../../../src/core/units.ts';
import type { PlaneContext } from '../../../src/ports/data-plane.ts';
import type { RunRecord } from '../../../src/ports/run-store.ts';
import {
  FakeClock,
  FakeMemory,
  FakePlane,
  ip,
  keepLog,
  pathTo,
  peerConfig,
  settle,
  unreachable,
  FakeSessions,
} from './fakes.ts';

const REFUSED = new KernelError('link', { operation: 'op', errno: 'EIO', subject: 'link x' });
const id = (name: string): PeerId => name as PeerId;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A peer that proves itself by its name, as a token. */
function peer(name: string, changes: Partial<PeerConfig> = {}): PeerConfig {
  const proof = { kind: 'token', token: bytes(`token-${name}`) } as const;
  return { ...peerConfig(id(name)), proof, ...changes };
}

function tunnelConfig(role: 'server' | 'client', peers: readonly PeerConfig[]): TunnelConfig {
  const commandLine = parseArguments(['--server', '--auth-token', 'x', '--dataplane', 'tun']);
  const resolved = resolveConfig({ commandLine, files: [] });
  if (!('config' in resolved)) throw new Error(resolved.action);
  return { ...resolved.config, role, peers };
}

/** A plane that knows when data came, and says which peer a call was for. */
class SharedPlane extends FakePlane {
  heardAt = 0;
  polls = 0;

  override async admit(peer: PeerId, { path }: { readonly path: Path }): Promise<void> {
    if (this.fail.admit) throw this.fail.admit;
    this.calls.push(`admit ${peer} at ${path.remote.ip}`);
  }

  override async evict(peer?: PeerId): Promise<void> {
    this.calls.push(`evict ${peer}`);
  }

  override async counters() {
    this.polls += 1;
    return { ...this.counts, heardAt: millis(this.heardAt) };
  }
}

/** A path of each of many peers, all from one address. */
function adoptedPath(name: string): Path {
  const { local, remote } = pathTo(1);
  return { local, remote: { ...remote, port: port(20_000 + Number(name.replace('peer', ''))) } };
}

class World {
  readonly plane = new SharedPlane();
  readonly clock = new FakeClock();
  readonly kept = keepLog();
  readonly memory = new FakeMemory();
  readonly done: string[] = [];
  readonly names = new Map<string, readonly OuterIp[]>();
  previous: RunRecord | undefined;
  written: RunRecord | undefined;
  context: PlaneContext | undefined;

  async open(role: 'server' | 'client', ...peers: readonly PeerConfig[]): Promise<Tunnel> {
    return openTunnel(
      tunnelConfig(role, peers),
      { configPath: undefined, log: 'stderr' },
      this.#ports(),
    );
  }

  /** An earlier run has ended without order; the plane still carries its peers, which memory vouches for. */
  async cutShort(names: readonly string[]): Promise<void> {
    const earlier = await this.open('server', peer('a'), peer('b'));
    await earlier.close();
    this.calls();
    this.previous = this.written;
    const at = this.clock.now().unix;
    for (const name of names) {
      const path = adoptedPath(name);
      this.plane.adopted.set(id(name), path);
      this.memory.kept.set(id(name), {
        remote: { path, authenticatedAt: at, lastHeardAt: at },
        replay: undefined,
        peer: schemeOf(peer(name).proof).mark(),
      });
    }
  }

  /** An authentic packet of a peer from 198.51.100.`last`. */
  async packet(name: string, last: number): Promise<void> {
    const payload = bytes(`token-${name}`);
    await this.context?.listener.packet({ path: pathTo(last), payload });
  }

  /** What the plane was told since it was last asked for. */
  calls(): readonly string[] {
    return this.plane.calls.splice(0);
  }

  #ports(): TunnelPorts {
    return {
      planes: [
        {
          name: 'tun',
          capabilities: this.plane.capabilities,
          probe: async () => [],
          clean: async () => undefined,
          open: async (context) => {
            this.context = context;
            return this.plane;
          },
        },
      ],
      sessionCrypto: () => ({ random: (length) => new Uint8Array(length) }),
      clock: this.clock,
      log: this.kept.log,
      tell: this.kept.tell,
      reach: unreachable,
      groupNumber: () => undefined,
      resolver: { resolve: async (name) => this.names.get(name) ?? [] },
      host: {
        firstAddress: async () => undefined,
        hasDevice: async () => true,
        routeTo: async () => ({ source: ip('192.0.2.1'), device: 'eth0', mtu: 1500 }),
        onChange: () => () => undefined,
      },
      runs: {
        list: () => [],
        find: () => undefined,
        stateOf: () => undefined,

        claim: () => ({
          previous: this.previous,
          controlPath: '/run/control.sock',
          statusPath: '/run/status.sock',
          share: () => undefined,
          sessions: () => new FakeSessions(),
          process: { pid: 1, startTime: '2' },
          intact: () => true,
          renew: () => undefined,
          write: (record) => {
            this.written = record;
          },
          release: () => undefined,
        }),
      },
      memory: this.memory,
      control: { listen: async () => async () => undefined },
      notify: {
        ready: () => undefined,
        status: (text) => void this.done.push(text),
        stopping: () => undefined,
      },
    };
  }
}

describe('a server of several peers', () => {
  test('admits each by its own proof, and reads memory of those who come', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'), peer('c'));
    expect(world.memory.loaded).toEqual([]);
    await world.packet('b', 2);
    await world.packet('a', 1);
    expect(world.calls()).toEqual(['admit b at 198.51.100.2', 'admit a at 198.51.100.1']);
    expect(world.memory.loaded).toEqual(['b', 'a']);
    expect([...world.memory.kept.keys()]).toEqual(['b', 'a']);
    await tunnel.close();
    expect(world.clock.pending).toEqual([]);
  });

  test('has one timer, however many peers', async () => {
    const world = new World();
    const names = Array.from({ length: 20 }, (_unused, n) => `peer${n}`);
    const tunnel = await world.open('server', ...names.map((name) => peer(name)));
    for (const [n, name] of names.entries()) await world.packet(name, n + 1);
    await world.clock.advance(2000);
    // And one that looks after the run directory.
    expect(world.clock.pending).toHaveLength(2);
    await tunnel.close();
  });

  test('wakes all of whom the time has come, however many at once', async () => {
    const world = new World();
    const timers = { ...peer('a').timers, authLifetime: seconds(60), connectionIdle: seconds(60) };
    const names = Array.from({ length: 3 * WAKE_BATCH }, (_unused, n) => `peer${n}`);
    await world.cutShort(names);
    const tunnel = await world.open('server', ...names.map((name) => peer(name, { timers })));
    await world.clock.advance(121_000);
    for (let turn = 0; turn < 200; turn++) {
      await settle();
      await world.clock.advance(1);
    }
    const evicted = world.calls().filter((call) => call.startsWith('evict'));
    expect(evicted).toHaveLength(names.length);
    await tunnel.close();
  });

  test('evicts whose time has run out while the disk hangs', async () => {
    const world = new World();
    const timers = { ...peer('a').timers, authLifetime: seconds(60) };
    const tunnel = await world.open('server', peer('a', { timers }), peer('b'), peer('c'));
    await world.packet('a', 1);
    world.calls();
    let goesOn: () => void = () => undefined;
    world.memory.disk = new Promise((resolve) => {
      goesOn = resolve;
    });
    await world.clock.advance(181_000);
    expect(world.calls()).toEqual(['evict a']);
    goesOn();
    await tunnel.close();
  });

  test('tells of a failure of one without giving up the others', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'));
    world.plane.fail.admit = REFUSED;
    for (let attempt = 0; attempt < 8; attempt++) {
      await world.packet('a', 1);
      await world.clock.advance(60_000);
    }
    delete world.plane.fail.admit;
    await world.packet('b', 2);
    expect(world.calls()).toContain('admit b at 198.51.100.2');
    const failure = await Promise.race([tunnel.failure, settle()]);
    expect(failure).toBeUndefined();
    await tunnel.close();
  });

  test('tells of many failures in a few words', async () => {
    const world = new World();
    const names = Array.from({ length: 40 }, (_unused, n) => `peer${n}`);
    const tunnel = await world.open('server', ...names.map((name) => peer(name)));
    for (const [n, name] of names.entries()) await world.packet(name, n + 1);
    world.plane.fail.admit = REFUSED;
    for (const [n, name] of names.entries()) await world.packet(name, n + 100);
    const reply = await tunnel.answer({ request: 'status' });
    const { troubles } = 'status' in reply && reply.status ? reply.status : { troubles: [] };
    expect(troubles).toHaveLength(9);
    expect(troubles.at(-1)).toMatchObject({ kind: 'more-refused', peers: 40 - 8 });
    await tunnel.close();
  });

  test('keeps its peers out of the run record, which is rewritten for none of them', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'));
    const written = world.written;
    await world.packet('a', 1);
    expect(world.written).toBe(written);
    expect(written?.config.peers).toEqual([]);
    await world.clock.advance(1000);
    expect(world.done).toEqual(['1 of 2 peers established']);
    await tunnel.close();
  });

  test('asks a plane that knows when data came only when it matters', async () => {
    const world = new World();
    const names = Array.from({ length: 10 }, (_unused, n) => `peer${n}`);
    const tunnel = await world.open('server', ...names.map((name) => peer(name)));
    for (const [n, name] of names.entries()) await world.packet(name, n + 1);
    for (let minute = 0; minute < 10; minute++) {
      world.plane.heardAt = world.clock.now().monotonic;
      await world.clock.advance(60_000);
    }
    expect(world.plane.polls).toBeLessThanOrEqual(10 * 12);
    world.plane.heardAt = world.clock.now().monotonic - 500;
    const [first] = await tunnel.peerStatuses(undefined, 1);
    expect(first?.lastHeardAt).toBe(world.clock.now().unix - 500);
    await tunnel.close();
  });

  test('after a run that was cut short admits again whom that had admitted', async () => {
    const world = new World();
    const at = world.clock.now().unix;
    const remembered = (name: string, last: number): SessionMemory => ({
      remote: { path: pathTo(last), authenticatedAt: at, lastHeardAt: at },
      replay: { newest: seconds(5), seen: [] },
      peer: schemeOf(peer(name).proof).mark(),
    });
    world.memory.kept.set(id('a'), remembered('a', 1));
    world.memory.kept.set(id('b'), { ...remembered('b', 2), remote: undefined });
    const first = await world.open('server', peer('a'), peer('b'));
    expect(world.calls(), 'after an orderly end').toEqual([]);
    await first.close();
    world.calls();
    world.previous = world.written;
    world.memory.kept.set(id('a'), remembered('a', 1));
    const second = await world.open('server', peer('a'), peer('b'));
    expect(world.calls()).toEqual(['admit a at 198.51.100.1']);
    await second.removePeer(id('a'));
    await second.setPeer(peer('a'));
    await world.packet('b', 2);
    expect(world.calls(), 'and only then').toEqual([
      'remove a',
      'configure a',
      'admit b at 198.51.100.2',
    ]);
    await world.packet('a', 9);
    expect(world.calls()).toEqual(['admit a at 198.51.100.9']);
    await second.close();
  });
});

test('goes through the peers of a run that was cut short in batches, and heeds packets between', async () => {
  const world = new World();
  const names = Array.from({ length: 2 * START_BATCH }, (_unused, n) => `peer${n}`);
  await world.cutShort(names);
  const opening = world.open('server', ...names.map((name) => peer(name)));
  await settleAll(world);
  expect(world.memory.loaded).toHaveLength(START_BATCH - 1);
  const last = names.at(-1) ?? '';
  await world.packet(last, 7);
  expect(world.calls().at(-1)).toBe(`admit ${last} at 198.51.100.7`);
  for (let turn = 0; turn < 2; turn++) {
    await world.clock.advance(1);
    await settleAll(world);
  }
  const second = await opening;
  expect(new Set(world.memory.loaded).size).toBe(names.length);
  expect(world.calls()).toEqual([]);
  await second.close();
});

/** Lets work go on until it waits for the clock. */
async function settleAll(world: World): Promise<void> {
  for (let before = -1; before < world.memory.loaded.length; await settle())
    before = world.memory.loaded.length;
}

describe('a change of the peers', () => {
  test('touches those that it is about', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'), peer('c'));
    for (const [n, name] of ['a', 'b', 'c'].entries()) await world.packet(name, n + 1);
    world.calls();
    const slower = peer('b', { timers: { ...peer('b').timers, authLifetime: seconds(60) } });
    expect(await tunnel.syncPeers([peer('a'), slower, peer('d')])).toEqual({
      added: 1,
      changed: 1,
      removed: 1,
      kept: 1,
    });
    expect(world.calls()).toEqual(['remove c', 'configure d b']);
    const statuses = await tunnel.peerStatuses(undefined, 10);
    expect(statuses.map(({ id: name, path }) => [name, path?.remote.ip])).toEqual([
      ['a', '198.51.100.1'],
      ['b', '198.51.100.2'],
      ['d', undefined],
    ]);
    await world.packet('c', 3);
    await world.packet('d', 4);
    expect(world.calls()).toContain('admit d at 198.51.100.4');
    await tunnel.close();
  });

  test('of a proof evicts whoever was admitted by the old one', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'));
    await world.packet('a', 1);
    world.calls();
    await tunnel.setPeer({ ...peer('a'), proof: peer('n').proof });
    expect(world.calls()).toEqual(['configure a', 'evict a']);
    expect(world.memory.learned).toEqual([id('a')]);
    await world.packet('a', 1);
    expect(world.calls()).toEqual([]);
    await world.packet('n', 1);
    expect(world.calls()).toEqual(['admit a at 198.51.100.1']);
    await tunnel.close();
  });

  test('of the name that a peer must come from evicts whoever came from where the old one led', async () => {
    const world = new World();
    world.names.set('old.example', [ip('198.51.100.1')]);
    const named = (remoteHost: string): PeerConfig =>
      peer('a', { auth: { ...peer('a').auth, byRemoteIp: true }, remoteHost });
    const tunnel = await world.open('server', named('old.example'), peer('b'));
    await settle();
    await world.packet('a', 1);
    expect(world.calls()).toContain('admit a at 198.51.100.1');
    await tunnel.setPeer(named('new.example'));
    expect(world.calls()).toContain('evict a');
    expect((await tunnel.peerStatus(id('a')))?.path).toBeUndefined();
    await tunnel.close();
  });

  test('that the plane refuses changes nothing', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'));
    world.plane.configure = async () => {
      throw REFUSED;
    };
    await expect(tunnel.setPeer(peer('c'))).rejects.toBe(REFUSED);
    expect(await tunnel.peerStatuses(undefined, 10)).toHaveLength(2);
    await tunnel.close();
  });

  test('that the plane refuses half way puts back who was to go, and what was carried', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'));
    await world.packet('a', 1);
    await world.packet('b', 2);
    world.calls();
    world.plane.configure = async (peers) => {
      world.plane.calls.push(`configure ${peers.map(({ id: name }) => name).join(' ')}`);
      if (peers.some(({ id: name }) => name === id('c'))) throw REFUSED;
    };
    await expect(tunnel.syncPeers([peer('a'), peer('c')])).rejects.toBe(REFUSED);
    expect(world.calls()).toEqual([
      'remove b',
      'configure c',
      'configure b',
      'admit b at 198.51.100.2',
    ]);
    const statuses = await tunnel.peerStatuses(undefined, 10);
    expect(statuses.map(({ id: name, path }) => [name, path?.remote.ip])).toEqual([
      ['a', '198.51.100.1'],
      ['b', '198.51.100.2'],
    ]);
    await world.packet('b', 2);
    expect(world.memory.kept.get(id('b'))?.remote?.path).toEqual(pathTo(2));
    await tunnel.close();
  });

  test('that the plane fails to carry out puts back whom it may have let go', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'));
    await world.packet('b', 2);
    world.calls();
    world.plane.remove = async () => {
      throw REFUSED;
    };
    await expect(tunnel.removePeer(id('b'))).rejects.toBe(REFUSED);
    expect(world.calls()).toEqual(['configure b', 'admit b at 198.51.100.2']);
    await expect(tunnel.syncPeers([peer('a')])).rejects.toBe(REFUSED);
    expect(world.calls()).toEqual(['configure b', 'admit b at 198.51.100.2']);
    expect((await tunnel.peerStatus(id('b')))?.path).toEqual(pathTo(2));
    await tunnel.close();
  });

  test('beyond what the plane carries is refused before anything changes', async () => {
    const world = new World();
    world.plane.capabilities = { maxPeers: 2, integrity: ['none'], counting: 'exact' };
    const tunnel = await world.open('server', peer('a'), peer('b'));
    world.calls();
    const refusal = '3 peers: the tun plane carries 2 at most';
    await expect(tunnel.setPeer(peer('c'))).rejects.toThrow(refusal);
    await expect(tunnel.syncPeers([peer('c'), peer('d'), peer('e')])).rejects.toThrow(refusal);
    expect(world.calls()).toEqual([]);
    expect(await tunnel.syncPeers([peer('a'), peer('c')])).toMatchObject({ removed: 1, added: 1 });
    await tunnel.close();
    await expect(world.open('server', peer('a'), peer('b'), peer('c'))).rejects.toThrow(refusal);
  });

  test('to packets of another length has the plane look at them', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'));
    await tunnel.setPeer({
      ...peer('t'),
      proof: { kind: 'token', token: new Uint8Array(9) },
    });
    expect(world.context?.authLengths).not.toContain(9);
    expect(world.plane.watched).toContain(9);
    await tunnel.close();
  });

  test('may make one peer many, and many one', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'));
    await world.packet('a', 1);
    expect(world.written?.path).toEqual(pathTo(1));
    await tunnel.syncPeers([peer('a'), peer('b')]);
    await world.packet('b', 2);
    expect(world.written?.path).toBeUndefined();
    expect(await tunnel.removePeer(id('b'))).toBe(true);
    expect(await tunnel.removePeer(id('b'))).toBe(false);
    await world.packet('a', 3);
    expect(world.written?.path).toEqual(pathTo(3));
    await tunnel.close();
  });

  test('can be looked at in pages', async () => {
    const world = new World();
    const tunnel = await world.open('server', peer('a'), peer('b'), peer('c'));
    const page = async (after: string | undefined): Promise<readonly string[]> =>
      (await tunnel.peerStatuses(after === undefined ? undefined : id(after), 2)).map(
        (status) => status.id,
      );
    expect(await page(undefined)).toEqual(['a', 'b']);
    expect(await page('b')).toEqual(['c']);
    expect(await page('c')).toEqual([]);
    await expect(page('gone')).rejects.toThrow('no peer gone');
    await tunnel.close();
  });
});

describe('a client of several servers', () => {
  const server = (name: string, last: number): PeerConfig =>
    peer(name, {
      remoteHost: `198.51.100.${last}`,
      remotePort: pathTo(last).remote.port,
    });

  test('goes to each, and authenticates again to each when asked, not to all at once', async () => {
    const world = new World();
    const tunnel = await world.open('client', server('a', 1), server('b', 2), server('c', 3));
    await settle();
    await settle();
    const admits = world.calls().filter((call) => call.startsWith('admit'));
    expect(admits).toEqual([1, 2, 3].map((n) => `admit ${'xabc'[n]} at 198.51.100.${n}`));
    await world.clock.advance(20_000);
    world.calls();
    await tunnel.reauthenticate();
    const sent = (): readonly string[] => world.calls().filter((call) => call.startsWith('send'));
    expect(sent()).toHaveLength(1);
    await world.clock.advance(3000);
    expect(sent().length).toBeGreaterThanOrEqual(2);
    await tunnel.close();
    expect(world.clock.pending).toEqual([]);
  });

  test('asks the server again that the network calls unreachable, and no other', async () => {
    const world = new World();
    const tunnel = await world.open('client', server('a', 1), server('b', 2));
    await settle();
    for (const n of [1, 2]) {
      const payload = bytes(`token-${'xab'[n]}`).toReversed();
      const local = { ip: ip('192.0.2.1'), port: pathTo(n).local.port };
      await world.context?.listener.packet({ path: { ...pathTo(n), local }, payload });
    }
    await world.clock.advance(6000);
    world.calls();
    for (let i = 0; i < 200; i++) {
      const { remote } = pathTo(2);
      world.context?.listener.outerError({
        remote,
        kind: 'unreachable',
        code: 'port',
        from: undefined,
      });
    }
    await settle();
    await settle();
    const sent = world.calls().filter((call) => call.startsWith('send'));
    expect(sent).toEqual(['send 7 to 198.51.100.2']);
    await tunnel.close();
  });
});
