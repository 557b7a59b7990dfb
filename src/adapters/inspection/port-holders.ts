import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { PortHolder } from '../../core/doctor/facts.ts';
import { parseListeners } from '../../core/reach/listening.ts';
import { readFileIfAny } from '../system/files.ts';

type Holder = NonNullable<PortHolder['process']>;

/** Who has a UDP port in this network namespace. */
export function portHolders(port: number): readonly PortHolder[] {
  const sockets = ['udp', 'udp6']
    .flatMap((name) => parseListeners(tableOf(name), 'udp'))
    .filter((socket) => socket.port === port);
  if (sockets.length === 0) return [];
  const processes = processesOf(new Set(sockets.map(({ inode }) => `socket:[${inode}]`)));
  return sockets.map(({ ip, inode }) => ({ ip, process: processes.get(`socket:[${inode}]`) }));
}

function tableOf(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${name}`, 'utf8');
  } catch {
    // A kernel without IPv6.
    return '';
  }
}

/** By the sockets' names; a descriptor is a link of that name. */
function processesOf(wanted: ReadonlySet<string>): ReadonlyMap<string, Holder> {
  const found = new Map<string, Holder>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    for (const name of socketsOf(entry)) {
      if (wanted.has(name) && !found.has(name)) found.set(name, describe(entry));
    }
  }
  return found;
}

function socketsOf(pid: string): readonly string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((fd) => {
      try {
        return [readlinkSync(`${folder}/${fd}`)];
      } catch {
        // Closed since.
        return [];
      }
    });
  } catch {
    // Gone since, or another user's.
    return [];
  }
}

/** The longest name of a process, and the longest line of its cgroup that matters. */
const TEXT_MAX = 4096;

function describe(pid: string): Holder {
  const name = readFileIfAny(`/proc/${pid}/comm`, TEXT_MAX)?.trim() ?? 'a process';
  const cgroup = readFileIfAny(`/proc/${pid}/cgroup`, TEXT_MAX) ?? '';
  const unit = /\/([^/\s]+\.service)$/m.exec(cgroup)?.[1];
  return { pid: Number(pid), name, unit };
}
