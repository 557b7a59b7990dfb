/** The command that lets a packet through, by the tool that has the rule. */
import { familyOf, type Family, type Ip, type OuterIp } from '../addr.ts';
import type { Transport } from '../config/exposure.ts';
import type { Chain, Obstacle } from '../firewall/chains.ts';

/**
 * What the packet is for. `in` and `out`: the tunnel's own; `visit` and `answer`: of an exposed service; `there` and
 * `back`: of what peers send to elsewhere.
 */
export type Purpose =
  | ({ readonly kind: 'in' } & OfPort)
  | ({ readonly kind: 'out' } & OfPort)
  | ({ readonly kind: 'visit' } & OfService)
  | ({ readonly kind: 'answer' } & OfService)
  | { readonly kind: 'there'; readonly tunnel: string }
  | { readonly kind: 'back'; readonly tunnel: string };

type OfPort = {
  /** The tunnel's own UDP port. */
  readonly port: number;
  /** The only one that it may come from or go to. */
  readonly remote: OuterIp | undefined;
};

type OfService = {
  readonly tunnel: string;
  readonly family: Family;
  readonly target: Ip;
  /** Undefined: all. */
  readonly ports: { readonly first: number; readonly last: number } | undefined;
  readonly protocol: Transport;
};

export function mendRule(
  obstacle: Obstacle,
  purpose: Purpose,
  chains: readonly Chain[],
): string | undefined {
  const { base, chain, rule, what } = obstacle;
  const alike = chains.filter(({ table, family, tool }) => isWith(base, { table, family, tool }));
  if (what === 'divert') return undo(obstacle);
  if (alike.some(({ name }) => /^ufw6?-/.test(name))) {
    const command = ufw(purpose);
    if (command !== undefined) return command;
  }
  if (chain.table === 'firewalld' || alike.some(({ name }) => name === 'INPUT_ZONES')) {
    const command = firewalld(purpose);
    if (command !== undefined) return command;
  }
  const docker = alike.find(({ name }) => name === 'DOCKER-USER');
  const place = docker !== undefined && base.base?.hook === 'forward' ? docker : base;
  if (base.tool === 'nft') {
    const where = `${place.family} ${place.table} ${place.name}`;
    const last = rule === undefined ? '' : ' before it';
    return `nft insert rule ${where} ${nftMatch(purpose)} accept   # and${last} in what loads these rules at boot`;
  }
  return iptables(place, purpose);
}

function isWith(one: Chain, { table, family, tool }: Pick<Chain, 'table' | 'family' | 'tool'>) {
  return one.table === table && one.family === family && one.tool === tool;
}

/** Takes the rule away that sends packets elsewhere. */
function undo({ chain, rule }: Obstacle): string | undefined {
  if (rule === undefined) return undefined;
  if (chain.tool === 'nft') {
    const { family, table, name } = chain;
    return `nft delete rule ${family} ${table} ${name} handle ${rule.handle ?? 'HANDLE'}`;
  }
  return `${programOf(chain)} -t ${chain.table} ${rule.text.replace(/^-A/, '-D')}   # or another fou-local-port`;
}

function programOf({ tool, family }: Chain): string {
  const name = family === 'ip6' ? 'ip6tables' : 'iptables';
  return `${name}-${tool === 'iptables-legacy' ? 'legacy' : 'nft'}`;
}

function portsOf({ ports }: OfService, to: '-' | ':'): string | undefined {
  if (ports === undefined) return undefined;
  const { first, last } = ports;
  return first === last ? `${first}` : `${first}${to}${last}`;
}

function ufw(purpose: Purpose): string | undefined {
  if (purpose.kind === 'in') {
    return purpose.remote === undefined
      ? `ufw allow ${purpose.port}/udp`
      : `ufw allow proto udp from ${purpose.remote} to any port ${purpose.port}`;
  }
  if (purpose.kind === 'out') return `ufw allow out proto udp to ${purpose.remote ?? 'any'}`;
  if (purpose.kind === 'there') return `ufw route allow in on ${purpose.tunnel}`;
  if (purpose.kind === 'answer' || purpose.kind === 'back') return undefined;
  const { tunnel, target, protocol } = purpose;
  const ports = portsOf(purpose, ':');
  const at = ports === undefined ? '' : ` port ${ports}`;
  return `ufw route allow out on ${tunnel} proto ${protocol} to ${target}${at}`;
}

function firewalld(purpose: Purpose): string | undefined {
  if (purpose.kind !== 'in') return undefined;
  return `firewall-cmd --permanent --add-port=${purpose.port}/udp && firewall-cmd --reload`;
}

function nftMatch(purpose: Purpose): string {
  if (purpose.kind === 'visit') {
    const { tunnel, family, target, protocol } = purpose;
    const ip = family === 'ipv4' ? 'ip' : 'ip6';
    const ports = portsOf(purpose, '-');
    const what = ports === undefined ? `meta l4proto ${protocol}` : `${protocol} dport ${ports}`;
    return `oifname ${tunnel} ${ip} daddr ${target} ${what}`;
  }
  if (purpose.kind === 'answer') return `iifname ${purpose.tunnel} ct state established,related`;
  if (purpose.kind === 'there') return `iifname ${purpose.tunnel}`;
  if (purpose.kind === 'back') return `oifname ${purpose.tunnel} ct state established,related`;
  const { kind, port, remote } = purpose;
  const other = kind === 'in' ? 'saddr' : 'daddr';
  const ip =
    remote === undefined ? '' : `${familyOf(remote) === 'ipv4' ? 'ip' : 'ip6'} ${other} ${remote} `;
  return `${ip}udp ${kind === 'in' ? 'dport' : 'sport'} ${port}`;
}

function iptables(place: Chain, purpose: Purpose): string {
  const table = place.table === 'filter' ? '' : ` -t ${place.table}`;
  const insert = `${programOf(place)}${table} -I ${place.name}`;
  return `${insert} ${iptablesMatch(purpose)} -j ACCEPT   # and in what loads these rules at boot`;
}

function iptablesMatch(purpose: Purpose): string {
  if (purpose.kind === 'visit') {
    const { tunnel, target, protocol } = purpose;
    const ports = portsOf(purpose, ':');
    return `-o ${tunnel} -d ${target} -p ${protocol}${ports === undefined ? '' : ` --dport ${ports}`}`;
  }
  if (purpose.kind === 'answer') {
    return `-i ${purpose.tunnel} -m conntrack --ctstate ESTABLISHED,RELATED`;
  }
  if (purpose.kind === 'there') return `-i ${purpose.tunnel}`;
  if (purpose.kind === 'back') {
    return `-o ${purpose.tunnel} -m conntrack --ctstate ESTABLISHED,RELATED`;
  }
  const { kind, port, remote } = purpose;
  if (kind === 'in') return `${remote === undefined ? '' : `-s ${remote} `}-p udp --dport ${port}`;
  return `${remote === undefined ? '' : `-d ${remote} `}-p udp --sport ${port}`;
}
