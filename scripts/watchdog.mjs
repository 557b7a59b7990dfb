// Ends a suite that hangs, and says where. Its limit is not wall time: what counts is time in which a program that
// wants a processor gets one, so a busy machine has as much patience as it is busy.
import process from 'node:process';

/** How often the machine is asked, and how long it is kept busy for an answer: half a per cent of a processor. */
const EVERY_MS = 5000;
const SPIN_MS = 25;
/** A machine is asked again after so long. */
const FRESH_MS = 2000;

/** Begins a line of a suite's output that says what it is at; see progress-reporter.mjs. */
export const PROGRESS_MARK = '\u0001';

/** The part of a processor (0..1] that a program gets which wants a whole one, now. */
export function processorShare(spin = SPIN_MS) {
  const begin = performance.now();
  const before = process.cpuUsage();
  let used = 0;
  while (used < spin) {
    const { user, system } = process.cpuUsage(before);
    used = (user + system) / 1000;
  }
  return Math.min(1, used / (performance.now() - begin));
}

let recent = { at: -Infinity, share: 1 };

/** The same, for who asks again and again: what was found in the last seconds. */
export function recentShare() {
  const now = performance.now();
  if (now - recent.at > FRESH_MS) recent = { at: now, share: processorShare() };
  return recent.share;
}

/**
 * Calls `onStall(words)` once when nothing was said to `progress` for `limit` seconds of a processor of one's own.
 * The words name what was said last.
 */
export function watch({ limit, onStall, share = recentShare, every = EVERY_MS }) {
  let at;
  let worked = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    worked += ((now - last) / 1000) * share();
    last = now;
    if (worked < limit) return;
    clearInterval(timer);
    const where = at === undefined ? 'before its first test' : `at: ${at}`;
    onStall(`killed: no progress for ${limit} s (of a processor of its own), ${where}`);
  }, every);
  return {
    progress: (text) => {
      at = text;
      worked = 0;
    },
    stop: () => clearInterval(timer),
  };
}

/** Takes a suite's output apart: marked lines are progress, the others go on to `write`. */
export function progressFilter({ progress, write }) {
  let rest = '';
  const take = (line) =>
    line.startsWith(PROGRESS_MARK) ? progress(line.slice(1).trimEnd()) : write(line);
  return {
    push: (text) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop();
      for (const line of lines) take(`${line}\n`);
    },
    end: () => {
      if (rest !== '') take(rest);
      rest = '';
    },
  };
}

/** Writes lines to this program's output; each begins with `name`, where there is one. */
export function speaker(name) {
  const mark = name ? `${name.padEnd(7)} | ` : '';
  return (text) => {
    const lines = text.endsWith('\n') ? text.slice(0, -1) : text;
    process.stdout.write(`${lines.replaceAll(/^/gm, mark)}\n`);
  };
}

/**
 * Passes a suite's output (`push`) and errors (`complain`) on, under watch. `stalled()`: the watchdog's words, if it
 * barked.
 */
export function watchOutput({ limit, every, kill, write = speaker() }) {
  let words;
  const watchdog = watch({
    ...{ limit, every },
    onStall: (said) => {
      words = said;
      kill();
    },
  });
  const output = progressFilter({ progress: watchdog.progress, write });
  const errors = progressFilter({ progress: watchdog.progress, write });
  return {
    push: output.push,
    complain: errors.push,
    stalled: () => words,
    stop: () => {
      watchdog.stop();
      output.end();
      errors.end();
    },
  };
}
