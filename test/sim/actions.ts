import type { Endpoint } from '../../src/core/addr.ts';
import { packetSeconds } from '../../src/core/auth/schemes.ts';
import { AUTH_V1_LENGTH, encodeAuth } from '../../src/core/auth/v1.ts';
import { REPLY_WINDOW } from '../../src/core/session/limits.ts';
import { port } from '../../src/core/units.ts';
import { DATA } from './host.ts';
import { FINE, type Datagram } from './network.ts';
import { ATTACKER, ip, type Tunnel, type World } from './world.ts';

/** Packets that the attacker keeps of what he overheard. */
const CAPTURES_MAX = 30;

/** Somebody who hears everything on the public network and can send from any address. */
export class Attacker {
  readonly captured: Datagram[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    world.network.attach(ATTACKER.ip, () => undefined);
    world.network.tap = (datagram) => {
      if (datagram.payload.length < AUTH_V1_LENGTH) return;
      if (datagram.from.ip === ATTACKER.ip) return;
      this.captured.push(datagram);
      if (this.captured.length > CAPTURES_MAX) this.captured.shift();
    };
  }

  /** Sends something overheard again: as it was, from his own address, or to the other server. */
  replay(): void {
    const { random, network, tunnels } = this.#world;
    const datagram = this.captured[random.below(this.captured.length)];
    if (!datagram) return;
    const { server } = tunnels[random.below(tunnels.length)] ?? this.#world.tunnel;
    const target = { ip: this.#world.serverIp, port: server.options.localPort };
    const from = random.pick<Endpoint>([datagram.from, ATTACKER]);
    const to = random.pick<Endpoint>([datagram.to, target]);
    network.send({ from, to, payload: datagram.payload });
  }

  /** Sends what he made up, from his own address or in somebody's name. */
  forge(): void {
    const { random, network } = this.#world;
    const model = this.captured[random.below(this.captured.length)];
    const to = model?.to ?? { ip: this.#world.serverIp, port: port(10_000) };
    const from = model && random.chance(0.5) ? model.from : ATTACKER;
    const altered = model ? model.payload.slice() : random.bytes(73);
    altered[random.below(altered.length)] = random.below(256);
    const payload = random.pick([random.bytes(73), random.bytes(random.below(90)), altered, DATA]);
    network.send({ from, to, payload });
  }

  /** Alters the last packet overheard again and again, hint and time as they are: one each 2 ms. */
  wearOut(duration: number, source: (index: number) => string): void {
    const { random, network, clockwork, serverIp } = this.#world;
    const model = this.captured.at(-1)?.payload ?? new Uint8Array(AUTH_V1_LENGTH);
    for (let i = 0; i < duration / 2; i++) {
      const payload = Uint8Array.from([...random.bytes(64), ...model.subarray(64)]);
      const from = { ip: ip(source(i)), port: port(1 + random.below(65535)) };
      clockwork.after(2 * i, () => {
        network.send({ from, to: { ip: serverIp, port: port(10_000) }, payload });
      });
    }
  }

  /** Many forged packets with the right time, one each millisecond, from changing addresses. */
  flood(packets: number): void {
    const { random, network, clockwork, serverIp, tunnel } = this.#world;
    const unixSeconds = packetSeconds(tunnel.server.now().unix);
    for (let i = 0; i < packets; i++) {
      const secret = new Uint8Array();
      const fields = { unixSeconds, salt: random.bytes(4) };
      const payload = encodeAuth({ secret }, fields, () => random.bytes(64));
      const from = { ip: ip(`192.0.2.${random.below(256)}`), port: port(1 + random.below(65535)) };
      clockwork.after(i, () => {
        network.send({ from, to: { ip: serverIp, port: port(10_000) }, payload });
      });
    }
  }
}

/** Something that may happen to a tunnel, the network or the machines. */
type Action = (world: World, tunnel: Tunnel, attacker: Attacker) => void;

const address = (world: World): string => `203.0.113.${1 + world.random.below(50)}`;
/** Two clients never have the same. */
const insideAddress = (world: World, tunnel: Tunnel): string =>
  `10.${1 + tunnel.index}.${1 + world.random.below(200)}.2`;

/** Each as likely as it has entries. */
export const ACTIONS: readonly [Action, ...Action[]] = [
  (world) => {
    const { random } = world;
    world.network.weather = {
      loss: random.pick([0, 0.1, 0.5, 0.9]),
      duplication: random.pick([0, 0.3]),
      delay: random.pick([1, 100, 900]),
      spread: random.pick([0, 50, 3000]),
    };
  },
  (world) => {
    world.network.weather = FINE;
  },
  (world) => world.nat.forget(),
  (world) => world.nat.move(ip(address(world))),
  (world) => {
    world.nat.lifetime = world.random.pick([20_000, 60_000, 1e9]);
  },
  (world, tunnel) =>
    world.moveClient(tunnel, ip(insideAddress(world, tunnel)), world.random.chance(0.8)),
  (world, tunnel) => world.moveClient(tunnel, undefined, world.random.chance(0.8)),
  (world, tunnel) => world.moveClient(tunnel, ip(insideAddress(world, tunnel))),
  (world) => {
    world.moveServer(ip(`198.51.100.${1 + world.random.below(20)}`));
    world.dns = [world.serverIp];
  },
  (world) => {
    world.dns = world.random.pick([[], [ip('198.51.100.99')], [world.serverIp]]);
  },
  (_world, tunnel) => {
    tunnel.server.kill();
    tunnel.server.start();
  },
  (world, tunnel) => {
    tunnel.server.reboot();
    world.clockwork.after(world.random.below(60_000), () => {
      if (!tunnel.server.running) tunnel.server.start();
    });
  },
  (world, tunnel) => {
    tunnel.server.reboot();
    world.serverForgets(tunnel);
    tunnel.server.start();
  },
  (_world, tunnel) => {
    tunnel.client.kill();
    tunnel.client.start();
  },
  (_world, tunnel) => {
    tunnel.client.reboot();
    tunnel.client.forgetAll();
    tunnel.referee.clientForgot();
    tunnel.client.start();
  },
  (world, { client }) => {
    client.skew = (world.random.below(400) - 200) * 1000;
  },
  (world, { server }) => {
    server.skew = (world.random.below(160) - 80) * 1000;
  },
  (world, { server, client }) => {
    const host = world.random.pick([server, client]);
    const probability = world.random.pick([0, 0.5, 1]);
    host.admitFailure = () => world.random.chance(probability);
  },
  (world) => {
    world.network.mtu = world.random.pick([Number.POSITIVE_INFINITY, 1472, 1372, 1252, 700]);
  },
  (world, { server, client, member }) => {
    const mtu = world.random.pick([undefined, world.random.below(2000)]);
    client.dispatch({ kind: 'too-big', mtu });
    server.dispatch({ kind: 'too-big', mtu }, member);
  },
  (_world, { client }) => client.dispatch({ kind: 'reauthenticate' }),
  (_world, { client }) => client.sendData(),
  (_world, { server, member }) => server.sendData(member),
  (world, tunnel) => {
    const stop = world.talk(tunnel, 2000);
    world.clockwork.after(world.random.below(90_000), stop);
  },
  (_world, _tunnel, attacker) => attacker.replay(),
  (_world, _tunnel, attacker) => attacker.replay(),
  (_world, _tunnel, attacker) => attacker.replay(),
  (_world, _tunnel, attacker) => attacker.forge(),
  (_world, _tunnel, attacker) => attacker.forge(),
  (world, _tunnel, attacker) => attacker.flood(world.random.below(60)),
];

/** Ends all trouble: everything runs, everybody is where the others look for him. */
export function calm(world: World): void {
  world.network.weather = FINE;
  world.nat.lifetime = 1e9;
  world.dns = [world.serverIp];
  for (const [index, tunnel] of world.tunnels.entries()) {
    const { server, client } = tunnel;
    for (const host of [server, client]) {
      host.skew = 0;
      host.admitFailure = () => false;
      if (!host.running) host.start();
    }
    if (client.ip === undefined) world.moveClient(tunnel, ip(`10.9.9.${index + 1}`));
  }
  // What is still under way may be out of order; nothing of it is younger than this.
  world.clockwork.advance(REPLY_WINDOW / 10);
}
