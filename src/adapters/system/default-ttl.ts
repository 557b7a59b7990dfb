import { readFileSync } from 'node:fs';

/** RFC 1700's recommendation, and the kernel's own default. */
const FALLBACK = 64;

/** The TTL of packets that this network namespace sends, 1..255; 64 where the kernel does not say. */
export function defaultTtl(path = '/proc/sys/net/ipv4/ip_default_ttl'): number {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return FALLBACK;
  }
  const value = Number(text.trim());
  return Number.isInteger(value) && value >= 1 && value <= 255 ? value : FALLBACK;
}
