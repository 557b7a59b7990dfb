import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { recordOf } from '../../src/adapters/reach/record.ts';
import { forward, restore } from '../../src/adapters/reach/settings.ts';
import { giveBack, share, switchedOnByOthers } from '../../src/adapters/reach/shared-settings.ts';
import type { Family } from '../../src/core/addr.ts';
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

const DEVICES = ['a', 'b'] as const;

/** Two tunnels of one host; `alive`: those whose daemons live, `tables`: what there is of nftables. */
function tunnels(alive: string[], tables: string[]) {
  const kept = new Map<string, unknown>();
  const nft = { tables: (): readonly string[] => tables };
  const of = (device: (typeof DEVICES)[number]) => ({
    journal: {
      load: () => kept.get(device),
      save: (record: unknown) => void kept.set(device, record),
    },
    others: () =>
      DEVICES.filter((other) => other !== device).map((other) => ({
        ...{ device: other, running: alive.includes(other), reach: kept.get(other) },
      })),
    tell: (): void => undefined,
  });
  return {
    nft,
    begin: (device: (typeof DEVICES)[number], ...families: readonly Family[]) => {
      share(families, nft, of(device));
      forward(families, of(device));
    },
    end: (device: (typeof DEVICES)[number]) => giveBack(nft, of(device)),
    knows: (device: (typeof DEVICES)[number]) => switchedOnByOthers(nft, of(device)),
    held: (device: string) => recordOf(kept.get(device)),
    note: (device: string, record: unknown) => void kept.set(device, record),
  };
}

/** Of IPv4, of a device that forwards by itself, of IPv6. */
const forwarding = (): string => {
  const names = ['ip_forward', 'conf.lo.forwarding'].map((name) => `net.ipv4.${name}`);
  return run('sysctl', '-n', ...names, 'net.ipv6.conf.all.forwarding').replaceAll('\n', ' ');
};

it('what two tunnels need is put back by the last one, and what one alone needs by that one', () => {
  inNamespace(NS, () => {
    const { begin, end, knows } = tunnels(['a', 'b'], []);
    begin('a', 'ipv4');
    begin('b', 'ipv4', 'ipv6');
    expect(knows('a')).toEqual(['ipv4', 'ipv6']);
    end('b');
    expect(forwarding()).toBe('1 1 0');
    begin('b', 'ipv4');
    end('a');
    expect(forwarding()).toBe('1 1 0');
    begin('a', 'ipv4');
    end('b');
    expect(forwarding()).toBe('1 1 0');
    end('a');
    expect(forwarding()).toBe('0 1 0');
  });
});

it('of two that leave at one time neither counts on the other', () => {
  inNamespace(NS, () => {
    const { begin, end, held, note } = tunnels(['a', 'b'], []);
    begin('a', 'ipv4');
    begin('b', 'ipv4');
    note('a', { ...held('a'), leaving: true });
    end('b');
    expect(forwarding()).toBe('0 1 0');
    end('a');
    expect(forwarding()).toBe('0 1 0');
  });
});

it('a dead tunnel counts as long as its rules are there', () => {
  inNamespace(NS, () => {
    const alive = ['a', 'b'];
    const tables = ['ipipou-masquerade-b'];
    const { begin, end, knows } = tunnels(alive, tables);
    begin('b', 'ipv4');
    begin('a', 'ipv4');
    alive.pop();
    end('a');
    expect(forwarding()).toBe('1 1 0');
    begin('a', 'ipv4');
    tables.pop();
    expect(knows('a')).toEqual([]);
    end('a');
    expect(forwarding()).toBe('0 1 0');
  });
});
