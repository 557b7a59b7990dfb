import { readFileSync } from 'node:fs';
import { controlClient } from '../adapters/control/client.ts';
import { systemClock } from '../adapters/system/clock.ts';
import { beginLogFile, logFileOf } from '../adapters/system/log-files.ts';
import { openRunList } from '../adapters/system/run-list.ts';
import type { TrafficCounts } from '../ports/control.ts';
import type { Daemons } from './machine.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** The real machine, as far as its tunnels and their daemons go. */
export function openDaemons(env: Env): Daemons {
  return {
    runs: openRunList(runFolder(env)),
    control: controlClient,
    clock: systemClock,
    deviceCounters,
    beginLogFile: (device) => beginLogFile(logFolder(env), device),
    logFileOf: (device) => logFileOf(logFolder(env), device),
  };
}

export function runFolder(env: Env): string {
  return env['IPIPOU_RUN_DIR'] || '/run/ipipou';
}

function logFolder(env: Env): string {
  return env['IPIPOU_LOG_DIR'] || '/var/log/ipipou';
}

/** /proc/net/dev (proc(5)): eight received columns, bytes and packets first, then the sent ones. */
function deviceCounters(device: string): TrafficCounts | undefined {
  const lines = readFileSync('/proc/self/net/dev', 'utf8').split('\n');
  const line = lines.find((text) => text.trimStart().startsWith(`${device}:`));
  if (line === undefined) return undefined;
  const columns = line
    .slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
  const [rxBytes = 0, rxPackets = 0] = columns;
  const [txBytes = 0, txPackets = 0] = columns.slice(8);
  return { rxBytes, rxPackets, txBytes, txPackets };
}
