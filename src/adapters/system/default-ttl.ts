import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Family } from '../../core/addr.ts';

/** RFC 1700's recommendation, and the kernel's own default in both families. */
const FALLBACK = 64;

/** Below /proc/sys/net. Of IPv6, what devices have until a router says something else. */
const FILES = {
  ipv4: 'ipv4/ip_default_ttl',
  ipv6: 'ipv6/conf/default/hop_limit',
} as const satisfies Record<Family, string>;

/** The TTL or hop limit of packets that this network namespace sends, 1..255; 64 where the kernel does not say. */
export function defaultTtl(family: Family = 'ipv4', folder = '/proc/sys/net'): number {
  let text: string;
  try {
    text = readFileSync(join(folder, FILES[family]), 'utf8');
  } catch {
    return FALLBACK;
  }
  const value = Number(text.trim());
  return Number.isInteger(value) && value >= 1 && value <= 255 ? value : FALLBACK;
}
