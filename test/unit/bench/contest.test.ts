import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/bench/contest.ts';
import { CONTESTANTS } from '../../../src/bench/contestants/table.ts';
import { findMeasure, MEASURES } from '../../../src/bench/measures.ts';
import { guestArguments, parseBenchOptions } from '../../../src/bench/options.ts';
import { GUEST_SCENES, IPV6, PROFILE, SCENES } from '../../../src/bench/scenes.ts';
import { takeTurn } from '../../../src/bench/turn.ts';
import { progressLine } from '../../../src/cli/bench/progress.ts';
import { IpipouError } from '../../../src/core/errors.ts';

describe('the tables', () => {
  test('names are unique, and each contestant says what it is', () => {
    for (const names of [CONTESTANTS, SCENES].map((table) => table.map(({ name }) => name))) {
      expect(new Set(names).size).toBe(names.length);
    }
    for (const { name, overhead, mtu, remark } of CONTESTANTS) {
      expect(remark, name).not.toBe('');
      expect(overhead === undefined ? 1500 : mtu + overhead, name).toBe(1500);
    }
  });

  test('measures are unique, and the bare path is the first contestant', () => {
    expect(new Set(MEASURES.map(({ id }) => id)).size).toBe(MEASURES.length);
    expect(findMeasure('tcpUp')?.unit).toBe('Mbit/s');
    expect(CONTESTANTS[0]?.name).toBe('bare');
  });
});

describe('the plan', () => {
  const [a, b] = CONTESTANTS;
  const few = a && b ? [a, b] : [];

  test('everybody has a turn in every scene before anybody has the next', () => {
    const scenes = SCENES.filter(({ share }) => share === 1);
    const turns = plan({ rounds: 2, scenes }, few);
    expect(
      turns.map(({ round, scene, contestant }) => [round, scene.name, contestant.name]),
    ).toEqual(
      [1, 2].flatMap((round) =>
        scenes.flatMap(({ name }) => few.map((contestant) => [round, name, contestant.name])),
      ),
    );
  });

  test('a scene with a share takes part in some rounds, and always in the first', () => {
    const scenes = SCENES.filter(({ name }) => name === 'sizes');
    const rounds = (count: number) =>
      plan({ rounds: count, scenes }, few.slice(0, 1)).map(({ round }) => round);
    expect(rounds(1)).toEqual([1]);
    expect(rounds(5)).toEqual([1, 3]);
  });

  test('who serves one client has no turn among many', () => {
    const scenes = SCENES.filter(({ name }) => name === 'peers');
    const turns = plan({ rounds: 1, scenes }, CONTESTANTS);
    const names = turns.map(({ contestant }) => contestant.name);
    expect(names).toContain('ipipou-tun');
    expect(names).not.toContain('vxlan');
  });

  test('who is like another has a turn on the unlimited links only, unless asked for by name', () => {
    const turnsOf = (name: string, ...args: readonly string[]) => {
      const options = parseBenchOptions(['--rounds', '1', ...args]);
      const turns = plan(options, options.contestants);
      return turns.filter((turn) => turn.contestant.name === name).map(({ scene }) => scene.name);
    };
    expect(turnsOf('geneve')).toEqual(['super', 'frames']);
    expect(turnsOf('vxlan')).toEqual(['super', 'frames', 'gigabit', 'slow', 'sizes']);
    const asked = ['--only', 'bare,geneve', '--links', 'slow'];
    expect(turnsOf('geneve', ...asked)).toEqual(['slow']);
  });

  test('whoever is left out of a scene is a contestant', () => {
    const names = CONTESTANTS.map(({ name }) => name);
    for (const { without } of [...SCENES, ...GUEST_SCENES, PROFILE]) {
      expect(names).toEqual(expect.arrayContaining([...without]));
    }
  });
});

describe('options', () => {
  test('defaults: everybody on every link', () => {
    const { scenes, contestants, rounds, seconds } = parseBenchOptions([]);
    expect([scenes, contestants]).toEqual([SCENES, CONTESTANTS]);
    expect([rounds, seconds]).toEqual([4, 1]);
  });

  test('a guest is asked for the same', () => {
    const given = ['--rounds', '3', '--only', 'bare,vxlan', '--links', 'slow', '--slow', 'vxlan=5'];
    const options = parseBenchOptions(given);
    expect(parseBenchOptions(guestArguments(options))).toEqual(options);
    expect(options.contestants.map(({ name }) => name)).toEqual(['bare', 'vxlan']);
    expect(options.slowed).toEqual({ vxlan: 5 });
    const whole = parseBenchOptions(['--vm']);
    const inside = parseBenchOptions([...guestArguments(whole), '--outside', 'file']);
    expect(inside).toEqual({ ...whole, vm: false, outside: 'file' });
  });

  test('a guest has no turns on the gigabit link, unless it is asked for', () => {
    const names = (...args: readonly string[]) =>
      parseBenchOptions(args).scenes.map(({ name }) => name);
    expect(names('--vm')).toEqual(names().filter((name) => name !== 'gigabit'));
    expect(names('--vm', '--links', 'gigabit')).toEqual(['gigabit']);
  });

  test('--quick is one round of one short scene, --profile one more scene', () => {
    const names = (args: readonly string[]) =>
      parseBenchOptions(args).scenes.map(({ name }) => name);
    expect(names(['--quick'])).toEqual(['quick']);
    expect(parseBenchOptions(['--quick']).rounds).toBe(1);
    expect(names(['--links', 'super', '--profile'])).toEqual(['super', 'profile']);
  });

  test('a link of IPv6 is measured when it is asked for, and who cannot says why', async () => {
    const names = (args: readonly string[]) =>
      parseBenchOptions(args).scenes.map(({ name }) => name);
    expect(names([])).not.toContain('ipv6');
    expect(names(['--links', 'ipv6'])).toEqual(['ipv6']);
    const gre = CONTESTANTS.find(({ name }) => name === 'gre') ?? CONTESTANTS[0];
    const means = { netem: false, signal: new AbortController().signal };
    const settings = { round: 1, seconds: 1, means, inspect: false, slowed: undefined };
    const sample = gre && (await takeTurn(IPV6, gre, settings));
    expect(sample?.values).toEqual({});
    expect(sample?.missing['tcp']).toMatch(/of IPv4 alone/);
  });

  test.each([
    { args: ['--rounds', '0'], says: '--rounds: expected a whole number from 1 to 100' },
    { args: ['--rounds', '1e1'], says: '--rounds' },
    { args: ['--seconds', '601'], says: '--seconds' },
    { args: ['--only', 'bare,nobody'], says: 'there is no "nobody"; there are bare, ' },
    { args: ['--links', ''], says: '--links: there is no ""' },
    { args: ['--slow', 'bare'], says: 'expected NAME=MBIT' },
    { args: ['--slow', 'bare=0'], says: 'expected NAME=MBIT' },
    { args: ['--slow', 'nobody=5'], says: 'there is no "nobody"' },
    { args: ['--fast'], says: '--fast' },
    { args: ['word'], says: 'word' },
  ])('$args is refused', ({ args, says }) => {
    const failure = failureOf(() => parseBenchOptions(args));
    expect(failure).toMatchObject({ exit: 'arguments' });
    expect(failure?.message).toContain(says);
  });
});

function failureOf(run: () => unknown): IpipouError | undefined {
  try {
    run();
  } catch (error) {
    return error instanceof IpipouError ? error : undefined;
  }
  return undefined;
}

describe('the progress line', () => {
  const at = { total: 4, round: 2, scene: 'super', contestant: 'bare' };

  test('says where the run is and how long it goes on, and is taken away', () => {
    let clock = 0;
    let printed = '';
    const line = progressLine(
      (text) => (printed += text),
      true,
      () => clock,
    );
    line.show({ ...at, done: 0 });
    expect(printed).toBe('\rbench: 0 %: round 2, super, bare');
    clock = 60_000;
    printed = '';
    line.show({ ...at, done: 1 });
    expect(printed).toBe('\rbench: 25 %, 3 min left: round 2, super, bare');
    printed = '';
    line.end();
    expect(printed).toMatch(/^\r +\r$/);
  });

  test('is a line a turn where there is no terminal', () => {
    let printed = '';
    const line = progressLine((text) => (printed += text), false);
    line.show({ ...at, done: 0 });
    line.end();
    expect(printed).toBe('bench: 0 %: round 2, super, bare\n');
  });
});
