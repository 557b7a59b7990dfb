// Tells guests how busy this machine is, which they cannot see.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { recentShare } from './watchdog.mjs';

const EVERY_MS = 2000;
/** On a quiet machine: a guest is emulated. */
const EMULATED = 2;

/** Keeps in a file how many times as long as on a quiet machine things in a guest may take. */
export function tellPace(file) {
  mkdirSync(path.dirname(file), { recursive: true });
  const tell = () => {
    // Never half of a number.
    writeFileSync(`${file}.new`, String(EMULATED / recentShare()));
    renameSync(`${file}.new`, file);
  };
  tell();
  const timer = setInterval(tell, EVERY_MS);
  return { stop: () => clearInterval(timer) };
}
