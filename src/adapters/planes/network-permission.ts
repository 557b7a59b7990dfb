import { readFile } from 'node:fs/promises';
import type { Requirement } from '../../ports/data-plane.ts';

/** linux/capability.h */
const CAP_NET_ADMIN = 12n;

/** Whether this process may configure the network, as every plane must. */
export async function networkPermission(): Promise<Requirement> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const met = ((effective >> CAP_NET_ADMIN) & 1n) === 1n;
  return {
    what: 'permission to configure the network',
    met,
    detail: met ? 'CAP_NET_ADMIN is there' : 'CAP_NET_ADMIN is missing',
    fix: met ? undefined : 'run as root (sudo ipipou …)',
  };
}
