import { familyOf, type Endpoint, type Family, type OuterIp } from '../../src/core/addr.ts';
import { packetSeconds } from '../../src/core/auth/schemes.ts';
import { AUTH_V1_LENGTH, encodeAuth } from '../../src/core/auth/v1.ts';
import { REPLY_WINDOW } from '../../src/core/session/limits.ts';
import { port } from '../../src/core/units.ts';
import { DATA } from './host.ts';
import { FINE, type Datagram } from './network.ts';
import { ATTACKER, ATTACKER6, ip, type Tunnel, type World } from './world.ts';

/** Packets that the attacker keeps of what he overheard. */
const CAPTURES_MAX = 30;

/** Somebody who hears everything on the public network and can send from any address. */
export class Attacker {
  readonly captured: Datagram[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    world.network.attach(ATTACKER.ip, () => undefined);
    world.network.attach(ATTACKER6.ip, () => undefined);
    world.network.tap = (datagram) => {
      if (datagram.payload.length < AUTH_V1_LENGTH) return;
      if (datagram.from.ip === ATTACKER.ip || datagram.from.ip === ATTACKER6.ip) return;
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
    const target = { ip: this.#somewhere(), port: server.options.localPort };
    const to = random.pick<Endpoint>([datagram.to, target]);
    const from = random.pick<Endpoint>([sameFamily(datagram.from, to), attackerAt(to)]);
    network.send({ from, to, payload: datagram.payload });
  }

  /** Sends what he made up, from his own address or in somebody's name. */
  forge(): void {
    const { random, network } = this.#world;
    const model = this.captured[random.below(this.captured.length)];
    const to = model?.to ?? { ip: this.#somewhere(), port: port(10_000) };
    const from = model && random.chance(0.5) ? model.from : attackerAt(to);
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

  /** One of the server's addresses. */
  #somewhere(): OuterIp {
    const { random, families, tunnel } = this.#world;
    const [first = 'ipv4', ...others] = families.server;
    const family = random.pick([first, ...others]);
    return tunnel.server.local(family) ?? this.#world.serverAt(family);
  }

  /** Many forged packets with the right time, one each millisecond, from changing addresses. */
  flood(packets: number): void {
    const { random, network, clockwork, tunnel } = this.#world;
    const unixSeconds = packetSeconds(tunnel.server.now().unix);
    for (let i = 0; i < packets; i++) {
      const secret = new Uint8Array();
      const fields = { unixSeconds, salt: random.bytes(4) };
      const payload = encodeAuth({ secret }, fields, () => random.bytes(64));
      const to = { ip: this.#somewhere(), port: port(10_000) };
      const source = {
        ipv4: `192.0.2.${random.below(256)}`,
        ipv6: `2001:db8:bad:${1 + random.below(8)}::${1 + random.below(8)}`,
      };
      const from = { ip: ip(source[familyOf(to.ip)]), port: port(1 + random.below(65535)) };
      clockwork.after(i, () => {
        network.send({ from, to, payload });
      });
    }
  }
}

/** Whoever listens, at an address of the family of an endpoint. */
function attackerAt({ ip: address }: Endpoint): Endpoint {
  return familyOf(address) === 'ipv4' ? ATTACKER : ATTACKER6;
}

/** An endpoint, if packets from it can be for another: else the attacker's. */
function sameFamily(from: Endpoint, to: Endpoint): Endpoint {
  return familyOf(from.ip) === familyOf(to.ip) ? from : attackerAt(to);
}

/** Something that may happen to a tunnel, the network or the machines. */
type Action = (world: World, tunnel: Tunnel, attacker: Attacker) => void;

const address = (world: World): string => `203.0.113.${1 + world.random.below(50)}`;
/** A family that clients have. */
const ownFamily = ({ families: { client }, random }: World): Family => {
  const [first = 'ipv4', ...others] = client;
  return random.pick([first, ...others]);
};

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
  (world, tunnel) => moveBy(ownFamily(world), world, tunnel, world.random.chance(0.8)),
  (world, tunnel) =>
    world.moveClientBy(ownFamily(world), tunnel, undefined, world.random.chance(0.8)),
  (world, tunnel) => moveBy(ownFamily(world), world, tunnel, true),
  (world) => {
    const number = 1 + world.random.below(20);
    const [first = 'ipv4', ...others] = world.families.server;
    const to = { ipv4: `198.51.100.${number}`, ipv6: `2001:db8:5::${number}` };
    world.moveServer(ip(to[world.random.pick([first, ...others])]));
    world.dns = world.serverIps;
  },
  (world) => {
    world.dns = world.random.pick([[], [ip('198.51.100.99')], world.serverIps]);
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

/** What may happen besides where there are two families: routes, addresses and names of either come and go. */
export const FAMILY_ACTIONS: readonly [Action, ...Action[]] = [
  (world, tunnel) => moveBy('ipv6', world, tunnel, world.random.chance(0.8)),
  (world, tunnel) => moveBy('ipv4', world, tunnel, world.random.chance(0.8)),
  (world, tunnel) => world.moveClientBy('ipv6', tunnel, undefined, world.random.chance(0.8)),
  (world, tunnel) => {
    world.moveClientBy('ipv6', tunnel, undefined);
    world.moveClientBy('ipv4', tunnel, undefined);
  },
  (world) => world.firewall.forget(),
  (world) => world.nat64.forget(),
  (world) => {
    world.firewall.lifetime = world.random.pick([20_000, 60_000, 1e9]);
  },
  (world) => {
    const [first = 'ipv4', ...others] = world.families.server;
    const family = world.random.pick([first, ...others]);
    world.strandServer(family);
    const back = world.random.below(90_000);
    world.clockwork.after(back, () => world.moveServer(world.serverAt(family)));
  },
  (world) => {
    const dead = [ip('2001:db8:dead::1'), ip('198.51.100.99')];
    const here = world.serverIps;
    const [first = ip('198.51.100.99'), ...others] = here;
    world.dns = world.random.pick<readonly OuterIp[]>([
      here,
      here.toReversed(),
      [...dead, ...here],
      [dead[0] ?? first, ...here],
      [first],
      others,
    ]);
  },
];

/** Two clients never have the same address. */
function moveBy(family: Family, world: World, tunnel: Tunnel, told: boolean): void {
  if (!world.families.client.includes(family)) return;
  const number = 1 + world.random.below(200);
  const to = {
    ipv4: `10.${1 + tunnel.index}.${number}.2`,
    ipv6: `2001:db8:c:${1 + tunnel.index}::${number.toString(16)}`,
  };
  world.moveClientBy(family, tunnel, ip(to[family]), told);
}

/** Ends all trouble: everything runs, everybody is where the others look for him. */
export function calm(world: World): void {
  world.network.weather = FINE;
  world.nat.lifetime = 1e9;
  world.firewall.lifetime = 1e9;
  for (const family of world.families.server) {
    if (world.tunnel.server.local(family) === undefined) world.moveServer(world.serverAt(family));
  }
  // An address of the other family that nobody is at may stay in the name for ever.
  const dead = world.random.pick([[], [ip('2001:db8:dead::1')]]);
  const isDual = world.families.client.length > 1;
  world.dns = isDual ? [...dead, ...world.serverIps] : world.serverIps;
  for (const [index, tunnel] of world.tunnels.entries()) {
    const { server, client } = tunnel;
    for (const host of [server, client]) {
      host.skew = 0;
      host.admitFailure = () => false;
      if (!host.running) host.start();
    }
    for (const family of world.families.client) {
      if (client.local(family) !== undefined) continue;
      const back = { ipv4: `10.9.9.${index + 1}`, ipv6: `2001:db8:c:9::${index + 1}` };
      world.moveClientBy(family, tunnel, ip(back[family]));
    }
  }
  // What is still under way may be out of order; nothing of it is younger than this.
  world.clockwork.advance(REPLY_WINDOW / 10);
}
