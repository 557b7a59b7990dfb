import { readFileSync, writeFileSync, readdirSync } from 'node:fs';
import type { Family } from '../../core/addr.ts';
import type { PlaneJournal } from '../../ports/data-plane.ts';
import type { Tell } from '../../ports/tell.ts';
import { readRecord, writeRecord, type HeldSetting } from './record.ts';

/*
 * Settings of the kernel that exposing needs. Each is written down before it is changed, told, and at the end
 * put back, unless somebody has changed it since.
 */

const SYS = '/proc/sys/';
const IPV4 = 'net/ipv4/ip_forward';
const IPV6 = 'net/ipv6/conf/all/forwarding';

type Ports = { readonly journal: PlaneJournal; readonly tell: Tell };

/** Has this host forward packets of these families. What the kernel does not let us set is told. */
export function forward(families: readonly Family[], ports: Ports): void {
  if (families.includes('ipv4') && read(IPV4) === '0') {
    change(IPV4, '1', ports, forwardingDevices('ipv4'));
  }
  if (families.includes('ipv6') && read(IPV6) === '0') {
    const devices = forwardingDevices('ipv6');
    // A host that forwards takes no default route from its router, unless it is told to.
    for (const device of devicesOf('ipv6')) {
      const path = `net/ipv6/conf/${device}/accept_ra`;
      if (read(path) === '1') change(path, '2', ports);
    }
    change(IPV6, '1', ports, devices);
  }
}

/**
 * A filter that asks whether packets come from where their answers would go (rp_filter 1) drops on the outer device
 * what routers on the way say about a tunnel that takes everything. Of this setting and that of all devices the kernel
 * takes the larger one (ip-sysctl.rst), and 2 is loose.
 */
export function loosen(device: string, ports: Ports): void {
  const own = `net/ipv4/conf/${device}/rp_filter`;
  const strict = Math.max(Number(read('net/ipv4/conf/all/rp_filter')), Number(read(own))) === 1;
  if (strict) change(own, '2', ports);
}

/** Has a device answer for neighbours of IPv6 that it is told of. */
export function answerNeighbours(device: string, ports: Ports): void {
  change(`net/ipv6/conf/${device}/proxy_ndp`, '1', ports);
}

/** The families that this host forwards only since we have it, or another tunnel whose settings are ours, too. */
export function switchedOn({ journal }: Pick<Ports, 'journal'>): readonly Family[] {
  return switchedOnBy(readRecord(journal).settings);
}

export function switchedOnBy(settings: readonly HeldSetting[]): readonly Family[] {
  const paths = new Set(settings.map(({ path }) => path));
  return [
    ...(paths.has(IPV4) ? (['ipv4'] as const) : []),
    ...(paths.has(IPV6) ? (['ipv6'] as const) : []),
  ];
}

/** Those of these families in which this host forwards nothing now. */
export function notForwarding(families: readonly Family[]): readonly Family[] {
  return families.filter((family) => read(family === 'ipv4' ? IPV4 : IPV6) === '0');
}

/** The family for whose forwarding it was changed; undefined of settings that are one tunnel's alone. */
export function forwardsFor({ path }: HeldSetting): Family | undefined {
  if (path === IPV4) return 'ipv4';
  const [, family] = /^net\/(ipv[46])\/conf\/.+\/(?:forwarding|accept_ra)$/.exec(path) ?? [];
  return family === 'ipv4' || family === 'ipv6' ? family : undefined;
}

/** Puts back what was changed, but for what others need as it is. */
export function restore({ journal, tell }: Ports, needed: ReadonlySet<string> = new Set()): void {
  const { settings } = readRecord(journal);
  for (const { path, before, value } of settings) {
    if (needed.has(path) || read(path) !== value) continue;
    writeFileSync(`${SYS}${path}`, before);
    if (before !== value)
      tell({ kind: 'host-setting', setting: nameOf(path), value: before, before: value });
  }
  writeRecord(journal, { settings: [], leaving: false });
}

/** `devices`: those that forward by themselves lose that when this is put back, and get it again. */
function change(
  path: string,
  value: string,
  { journal, tell }: Ports,
  devices: readonly string[] = [],
): void {
  const before = read(path);
  if (before === undefined || before === value) return;
  const { settings } = readRecord(journal);
  const held = devices.map((device): HeldSetting => ({ path: device, before: '1', value: '0' }));
  const news = [{ path, before, value }, ...held];
  const older = settings.filter((one) => news.every((other) => other.path !== one.path));
  writeRecord(journal, { settings: [...older, ...news] });
  try {
    writeFileSync(`${SYS}${path}`, value);
  } catch (error) {
    writeRecord(journal, { settings });
    tell({
      kind: 'host-setting-refused',
      setting: nameOf(path),
      value,
      error: error instanceof Error ? error.message : String(error),
      hint: `sysctl -w ${nameOf(path)}=${value}, or what runs this container must set it`,
    });
    return;
  }
  tell({ kind: 'host-setting', setting: nameOf(path), value, before });
}

function forwardingDevices(family: Family): readonly string[] {
  return devicesOf(family)
    .map((device) => `net/${family}/conf/${device}/forwarding`)
    .filter((path) => read(path) === '1');
}

function devicesOf(family: Family): readonly string[] {
  const folder = `${SYS}net/${family}/conf`;
  try {
    return readdirSync(folder).filter((name) => name !== 'all');
  } catch {
    // A kernel without the family.
    return [];
  }
}

/** Undefined where there is no such setting. */
function read(path: string): string | undefined {
  try {
    return readFileSync(`${SYS}${path}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function nameOf(path: string): string {
  return path.replaceAll('.', ':').replaceAll('/', '.').replaceAll(':', '/');
}
