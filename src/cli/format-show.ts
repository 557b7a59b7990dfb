import { formatEndpoint, type Ipv4, type Path } from '../core/addr.ts';
import type { Millis } from '../core/units.ts';
import type { TunnelStatus } from '../ports/control.ts';
import type { PlaneName } from '../ports/data-plane.ts';
import type { DeviceCounters } from './machine.ts';
import { printable } from './print-error.ts';

export type LivingTunnel = TunnelStatus & {
  readonly alive: true;
  readonly configPath: string | undefined;
};

/** A tunnel whose daemon was killed. */
export type DeadTunnel = {
  readonly alive: false;
  readonly name: string;
  readonly role: 'server' | 'client';
  readonly device: string;
  readonly plane: PlaneName;
  readonly planeReason: string;
  readonly pid: number;
  readonly since: Millis;
  readonly configPath: string | undefined;
  readonly innerIp: Ipv4;
  readonly innerPeerIp: Ipv4;
  readonly path: Path | undefined;
  /** Whether the kernel still carries the peer's packets. */
  readonly forwarding: boolean;
  readonly traffic: DeviceCounters | undefined;
};

type Line = readonly [key: string, value: string | undefined];

/** A running tunnel for a person; `now` is unix time in milliseconds. */
export function formatLiving(tunnel: LivingTunnel, now: number): string {
  const { path, traffic } = tunnel;
  const troubles = tunnel.troubles.map((trouble): Line => ['trouble', trouble]);
  return block(`${tunnel.device} (${tunnel.name}): ${tunnel.role}, ${tunnel.phase}`, [
    ['plane', `${tunnel.plane} (${tunnel.planeReason})`],
    ['inner', `${tunnel.innerIp} to ${tunnel.innerPeerIp}, MTU ${tunnel.mtu}`],
    ['local', path ? formatEndpoint(path.local) : `port ${tunnel.localPort}`],
    ['local alternative', tunnel.localAlt],
    ['remote', path ? formatEndpoint(path.remote) : (tunnel.remote ?? 'not known yet')],
    ['authenticated', tunnel.authenticatedAt && formatTime(tunnel.authenticatedAt, now)],
    ['last heard', tunnel.lastHeardAt && formatTime(tunnel.lastHeardAt, now)],
    ['remembered', formatRemembered(tunnel, now)],
    ['received', traffic && formatTraffic(traffic.rxBytes, traffic.rxPackets)],
    ['sent', traffic && formatTraffic(traffic.txBytes, traffic.txPackets)],
    ['refused', formatRefused(tunnel)],
    [
      'authentication',
      `${tunnel.authPacketsSent} sent, ${tunnel.repliesVerified} replies verified`,
    ],
    ['keepalive', tunnel.keepalive > 0 ? `every ${tunnel.keepalive} s` : 'none'],
    ['daemon', `process ${tunnel.pid}, since ${formatTime(tunnel.since, now)}`],
    ['config', tunnel.configPath],
    ...troubles,
  ]);
}

/** A tunnel without its daemon. */
export function formatDead(tunnel: DeadTunnel): string {
  const { path, traffic } = tunnel;
  const state = tunnel.forwarding
    ? 'the kernel still forwards; nobody answers authentication'
    : 'nothing is forwarded';
  return block(`${tunnel.device} (${tunnel.name}): ${tunnel.role}, daemon dead`, [
    ['state', state],
    ['plane', `${tunnel.plane} (${tunnel.planeReason})`],
    ['inner', `${tunnel.innerIp} to ${tunnel.innerPeerIp}`],
    ['remote', path ? formatEndpoint(path.remote) : undefined],
    ['received', traffic && formatTraffic(traffic.rxBytes, traffic.rxPackets)],
    ['sent', traffic && formatTraffic(traffic.txBytes, traffic.txPackets)],
    ['daemon', `was process ${tunnel.pid}`],
    ['config', tunnel.configPath],
    [
      'hint',
      `ipipou up ${tunnel.configPath ?? tunnel.name} takes it over, ipipou down ${tunnel.device} removes it`,
    ],
  ]);
}

function block(
  title: string,
  lines: readonly (readonly [string, string | 0 | undefined])[],
): string {
  const shown = lines.filter(([, value]) => value !== undefined && value !== 0);
  const width = Math.max(...shown.map(([key]) => key.length));
  const body = shown.map(([key, value]) => `  ${key.padEnd(width)}  ${printable(String(value))}\n`);
  return `${printable(title)}\n${body.join('')}`;
}

function formatRemembered(tunnel: TunnelStatus, now: number): string | undefined {
  if (tunnel.path === undefined || tunnel.role !== 'server') return undefined;
  if (tunnel.rememberedUntil === undefined) return 'for ever';
  return `until ${formatTime(tunnel.rememberedUntil, now)}`;
}

function formatRefused({ refused, refusedBelow }: TunnelStatus): string {
  const reasons = Object.entries(refused).map(([reason, count]) => `${count} ${reason}`);
  if (refusedBelow) reasons.push(`${refusedBelow} below user space`);
  return reasons.length === 0 ? 'nothing' : reasons.join(', ');
}

/** `2026-11-23 00:00:00 UTC (27 s ago)`. */
export function formatTime(at: number, now: number): string {
  const text = new Date(at).toISOString().slice(0, 19).replace('T', ' ');
  const distance = Math.round((now - at) / 1000);
  return `${text} UTC (${distance >= 0 ? `${formatSpan(distance)} ago` : `in ${formatSpan(-distance)}`})`;
}

/** Whole seconds in the two largest units that they have. */
export function formatSpan(seconds: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const largest = units.findIndex(([, size]) => seconds >= size);
  if (largest < 0) return '0 s';
  let left = seconds;
  const parts: string[] = [];
  for (const [name, size] of units.slice(largest, largest + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
  }
  return parts.join(' ');
}

function formatTraffic(bytes: number, packets: number): string {
  return `${formatBytes(bytes)} in ${packets} packets`;
}

/** Bytes in the largest binary unit that leaves at least one of it. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
