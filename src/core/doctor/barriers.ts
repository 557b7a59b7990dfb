/** What the rules of this host would do to the tunnel's packets, and to those of exposed services. */
import { familyOf, type Family } from '../addr.ts';
import { familyName, outerFamilies } from '../config/families.ts';
import type { Transport } from '../config/exposure.ts';
import type { TunnelConfig } from '../config/tunnel-config.ts';
import { obstaclesOf, type Chain, type Hook, type Obstacle } from '../firewall/chains.ts';
import type { Packet } from '../firewall/packet.ts';
import { servicesOf } from '../reach/services.ts';
import type { TunnelFacts } from './facts.ts';
import { ok, unknown, warning, wrong, type CheckName, type Finding } from './finding.ts';
import { mendRule, type Purpose } from './mend-rule.ts';
import { answering } from './session.ts';

/** A packet that must pass, and what it is for. */
type Case = {
  readonly check: CheckName;
  readonly what: string;
  readonly packet: Packet;
  readonly hooks: readonly Hook[];
  readonly purpose: Purpose;
};

export function checkFirewall(facts: TunnelFacts): readonly Finding[] {
  const { firewall, config } = facts;
  const unread = firewall.unread.map((why) => unknown('firewall', why));
  const chains = othersChains(firewall.chains, config);
  const cases = [...outerCases(facts), ...masqueradeCases(facts), ...exposeCases(facts)];
  // What is said of TCP and of UDP in the same words is said once.
  const judged = new Map(
    cases
      .flatMap((one) => judge(one, chains))
      .map((finding) => [`${finding.words}\n${finding.fix}`, finding]),
  );
  return [...unread, ...forwarding(facts), ...judged.values()];
}

/** Rules of tunnels' own stop strangers, which is what they are for. */
function othersChains(chains: readonly Chain[], { nft }: TunnelConfig): readonly Chain[] {
  return chains.filter(({ table }) => table !== nft.table && !table.startsWith('ipipou'));
}

const INWARD: readonly Hook[] = ['ingress', 'prerouting', 'input'];
const OUTWARD: readonly Hook[] = ['output', 'postrouting'];
const THROUGH: readonly Hook[] = ['ingress', 'prerouting', 'forward', 'postrouting'];

function outerCases(facts: TunnelFacts): readonly Case[] {
  return facts.config.role === 'server' ? serverCases(facts) : clientCases(facts);
}

/** A stranger is who asks first. */
function serverCases({ config, device, ways }: TunnelFacts): readonly Case[] {
  const { localPort: port, localIps } = config.outer;
  const from = outsideOf({ device, ways });
  return outerFamilies(config.outer).flatMap((family): readonly Case[] => {
    const own =
      localIps.find((ip) => familyOf(ip) === family) ??
      device?.addresses.find((ip) => familyOf(ip) === family);
    // A family that the device has no address of brings nobody.
    if (device !== undefined && own === undefined) return [];
    const base = { family, protocol: 'udp', translated: false } as const;
    const asked: Packet = {
      ...{ ...base, source: undefined, sourcePort: undefined, destination: own, from },
      ...{ destinationPort: port, to: undefined, state: 'new', forHost: true },
    };
    const answered: Packet = {
      ...{ ...base, source: own, sourcePort: port, destination: undefined, to: from },
      ...{ destinationPort: undefined, from: undefined, state: 'established', forHost: false },
    };
    const named = familyName(family);
    return [
      {
        ...{ check: 'firewall', hooks: INWARD, packet: asked },
        what: `${named} packets to UDP port ${port}${from === undefined ? '' : ` by ${from}`}`,
        purpose: { kind: 'in', port, remote: undefined },
      },
      {
        ...{ check: 'firewall', hooks: OUTWARD, packet: answered },
        what: `${named} packets from UDP port ${port}`,
        purpose: { kind: 'out', port, remote: undefined },
      },
    ];
  });
}

function clientCases({ config, ways }: TunnelFacts): readonly Case[] {
  const { localPort: port } = config.outer;
  return ways.flatMap(({ remote, port: remotePort, way, own }): readonly Case[] => {
    if (own || !('source' in way)) return [];
    const { source, device } = way;
    const base = { family: familyOf(remote), protocol: 'udp', translated: false } as const;
    const asks: Packet = {
      ...{ ...base, source, sourcePort: port, destination: remote, destinationPort: remotePort },
      ...{ from: undefined, to: device, state: 'new', forHost: false },
    };
    const answer: Packet = {
      ...{ ...base, source: remote, sourcePort: remotePort, destination: source },
      ...{ destinationPort: port, from: device, to: undefined, state: 'established' },
      forHost: true,
    };
    return [
      {
        ...{ check: 'firewall', hooks: OUTWARD, packet: asks },
        what: `packets to ${remote}, UDP port ${remotePort ?? 'unknown'}`,
        purpose: { kind: 'out', port, remote },
      },
      {
        ...{ check: 'firewall', hooks: INWARD, packet: answer },
        what: `packets from ${remote} to UDP port ${port}`,
        purpose: { kind: 'in', port, remote },
      },
    ];
  });
}

/** What peers send to elsewhere by this server, and what comes back. */
function masqueradeCases({ config, device, ways }: TunnelFacts): readonly Case[] {
  if (config.masquerade !== true) return [];
  const outside = outsideOf({ device, ways });
  const tunnel = config.inner.device;
  return [...new Set(config.inner.ips.map(familyOf))].flatMap((family): readonly Case[] => {
    const open = { source: undefined, sourcePort: undefined, destination: undefined } as const;
    const base = { ...open, family, protocol: 'tcp', translated: false, forHost: false } as const;
    const there: Packet = {
      ...{ ...base, destinationPort: undefined, from: tunnel, to: outside, state: 'new' },
    };
    const back: Packet = { ...there, from: outside, to: tunnel, state: 'established' };
    const named = familyName(family);
    return [
      {
        ...{ check: 'firewall', hooks: THROUGH, packet: there },
        what: `what peers send to elsewhere in ${named} (masquerade)`,
        purpose: { kind: 'there', tunnel },
      },
      {
        ...{ check: 'firewall', hooks: THROUGH, packet: back },
        what: `what comes back to peers in ${named} (masquerade)`,
        purpose: { kind: 'back', tunnel },
      },
    ];
  });
}

function outsideOf({ device, ways }: Pick<TunnelFacts, 'device' | 'ways'>): string | undefined {
  return device?.name ?? ways.flatMap(({ way }) => ('device' in way ? [way.device] : []))[0];
}

/** Visitors of an exposed service on their way to the peer, and its answers. */
function exposeCases({ config, device, ways }: TunnelFacts): readonly Case[] {
  const outside = outsideOf({ device, ways });
  const tunnel = config.inner.device;
  return servicesOf(config.peers).flatMap(({ exposure, text, ways: wanted }) => {
    const { protocol: asked, first, last, targetPort } = exposure;
    const transports: readonly Transport[] = asked === 'all' ? ['tcp', 'udp'] : [asked];
    const ports = { first: targetPort ?? first, last: targetPort ?? last };
    const known = asked === 'all' ? undefined : ports;
    return wanted.flatMap(({ family, target }) =>
      transports.flatMap((protocol): readonly Case[] => {
        const base = { family, protocol, translated: true, forHost: false } as const;
        const visit: Packet = {
          ...{ ...base, source: undefined, sourcePort: undefined, destination: target },
          ...{ destinationPort: known?.first, from: outside, to: tunnel, state: 'new' },
        };
        const answer: Packet = {
          ...{ ...base, source: target, sourcePort: known?.first, destination: undefined },
          ...{ destinationPort: undefined, from: tunnel, to: outside, state: 'established' },
        };
        const purpose = { tunnel, family, target, ports: known, protocol } as const;
        return [
          {
            ...{ check: 'expose', hooks: THROUGH, packet: visit },
            what: `visitors of ${text} on their way to ${target}`,
            purpose: { kind: 'visit', ...purpose },
          },
          {
            ...{ check: 'expose', hooks: THROUGH, packet: answer },
            what: `answers of ${text} from ${target}`,
            purpose: { kind: 'answer', ...purpose },
          },
        ];
      }),
    );
  });
}

/** Whether this host forwards what exposed services need. A start switches it on by itself. */
function forwarding(facts: TunnelFacts): readonly Finding[] {
  const { config, settings } = facts;
  const families = new Set(
    servicesOf(config.peers).flatMap(({ ways }) => ways.map(({ family }) => family)),
  );
  return [...families].map((family) => {
    const path = FORWARDING[family];
    const name = path.replaceAll('/', '.');
    if (settings.get(path) === '1') return ok('expose', `this host forwards ${familyName(family)}`);
    if (answering(facts) === undefined) {
      return ok('expose', `this host does not forward ${familyName(family)}: a start has it do so`);
    }
    const words = `this host does not forward ${familyName(family)} any more: visitors of exposed services are lost`;
    return wrong('expose', words, `sysctl -w ${name}=1`);
  });
}

export const FORWARDING: Readonly<Record<Family, string>> = {
  ipv4: 'net/ipv4/ip_forward',
  ipv6: 'net/ipv6/conf/all/forwarding',
};

function judge(one: Case, chains: readonly Chain[]): readonly Finding[] {
  const obstacles = obstaclesOf(chains, one.hooks, one.packet);
  const grave = obstacles.filter(({ certainty }) => certainty !== 'some');
  // One rule that is not known to hold, many times over (a blocklist), is told once.
  const told = new Map(grave.map((obstacle) => [placeOf(obstacle), obstacle]));
  if (told.size === 0) {
    const some = obstacles.length > 0 ? `, but for some senders (${placesOf(obstacles)})` : '';
    return [ok(one.check, `rules here let ${one.what} through${some}`)];
  }
  return [...told.values()].map((obstacle) => {
    const fix = mendRule(obstacle, one.purpose, chains);
    const does = DOES[obstacle.what];
    const words = `${placeOf(obstacle)} ${does} ${one.what}${ruleOf(obstacle)}`;
    if (obstacle.certainty === 'surely') return wrong(one.check, words, fix);
    const unless =
      obstacle.unless === undefined
        ? ', where a condition holds that cannot be told from here'
        : `, unless they meet: ${obstacle.unless.text}`;
    return warning(one.check, `${words}${unless}`, fix);
  });
}

const DOES = { drop: 'drops', reject: 'refuses', divert: 'sends elsewhere' } as const;

function placeOf({ chain: { tool, family, table, name } }: Obstacle): string {
  const of = tool === 'nft' ? `table ${family} ${table}, chain ${name}` : `${table} ${name}`;
  return tool === 'nft' ? of : `${tool}${family === 'ip6' ? ' (IPv6)' : ''} ${of}`;
}

function placesOf(obstacles: readonly Obstacle[]): string {
  return [...new Set(obstacles.map(placeOf))].join('; ');
}

function ruleOf({ rule }: Obstacle): string {
  return rule === undefined ? ' by its policy' : ` by the rule: ${rule.text}`;
}
