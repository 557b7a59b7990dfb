/**
 * Those whom session 2 is made against (docs/PROTOCOL.md, "What it promises"). Each sees all that passes the public
 * network; none has a key.
 */
import { sameEndpoint, type Endpoint } from '../../src/core/addr.ts';
import { packetKind } from '../../src/core/handshake/layout.ts';
import { port } from '../../src/core/units.ts';
import { DATA } from './host.ts';
import type { Datagram } from './network.ts';
import { ip, NAT_IP, type World } from './world.ts';

/** Where they are. */
export const RELAY: Endpoint = { ip: ip('192.0.2.77'), port: port(777) };
export const REPLAYERS: readonly Endpoint[] = [1, 2, 3].map((number) => ({
  ip: ip(`192.0.2.${number}`),
  port: port(7000 + number),
}));
const RECORDED_MAX = 400;

export type RelayOptions = {
  /** Whether what he sends on does not arrive by itself. */
  readonly stops?: boolean;
  /** Milliseconds from the client's link to the server by him; 20 by the others' way. */
  readonly delay?: number;
};

/**
 * Sends on from an address of his own what a client sends, as if he were its NAT, and what the server answers there
 * back to it, as if he were the server.
 */
export class Relay {
  #client: Endpoint | undefined;
  #server: Endpoint | undefined;
  #stopped = false;
  sentOn = 0;

  constructor(world: World, { stops = false, delay = 1 }: RelayOptions = {}) {
    const { network } = world;
    hear(world, ({ from, to, payload }) => {
      if (this.#stopped || from.ip !== world.nat.ip) return;
      [this.#client, this.#server] = [from, to];
      this.sentOn += 1;
      network.inject({ from: RELAY, to, payload }, delay);
    });
    network.attach(RELAY.ip, ({ to, payload }) => {
      const { [0]: client, [1]: server } = [this.#client, this.#server];
      if (this.#stopped || !client || !server || !sameEndpoint(to, RELAY)) return;
      network.inject({ from: server, to: client, payload }, delay);
    });
    block(world, ({ from }) => stops && !this.#stopped && from.ip === world.nat.ip);
  }

  /** He leaves. */
  stop(): void {
    this.#stopped = true;
  }
}

/** Keeps all that passes, and sends any of it again from anywhere. */
export class Replayer {
  readonly #world: World;
  readonly recorded: Datagram[] = [];

  constructor(world: World) {
    this.#world = world;
    hear(world, (datagram) => {
      this.recorded.push(datagram);
      if (this.recorded.length > RECORDED_MAX) {
        this.recorded.splice(world.random.below(RECORDED_MAX), 1);
      }
    });
    for (const { ip: address } of REPLAYERS) world.network.attach(address, () => undefined);
  }

  /** Sends some again: as they were, from his own addresses, or to whoever else is there. */
  replay(count: number): void {
    const { random, network } = this.#world;
    for (let i = 0; i < count; i += 1) {
      const old = this.recorded[random.below(this.recorded.length)];
      const other = this.recorded[random.below(this.recorded.length)];
      if (!old || !other) return;
      const from = random.pick([old.from, old.from, other.from, old.to, REPLAYERS[i % 3] ?? RELAY]);
      const to = random.pick([old.to, old.to, old.to, other.to, old.from]);
      network.inject({ from, to, payload: old.payload }, random.below(50));
    }
  }
}

/** Sees all, stops nothing, and sends in anybody's name. */
export class Injector {
  readonly #world: World;
  readonly #replayer: Replayer;

  constructor(world: World, replayer: Replayer) {
    this.#world = world;
    this.#replayer = replayer;
  }

  /** Sends something that looks like what passes: data, CONTROL, RESET, COOKIE, RESPONSE, INIT, tagged data. */
  inject(count: number): void {
    const { random, network } = this.#world;
    const { recorded } = this.#replayer;
    for (let i = 0; i < count; i += 1) {
      const model = recorded[random.below(recorded.length)];
      if (!model) return;
      const payload = random.pick([DATA, this.#altered(model), this.#lookalike(model)]);
      network.inject({ ...model, payload }, random.below(50));
    }
  }

  #altered({ payload }: Datagram): Uint8Array {
    const { random } = this.#world;
    const altered = payload.slice();
    const at = random.below(altered.length);
    altered[at] = (altered[at] ?? 0) ^ (1 << random.below(8));
    return altered;
  }

  /** The first 8 bytes of something true, with its index, and of another kind perhaps; the rest made up. */
  #lookalike({ payload }: Datagram): Uint8Array {
    const { random } = this.#world;
    const [kind, length] = random.pick<readonly [number, number]>([
      [0xf1, 200],
      [0xf2, 140],
      [0xf3, 56],
      [0xf4, 96],
      [0xf5, 32],
      [0x12, 44],
    ]);
    const made = random.bytes(length);
    made.set(payload.subarray(0, 8));
    made[0] = kind;
    if (kind !== 0x12) made.set(kind === 0xf1 ? [2, 0, 0] : [0, 0, 0], 1);
    return made;
  }
}

export type Kind = NonNullable<ReturnType<typeof packetKind>> | 'data';

/** Keeps some kinds of packets from arriving, with a probability. */
export class Blocker {
  kinds: readonly Kind[] = [];
  probability = 1;

  constructor(world: World) {
    block(world, ({ payload }) => {
      if (!this.kinds.includes(packetKind(payload) ?? 'data')) return false;
      return world.random.chance(this.probability);
    });
  }
}

/** Whether an endpoint is one of theirs. */
export function isTheirs({ ip: address }: Endpoint): boolean {
  return address.startsWith('192.0.2.') && address !== NAT_IP;
}

function hear(world: World, listen: (datagram: Datagram) => void): void {
  const { network } = world;
  const before = network.tap;
  network.tap = (datagram) => {
    before?.(datagram);
    listen(datagram);
  };
}

function block(world: World, stops: (datagram: Datagram) => boolean): void {
  const { network } = world;
  const before = network.stops;
  network.stops = (datagram) => before(datagram) || stops(datagram);
}
