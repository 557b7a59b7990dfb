/** Rules of session 2, each broken on purpose: the referee, or what is asked of a scene, must catch every one. */
import { expect, it } from 'vitest';
import { FRESH_WINDOW } from '../../src/core/handshake/control-session.ts';
import { packetKind } from '../../src/core/handshake/layout.ts';
import { IndexBook } from '../../src/core/session/index-book.ts';
import type { ServerSecure } from '../../src/core/session/secure/state.ts';
import { createSession, step, type SessionState } from '../../src/core/session/step.ts';
import type { SessionCore } from '../../src/core/session/table.ts';
import type { SessionEffect } from '../../src/core/session/types.ts';
import { port } from '../../src/core/units.ts';
import { Injector, isTheirs, Relay, Replayer } from './adversaries.ts';
import { isReachable, LONG, SECOND } from './scene.ts';
import { ADVERSARIES, check, type Adversary } from './secure-sequences.ts';
import { ip, World, type WorldOptions } from './world.ts';

type Step = SessionCore['step'];
type Given = Parameters<Step>;
type Result = ReturnType<Step>;

// How a rule is broken: by what the machine is given, or by what it decides.

const given =
  (
    change: (
      ...given: Given
    ) => Partial<{ before: SessionState; event: Given[3]; config: Given[0] }>,
  ): Step =>
  (...all) => {
    const [config, tools, before, event, now] = all;
    const changed = { before, event, config, ...change(...all) };
    return step(changed.config, tools, changed.before, changed.event, now);
  };

const decided =
  (change: (result: Result, ...given: Given) => Partial<Result>): Step =>
  (...all) => {
    const result = step(...all);
    return { ...result, ...change(result, ...all) };
  };

const onServer = (change: (secure: ServerSecure, event: Given[3]) => Partial<ServerSecure>): Step =>
  given((_config, _tools, before, event) =>
    before.role === 'server'
      ? { before: { ...before, secure: { ...before.secure, ...change(before.secure, event) } } }
      : {},
  );

const effects = (change: (effect: SessionEffect) => SessionEffect | undefined): Step =>
  decided((result) => ({
    effects: result.effects.map(change).filter((effect) => effect !== undefined),
  }));

const secureOf = <State extends SessionState>(state: State, secure: object): State => ({
  ...state,
  secure: { ...state.secure, ...secure },
});

/** As if the peer were wherever a packet of this kind comes from. */
const followed = (state: SessionState, event: Given[3]): Partial<Result> =>
  state.role === 'server' && state.remote && 'path' in event
    ? { state: { ...state, remote: { ...state.remote, path: event.path } } }
    : {};

// What must catch it.

const busy = (core: SessionCore, options: Partial<WorldOptions> = {}): World => {
  const world = new World({ seed: 3, session: 'v2', core, ...options });
  world.start();
  world.talk(world.tunnel, 50);
  world.clockwork.advance(3 * SECOND);
  return world;
};

const sequences =
  (adversary: Adversary) =>
  (core: SessionCore): void => {
    for (let seed = 0; seed < 60; seed += 1) check(seed, adversary, core);
  };

function relayed(core: SessionCore): void {
  const world = busy(core);
  const relay = new Relay(world, { delay: 3 });
  let there = 0;
  for (let tenth = 0; tenth < 300; tenth += 1) {
    if (tenth % 50 === 0) world.tunnel.client.dispatch({ kind: 'reauthenticate' });
    world.clockwork.advance(SECOND / 10);
    const { admitted } = world.tunnel.member;
    if (admitted && isTheirs(admitted.remote)) there += 1;
  }
  expect(relay.sentOn).toBeGreaterThan(100);
  expect(there).toBe(0);
}

function injected(core: SessionCore): void {
  const world = busy(core, { integrity: 'full' });
  const { since } = world.tunnel.server.status.secure;
  const injector = new Injector(world, new Replayer(world));
  for (let second = 0; second < 60; second += 1) {
    if (second % 5 === 0) world.tunnel.client.dispatch({ kind: 'reauthenticate' });
    injector.inject(30);
    world.clockwork.advance(SECOND);
  }
  expect(world.tunnel.server.status.secure.since).toBe(since);
}

function natForgets(integrity: 'none' | 'full', most: number) {
  return (core: SessionCore): void => {
    const world = busy(core, { integrity });
    world.nat.move(ip('203.0.113.9'));
    const { client } = world.tunnel;
    for (let i = 0; i < 100; i += 1) {
      world.clockwork.after(10 * i, () => client.sendData(client.first, LONG));
    }
    world.clockwork.advance(most);
    expect(isReachable(world, world.tunnel)).toBe(true);
  };
}

function serverForgets(core: SessionCore): void {
  const world = busy(core, { integrity: 'full' });
  world.tunnel.server.reboot();
  world.serverForgets(world.tunnel);
  world.tunnel.server.start();
  world.clockwork.advance(0.4 * SECOND);
  expect(isReachable(world, world.tunnel)).toBe(true);
}

function rekeyed(core: SessionCore): void {
  const world = busy(core, { integrity: 'full' });
  const { client, member } = world.tunnel;
  const lost = (): bigint => client.first.txPackets - member.rxPackets;
  const before = lost();
  world.clockwork.advance(2000 * SECOND);
  expect(lost()).toBe(before);
}

function flooded(core: SessionCore): void {
  const world = new World({ seed: 1, session: 'v2', core });
  const { network, clockwork, tunnel } = world;
  network.tap = (datagram) => {
    if (packetKind(datagram.payload) !== 'init') return;
    network.tap = undefined;
    for (let i = 0; i < 2000; i += 1) {
      const from = { ip: ip(`192.0.2.${i % 250}`), port: port(1024 + i) };
      clockwork.after(20 * i, () => network.inject({ ...datagram, from }));
    }
  };
  world.start();
  clockwork.advance(20 * SECOND);
  tunnel.client.reboot();
  tunnel.client.start();
  clockwork.advance(2 * SECOND);
  expect(tunnel.client.status.phase).toBe('established');
}

const { relay, replayer, blocker } = ADVERSARIES;

const BROKEN: readonly (readonly [string, Step, (core: SessionCore) => void])[] = [
  [
    'each CONTROL counts once',
    onServer(({ current }) => ({
      current: current && { ...current, control: { ...current.control, window: FRESH_WINDOW } },
    })),
    sequences(replayer),
  ],
  [
    'no counter of CONTROL serves twice',
    decided(({ state }, _config, _tools, { secure }) => {
      const { current } = state.secure;
      const last = secure.current?.control;
      if (!current || last?.sendIndex !== current.control.sendIndex) return {};
      const control = { ...current.control, nextCounter: last.nextCounter };
      return { state: secureOf(state, { current: { ...current, control } }) };
    }),
    sequences(blocker),
  ],
  [
    'what is kept has a counter that is not reached',
    effects((effect) => {
      if (effect.kind !== 'keep' || !effect.record) return effect;
      const { current } = effect.record;
      const control = { ...current.control, nextCounter: current.control.nextCounter - 1024 };
      return { ...effect, record: { ...effect.record, current: { ...current, control } } };
    }),
    sequences(replayer),
  ],
  [
    'an offer is taken up where its INIT came from',
    onServer(({ offers }, event) =>
      event.kind === 'packet'
        ? { offers: offers.map((offer) => ({ ...offer, path: event.path })) }
        : {},
    ),
    sequences(relay),
  ],
  [
    'a challenge is answered from where it was sent to',
    onServer(({ move }, event) =>
      move && event.kind === 'packet'
        ? { move: { ...move, to: { ...move.to, path: event.path } } }
        : {},
    ),
    sequences(relay),
  ],
  [
    'an INIT moves nothing',
    decided(({ state }, _config, _tools, _before, event) =>
      event.kind === 'packet' && packetKind(event.payload) === 'init' ? followed(state, event) : {},
    ),
    sequences(replayer),
  ],
  [
    'a CONTROL from elsewhere moves nothing by itself',
    decided(({ state }, _config, _tools, _before, event) =>
      event.kind === 'packet' && packetKind(event.payload) === 'control'
        ? followed(state, event)
        : {},
    ),
    sequences(relay),
  ],
  [
    'at most four offers',
    decided(({ state }, _config, _tools, { secure: before }) => {
      if (state.role !== 'server' || before.role !== 'server') return {};
      const old = before.offers.filter((each) => !state.secure.offers.includes(each));
      return { state: secureOf(state, { offers: [...old, ...state.secure.offers] }) };
    }),
    sequences(replayer),
  ],
  [
    'no RESPONSE is longer than an INIT',
    effects((effect) =>
      effect.kind === 'send' && packetKind(effect.payload) === 'response'
        ? { ...effect, payload: new Uint8Array(300) }
        : effect,
    ),
    sequences(relay),
  ],
  [
    'a PONG is as long as its PING',
    effects((effect) =>
      effect.kind === 'send' &&
      packetKind(effect.payload) === 'control' &&
      effect.purpose === 'reply'
        ? { ...effect, payload: new Uint8Array(2000) }
        : effect,
    ),
    sequences(relay),
  ],
  [
    'indexes are freed',
    (config, tools, before, event, now) => {
      const { indexes } = tools;
      if (event.kind === 'packet' && indexes instanceof IndexBook) {
        indexes.change({}, [], [indexes.draw(tools.crypto.random)]);
      }
      return step(config, tools, before, event, now);
    },
    sequences(blocker),
  ],
  [
    'session 1 is refused after session 2',
    given((config, _tools, before) => ({
      config: { ...config, auth: { ...config.auth, session: 'v1' } },
      before: { ...before, secured: false },
    })),
    sequences(replayer),
  ],
  [
    'no key is told',
    decided(({ effects: all, state }) => ({
      effects: all.map((effect) =>
        effect.kind === 'event' && state.secure.current
          ? { ...effect, event: { ...effect.event, key: state.secure.current.control.sendKey } }
          : effect,
      ),
    })),
    sequences(blocker),
  ],
  [
    'of a move that is not meant the former path is asked',
    onServer(({ move }) => (move ? { move: { ...move, from: undefined } } : {})),
    relayed,
  ],
  [
    'a RESET has the right token',
    given((_config, _tools, before, event) => {
      const { current } = before.secure;
      if (event.kind !== 'packet' || packetKind(event.payload) !== 'reset' || !current) return {};
      const resetToken = event.payload.slice(8, 16);
      return { before: secureOf(before, { current: { ...current, resetToken } }) };
    }),
    injected,
  ],
  [
    'old keys are taken for a while',
    effects((effect) =>
      effect.kind === 'admit' && effect.tags
        ? { ...effect, tags: { ...effect.tags, receive: effect.tags.receive.slice(-1) } }
        : effect,
    ),
    rekeyed,
  ],
  [
    'a cookie stands above the budget of a peer',
    given((_config, _tools, _before, event) =>
      event.kind === 'packet' && event.cookied === true
        ? { event: { ...event, cookied: false } }
        : {},
    ),
    flooded,
  ],
  [
    'a RESET is heeded',
    given((_config, _tools, _before, event) =>
      event.kind === 'packet' && packetKind(event.payload) === 'reset'
        ? { event: { kind: 'wake' } }
        : {},
    ),
    serverForgets,
  ],
  [
    'data without tags from elsewhere is asked about',
    given((_config, _tools, _before, event) =>
      event.kind === 'stray' ? { event: { kind: 'wake' } } : {},
    ),
    natForgets('none', SECOND),
  ],
  [
    'data with tags from elsewhere moves the peer',
    given((_config, _tools, _before, event) =>
      event.kind === 'roamed' ? { event: { kind: 'wake' } } : {},
    ),
    natForgets('full', 0.2 * SECOND),
  ],
];

/** By a rule, not by a failure of something else. */
const CAUGHT = /(server|client|tunnel) [0-9+]+( at |: )|expected /;

it.each(BROKEN)('%s: is noticed where it is not so', (_rule, broken, by) => {
  expect(() => by({ create: createSession, step: broken })).toThrow(CAUGHT);
});

it.each([...new Set(BROKEN.map(([, , by]) => by))].map((by) => ({ by })))(
  'nothing is noticed where nothing is broken',
  ({ by }) => {
    expect(() => by({ create: createSession, step })).not.toThrow();
  },
);
