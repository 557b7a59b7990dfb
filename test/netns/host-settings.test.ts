import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { forward, restore } from '../../src/adapters/reach/settings.ts';
import type { PlaneJournal } from '../../src/ports/data-plane.ts';
import { inNamespace } from '../rig/in-namespace.ts';

const NS = `ipipou-set-${process.pid}`;

function run(...command: readonly string[]): string {
  return execFileSync('ip', ['netns', 'exec', NS, ...command], { encoding: 'utf8' }).trim();
}

/** A journal of a run that dies when it writes for the `last` time. */
function journalUntil(last: number): PlaneJournal {
  let kept: unknown;
  let saves = 0;
  return {
    load: () => kept,
    save(journal) {
      saves += 1;
      if (saves > last) throw new Error('killed');
      kept = journal;
    },
  };
}

beforeEach(() => {
  execFileSync('ip', ['netns', 'add', NS]);
  run('sysctl', '-qw', 'net.ipv4.ip_forward=0', 'net.ipv6.conf.all.forwarding=0');
  run('sysctl', '-qw', 'net.ipv4.conf.lo.forwarding=1', 'net.ipv6.conf.lo.forwarding=1');
});
afterEach(() => {
  execFileSync('ip', ['netns', 'del', NS]);
});

it.each([1, 2, 3, 4, 5])(
  'devices that forward by themselves do so after a run that was killed at its step %i',
  (last) => {
    const journal = journalUntil(last);
    const tell = (): void => undefined;
    inNamespace(NS, () => {
      try {
        forward(['ipv4', 'ipv6'], { journal, tell });
      } catch {
        // Killed.
      }
      let kept = journal.load();
      const later = { load: () => kept, save: (record: unknown) => void (kept = record) };
      restore({ journal: later, tell });
    });
    const names = ['net.ipv4.ip_forward', 'net.ipv4.conf.lo.forwarding'];
    names.push('net.ipv6.conf.all.forwarding', 'net.ipv6.conf.lo.forwarding');
    expect(run('sysctl', '-n', ...names).split('\n')).toEqual(['0', '1', '0', '1']);
  },
);
