import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DEVICE_PREFIX } from '../../core/config/limits.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { asError } from '../../core/errors.ts';
import type { RunList } from '../../ports/run-store.ts';
import { loadConfig } from '../load-config.ts';

export type Neighbour = Pick<TunnelConfig, 'name' | 'role' | 'number' | 'outer' | 'inner'> & {
  readonly path: string;
};

/** The tunnels whose config files stand in a folder; what is faulty, or no config, is none. */
export async function configsIn(
  folder: string,
  onFault: (error: Error) => void = () => undefined,
): Promise<readonly Neighbour[]> {
  const found: Neighbour[] = [];
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    try {
      const { resolved } = await loadConfig(['--config', path]);
      if ('config' in resolved) found.push({ ...resolved.config, path });
    } catch (error) {
      onFault(asError(error));
    }
  }
  return found;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.conf'));
  } catch {
    return [];
  }
}

/** The least number that no tunnel has, nor its device, that runs here or stands beside a file. */
export async function freeNumber(path: string, runs: RunList): Promise<number> {
  const configs = await configsIn(dirname(path));
  const running = runs.list().map(({ record, device }) => ({ device, config: record.config }));
  const devices = new Set([
    ...configs.map(({ inner }) => inner.device),
    ...running.map(({ device }) => device),
  ]);
  const numbers = new Set(configs.map(({ number }) => number));
  let number = 0;
  while (numbers.has(number) || devices.has(`${DEVICE_PREFIX}${number}`)) number += 1;
  return number;
}
