import type { TroubleReport } from '../../../src/core/events/trouble.ts';
import { describe, expect, test } from 'vitest';
import { openTunnel, type TunnelPorts } from '../../../src/app/tunnel.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import { DEFAULT_PEER, type TunnelConfig } from '../../../src/core/config/tunnel-config.ts';
import { IpipouError, KernelError } from '../../../src/core/errors.ts';
import type { SessionMemory } from '../../../src/core/session/types.ts';
import { seconds } from '../../../src/core/units.ts';
import type { ControlHandler } from '../../../src/ports/control.ts';
import type {
  PlaneContext,
  PlaneFactory,
  Requirement,
  TakenPrefix,
} from '../../../src/ports/data-plane.ts';
import type { RunRecord } from '../../../src/ports/run-store.ts';
import { inner } from '../../rig/addresses.ts';
import {
  FakeClock,
  FakeMemory,
  FakePlane,
  ip,
  keepLog,
  pathTo,
  settle,
  unreachable,
  FakeSessions,
} from './fakes.ts';

const SECRET = 'correct-horse';

/** A server that admits whoever sends the token. */
function serverConfig(dataplane: 'auto' | 'fou' | 'tun' = 'auto'): TunnelConfig {
  const argv = ['--server', '--auth-token', SECRET, '--dataplane', dataplane];
  const resolved = resolveConfig({ commandLine: parseArguments(argv), files: [] });
  if (!('config' in resolved)) throw new Error(resolved.action);
  return resolved.config;
}

const MET: Requirement = { what: 'luck', met: true, detail: 'there', fix: undefined };
const NO_MODULE: Requirement = {
  what: 'kernel module fou (so and so)',
  met: false,
  detail: 'not in this kernel',
  fix: 'apt-get install kernel',
  exit: 'modprobe',
};
const REFUSED = new KernelError('link', { operation: 'op', errno: 'EIO', subject: 'link x' });

/** Everything outside, recording what is done to it. */
class World {
  readonly done: string[] = [];
  readonly plane = new FakePlane();
  readonly clock = new FakeClock();
  readonly kept = keepLog();
  requirements: Record<'fou' | 'tun', readonly Requirement[]> = { fou: [NO_MODULE], tun: [MET] };
  previous: RunRecord | undefined;
  written: RunRecord | undefined;
  readonly memory = new FakeMemory();
  readonly reach = unreachable;
  intact = true;
  group: number | undefined;
  cannotShare: Error | undefined;
  openFails: Error | undefined;
  context: PlaneContext | undefined;
  handler: ControlHandler | undefined;
  networkChanged: () => void = () => undefined;
  readonly devices = new Set(['eth0']);

  get ports(): TunnelPorts {
    const { done } = this;
    return {
      planes: [this.factory('fou'), this.factory('tun')],
      sessionCrypto: () => ({ random: (length) => new Uint8Array(length) }),
      clock: this.clock,
      log: this.kept.log,
      tell: this.kept.tell,
      reach: this.reach,
      groupNumber: () => this.group,
      resolver: { resolve: async () => [] },
      host: {
        firstAddress: async () => ip('192.0.2.1'),
        hasDevice: async (device) => this.devices.has(device),
        routeTo: async () => ({ source: ip('192.0.2.1'), device: 'eth0', mtu: 1500 }),
        onChange: (callback) => {
          this.networkChanged = callback;
          return () => void done.push('unwatch');
        },
      },
      runs: {
        list: () => [],
        find: () => undefined,
        stateOf: () => undefined,
        claim: () => {
          done.push('claim');
          return {
            previous: this.previous,
            controlPath: '/run/control.sock',
            statusPath: '/run/status.sock',
            share: () => {
              if (this.cannotShare) throw this.cannotShare;
            },
            sessions: () => new FakeSessions(),
            process: { pid: 1, startTime: '2' },
            intact: () => this.intact,
            renew: () => void done.push('renew'),
            write: (record) => {
              this.written = record;
            },
            release: (mode) => void done.push(`release ${mode}`),
          };
        },
      },
      memory: this.memory,
      control: {
        listen: async ({ path, group }, handler) => {
          done.push(`listen ${path}${group === undefined ? '' : ` for ${group}`}`);
          this.handler = handler;
          return async () => void done.push('hang up');
        },
      },
      notify: {
        ready: () => void done.push('ready'),
        status: () => undefined,
        stopping: () => void done.push('stopping'),
      },
    };
  }

  private factory(name: 'fou' | 'tun'): PlaneFactory {
    return {
      name,
      capabilities: this.plane.capabilities,
      probe: async () => this.requirements[name],
      open: async (context) => {
        this.done.push(`open ${name}`);
        this.context = context;
        if (this.openFails) throw this.openFails;
        return this.plane;
      },
      clean: async ({ journal }) => {
        this.done.push(`clean ${name} ${String(journal.load())}`);
      },
    };
  }

  /** An authentic packet from 198.51.100.`last`. */
  async packet(last: number): Promise<void> {
    const payload = new TextEncoder().encode(SECRET);
    await this.context?.listener.packet({ path: pathTo(last), payload });
  }
}

async function status(world: World): Promise<{ readonly troubles: readonly TroubleReport[] }> {
  const reply = await world.handler?.({ request: 'status' });
  if (reply?.ok !== true || !('status' in reply) || !reply.status) throw new Error('no status');
  return reply.status;
}

function record(plane: 'fou' | 'tun', journal: unknown): RunRecord {
  return {
    process: { pid: 9, startTime: '9' },
    config: serverConfig(),
    configPath: undefined,
    plane,
    life: 'up',
    log: 'stderr',
    planeReason: 'then',
    since: new FakeClock().now().unix,
    path: undefined,
    journal,
  };
}

const NO_FILE = { configPath: undefined, log: 'stderr' };

describe('the life of a tunnel', () => {
  test('acquires in order and releases in reverse', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.done).toEqual(['claim', 'open tun', 'listen /run/control.sock', 'ready']);
    await tunnel.close();
    expect(world.done.slice(4)).toEqual(['stopping', 'hang up', 'unwatch', 'release remove']);
    expect(world.plane.calls).toEqual(['close remove']);
    expect(world.clock.pending).toEqual([]);
  });

  describe('is shared with its status group', () => {
    const shared = async (world: World): Promise<readonly string[]> => {
      const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
      await tunnel.close();
      return world.done.filter((what) => what.startsWith('listen'));
    };

    test('by a socket of its own', async () => {
      const world = new World();
      world.group = 7;
      expect(await shared(world)).toEqual([
        'listen /run/control.sock',
        'listen /run/status.sock for 7',
      ]);
    });

    test('but not where there is no such group, which is told once', async () => {
      const world = new World();
      expect(await shared(world)).toEqual(['listen /run/control.sock']);
      expect(world.kept.lines.filter(({ event }) => /no such group/.test(event))).toEqual([
        expect.objectContaining({ level: 'debug', fields: { group: 'ipipou' } }),
      ]);
    });

    test('but not where that is forbidden, which is told', async () => {
      const world = new World();
      world.group = 7;
      world.cannotShare = new Error('EPERM');
      expect(await shared(world)).toEqual(['listen /run/control.sock']);
      expect(world.kept.lines).toContainEqual(
        expect.objectContaining({ level: 'warn', fields: { group: 'ipipou', error: 'EPERM' } }),
      );
    });
  });

  test('an authentic packet points the plane; status and run record say so, without the secret', async () => {
    const world = new World();
    const tunnel = await openTunnel(
      serverConfig(),
      { configPath: '/etc/ipipou/x.conf', log: 'stderr' },
      world.ports,
    );
    await world.packet(7);
    expect(world.plane.calls).toContain('admitted 198.51.100.7');
    const reply = await world.handler?.({ request: 'status' });
    expect(reply).toMatchObject({
      ok: true,
      status: { phase: 'established', path: pathTo(7), plane: 'tun', refusedBelow: { guard: 7 } },
    });
    expect(world.written).toMatchObject({ path: pathTo(7), configPath: '/etc/ipipou/x.conf' });
    const told = JSON.stringify([reply, world.written, world.kept.lines]);
    expect(told).not.toContain(SECRET);
    expect(told).not.toContain(Buffer.from(SECRET).toString('base64'));
    await tunnel.close();
  });

  test('a packet that comes before the session has started waits for it', async () => {
    const world = new World();
    const opening = openTunnel(serverConfig(), NO_FILE, {
      ...world.ports,
      planes: [
        {
          name: 'tun',
          capabilities: world.plane.capabilities,
          probe: async () => [MET],
          clean: async () => undefined,
          open: async (context) => {
            world.context = context;
            void world.packet(7);
            return world.plane;
          },
        },
      ],
    });
    const tunnel = await opening;
    await settle();
    expect(world.plane.calls).toContain('admitted 198.51.100.7');
    await tunnel.close();
  });

  test('a server cannot be made to authenticate', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(await tunnel.answer({ request: 'reauthenticate' })).toMatchObject({ ok: false });
    await tunnel.close();
  });

  test('a run directory that was deleted is made anew, with all that was there', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    const { written } = world;
    world.written = undefined;
    await world.clock.advance(5000);
    expect(world.done.slice(4)).toEqual([]);
    world.intact = false;
    await world.clock.advance(5000);
    expect(world.done.slice(4)).toEqual(['renew', 'hang up', 'listen /run/control.sock']);
    expect(world.written).toEqual(written);
    expect(world.kept.lines.at(-1)).toMatchObject({ level: 'warn' });
    await tunnel.close();
    expect(world.clock.pending).toEqual([]);
  });

  test('when the network changes the plane is refreshed', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    world.networkChanged();
    await settle();
    expect(world.plane.calls).toEqual(['refresh']);
    await tunnel.close();
  });

  test('prefixes that other routes have are troubles, once, of a few in words', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    const held = (count: number): readonly TakenPrefix[] =>
      Array.from({ length: count }, (_, index) => ({
        peer: DEFAULT_PEER,
        prefix: { ip: inner(`10.${index}.0.0`), length: 16 },
        device: 'ipipou1',
      }));
    world.plane.taken = held(1);
    const trouble = { kind: 'prefix-taken', prefix: '10.0.0.0/16', device: 'ipipou1' };
    expect((await status(world)).troubles).toMatchObject([trouble]);
    await world.packet(1);
    expect((await status(world)).troubles).toMatchObject([trouble]);
    expect(await tunnel.peerStatus(DEFAULT_PEER)).toMatchObject({ troubles: [trouble] });
    world.plane.taken = held(12);
    const { troubles } = await status(world);
    expect(troubles).toHaveLength(9);
    expect(troubles.at(-1)).toMatchObject({ kind: 'more-taken', prefixes: 4 });
    world.plane.taken = [];
    expect((await status(world)).troubles).toEqual([]);
    await tunnel.close();
  });

  test('while the device of fou-dev is missing that is a trouble, told once', async () => {
    const world = new World();
    const config = serverConfig();
    const outer = { ...config.outer, device: 'eth0' };
    const tunnel = await openTunnel({ ...config, outer }, NO_FILE, world.ports);
    const trouble = { kind: 'device-missing', device: 'eth0' };
    const told = (): readonly string[] =>
      world.kept.lines.flatMap(({ event }) => (event.includes('device eth0') ? [event] : []));
    expect(await status(world)).toMatchObject({ troubles: [] });
    world.devices.clear();
    for (const _ of [1, 2]) {
      world.networkChanged();
      await settle();
    }
    expect(await status(world)).toMatchObject({ troubles: [trouble] });
    const gone = expect.stringContaining('there is no device eth0') as unknown;
    expect(told()).toEqual([gone]);
    world.devices.add('eth0');
    world.networkChanged();
    await settle();
    expect(await status(world)).toMatchObject({ troubles: [] });
    expect(told()).toEqual([gone, 'the device eth0 is there again']);
    await tunnel.close();
  });
});

describe('failures', () => {
  test('of the clean-up end with cleanUp, and the run record stays for a later one', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    world.plane.fail.close = REFUSED;
    await expect(tunnel.close()).rejects.toMatchObject({ exit: 'cleanUp' });
    expect(world.done.at(-1)).toBe('release keep');
  });

  test('of the plane reach the owner', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    world.context?.listener.failed(REFUSED);
    expect(await tunnel.failure).toBe(REFUSED);
    await tunnel.close();
    expect(world.done.at(-1)).toBe('release remove');
  });

  test('to re-point five times in a row reach the owner as updateTunnel', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    await world.packet(1);
    world.plane.fail.admit = REFUSED;
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await world.clock.advance(60_000);
      await world.packet(2);
    }
    expect(await tunnel.failure).toMatchObject({ exit: 'updateTunnel' });
    await tunnel.close();
  });

  test('to admit the first peer five times in a row reach the owner as createTunnel', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    world.plane.fail.admit = REFUSED;
    await world.packet(1);
    const { troubles } = await status(world);
    expect(troubles).toMatchObject([{ kind: 'not-pointed' }]);
    await world.clock.advance(300_000);
    const failure = await Promise.race([tunnel.failure, settle()]);
    expect(failure).toMatchObject({ exit: 'createTunnel' });
    await tunnel.close();
  });

  test('to open the plane keep their exit code and undo the rest', async () => {
    const world = new World();
    world.openFails = new IpipouError('address', 'no address');
    const opening = openTunnel(serverConfig(), NO_FILE, world.ports);
    await expect(opening).rejects.toMatchObject({ exit: 'address', message: 'no address' });
    expect(world.done).toEqual(['claim', 'open tun', 'release remove']);
  });

  test('to write the memory stop the start: replays could not be told after the next one', async () => {
    const world = new World();
    world.memory.fails = new Error('EROFS');
    await expect(openTunnel(serverConfig(), NO_FILE, world.ports)).rejects.toThrow('EROFS');
    expect(world.done).toEqual(['claim', 'release remove']);
  });

  test('damaged memory is told as an error', async () => {
    const world = new World();
    world.memory.damage = ['memory: not JSON'];
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.kept.lines.some(({ level }) => level === 'error')).toBe(true);
    await tunnel.close();
  });
});

describe('who was admitted before', () => {
  const instant = new FakeClock().now().unix;
  const [peer] = serverConfig().peers;
  if (!peer) throw new Error('no peer');
  const remembered: SessionMemory = {
    remote: { path: pathTo(7), authenticatedAt: instant, lastHeardAt: instant },
    replay: { newest: seconds(5), seen: [] },
    peer: schemeOf(peer.proof).mark(),
  };

  test('counts where that run was cut short', async () => {
    const world = new World();
    world.previous = record('tun', 'note');
    world.memory.kept.set(peer.id, remembered);
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.plane.calls).toContain('admitted 198.51.100.7');
    await tunnel.close();
  });

  test('is let go by a run that ended in order; replays stay told', async () => {
    const world = new World();
    world.memory.kept.set(peer.id, remembered);
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.plane.calls).toEqual([]);
    expect(world.memory.kept.get(peer.id)?.replay).toEqual(remembered.replay);
    await tunnel.close();
  });
});

describe('the choice of the plane', () => {
  test('auto takes the first that has all it needs', async () => {
    const world = new World();
    world.requirements.fou = [MET];
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.done).toContain('open fou');
    expect(world.written).toMatchObject({ plane: 'fou', planeReason: undefined });
    await tunnel.close();
  });

  test('auto passes over one that lacks something, and says what', async () => {
    const world = new World();
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.written?.planeReason).toBe(
      'fou lacks kernel module fou; this one has all it needs',
    );
    await tunnel.close();
  });

  test('an explicit one that cannot be had is an error that says what is missing and mends it', async () => {
    const world = new World();
    await expect(openTunnel(serverConfig('fou'), NO_FILE, world.ports)).rejects.toMatchObject({
      exit: 'modprobe',
      message: expect.stringContaining('kernel module fou (so and so): not in this kernel'),
      hint: expect.stringContaining('apt-get install kernel'),
    });
    expect(world.done).toEqual(['claim', 'release remove']);
  });

  test('with none, all that is missing is named', async () => {
    const world = new World();
    world.requirements.tun = [{ ...MET, met: false, what: '/dev/net/tun' }];
    await expect(openTunnel(serverConfig(), NO_FILE, world.ports)).rejects.toThrow(
      /fou, tun.*module fou.*\/dev\/net\/tun/,
    );
  });

  test('what another plane of an earlier run left is cleaned first, by its journal', async () => {
    const world = new World();
    world.previous = record('fou', 'note');
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.done.slice(0, 3)).toEqual(['claim', 'clean fou note', 'open tun']);
    expect(world.context?.journal.load()).toBeUndefined();
    await tunnel.close();
  });

  test('the journal of an earlier run of the same plane carries over', async () => {
    const world = new World();
    world.previous = record('tun', 'note');
    const tunnel = await openTunnel(serverConfig(), NO_FILE, world.ports);
    expect(world.context?.journal.load()).toBe('note');
    await tunnel.close();
  });

  test('a start that fails before its plane was asked keeps the earlier record', async () => {
    const world = new World();
    world.previous = record('fou', 'note');
    world.requirements.tun = [{ ...MET, met: false }];
    await expect(openTunnel(serverConfig(), NO_FILE, world.ports)).rejects.toThrow(
      'does not work here',
    );
    expect(world.done.at(-1)).toBe('release keep');
  });
});
