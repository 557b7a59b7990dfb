// The time that everything in packages and images has, in seconds: SOURCE_DATE_EPOCH, else that of the last commit.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { PROJECT } from './setup.mjs';

export function sourceEpoch() {
  const { SOURCE_DATE_EPOCH } = process.env;
  if (SOURCE_DATE_EPOCH !== undefined) return Number(SOURCE_DATE_EPOCH);
  const log = ['-C', PROJECT, 'log', '-1', '--format=%ct'];
  const { status, stdout } = spawnSync('git', log, { encoding: 'utf8' });
  if (status === 0 && stdout !== '') return Number(stdout);
  return Math.trunc(statSync(path.join(PROJECT, 'package.json')).mtimeMs / 1000);
}
