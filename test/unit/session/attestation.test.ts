import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ATTEST_EVERY,
  judgeStatement,
  type Counting,
  type Judgement,
  type Ledger,
  type Total,
} from '../../../src/core/session/attestation.ts';
import { millis } from '../../../src/core/units.ts';

/** A stretch of traffic: one epoch long. */
type Epoch = {
  /** Packets a second, most in one burst or all over it. */
  readonly rate: number;
  readonly burst: boolean;
  /** Of a thousand. */
  readonly loss: number;
  readonly injected: number;
  /** Milliseconds that statement is under way; undefined: it is lost. */
  readonly statementDelay: number | undefined;
};

type Scene = { readonly epochs: readonly Epoch[]; readonly seed: number; readonly delay: number };

const SIZE = 1000;

/** A sequence that looks random. */
function drawer(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

type Step =
  | { readonly at: number; readonly kind: 'arrival' }
  | {
      readonly at: number;
      readonly kind: 'statement';
      readonly epoch: number;
      readonly sent: number;
    };

/** What arrives, in that order. Each packet takes between `delay` and twice that, so that they overtake each other. */
function arrivals({ epochs, seed, delay }: Scene): readonly Step[] {
  const draw = drawer(seed);
  const steps: Step[] = [];
  let sent = 0;
  for (const [number, epoch] of epochs.entries()) {
    const begin = number * ATTEST_EVERY;
    const length = epoch.burst ? 200 : ATTEST_EVERY;
    const late = epoch.burst ? draw() * (ATTEST_EVERY - length) : 0;
    for (let packet = 0; packet < epoch.rate * 10; packet += 1) {
      sent += 1;
      if (draw() * 1000 < epoch.loss) continue;
      steps.push({ kind: 'arrival', at: begin + late + draw() * length + delay * (1 + draw()) });
    }
    for (let packet = 0; packet < epoch.injected; packet += 1) {
      steps.push({ kind: 'arrival', at: begin + draw() * ATTEST_EVERY });
    }
    if (epoch.statementDelay === undefined) continue;
    const at = begin + ATTEST_EVERY + epoch.statementDelay;
    steps.push({ kind: 'statement', at, epoch: number + 1, sent });
  }
  return steps.toSorted((a, b) => a.at - b.at);
}

const total = (packets: number, size = SIZE): Total => ({ packets, bytes: packets * size });

/** What is said of a scene, statement by statement. */
function judgements(scene: Scene, counting: Counting = 'exact'): readonly Judgement[] {
  let ledger: Ledger | undefined;
  let received = 0;
  let newest = 0;
  const said: Judgement[] = [];
  for (const step of arrivals(scene)) {
    if (step.kind === 'arrival') {
      received += 1;
      continue;
    }
    if (step.epoch < newest) continue;
    newest = step.epoch;
    const sent = { ...total(step.sent), epoch: step.epoch };
    const judgement = judgeStatement(ledger, sent, total(received), {
      ...{ now: millis(step.at), counting },
    });
    ledger = structuredClone(judgement.ledger);
    said.push(judgement);
  }
  return said;
}

const alarms = (said: readonly Judgement[]) => said.filter(({ injected }) => injected);
const even = (rate: number, over: Partial<Epoch> = {}): Epoch => ({
  ...{ rate, burst: false, loss: 0, injected: 0, statementDelay: 50, ...over },
});
const times = (count: number, epoch: Epoch): readonly Epoch[] =>
  Array.from({ length: count }, () => epoch);
const scene = (epochs: readonly Epoch[], over: Partial<Scene> = {}): Scene => ({
  ...{ epochs, seed: 1, delay: 100, ...over },
});

const honest = fc.record({
  rate: fc.constantFrom(0, 1, 10, 100),
  burst: fc.boolean(),
  loss: fc.constantFrom(0, 0, 1, 20, 300, 1000),
  injected: fc.constant(0),
  statementDelay: fc.option(fc.integer({ min: 0, max: 3000 }), { nil: undefined, freq: 5 }),
});
const someScene = fc.record({
  epochs: fc.array(honest, { minLength: 3, maxLength: 100 }),
  seed: fc.nat(),
  delay: fc.integer({ min: 0, max: 2000 }),
});

describe('judging what was sent by what came', () => {
  it('never alarms where nobody injects, whatever is lost, late or overtaken', () => {
    fc.assert(
      fc.property(someScene, (scene) => {
        expect(alarms(judgements(scene))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('alarms two statements after an injection into a tunnel that is still, once, and says how much', () => {
    const epochs = [...times(5, even(0)), even(0, { injected: 50 }), ...times(5, even(0))];
    const said = judgements(scene(epochs));
    expect(said.map(({ injected }) => injected?.packets)).toEqual([
      ...[undefined, undefined, undefined, undefined, undefined, undefined],
      ...[50, undefined, undefined, undefined, undefined],
    ]);
  });

  it('alarms where more is injected than two epochs carry, and what was lost before hides nothing', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(1, 10, 50), (seed, rate) => {
        const epochs = [
          ...times(10, even(rate, { loss: 500 })),
          ...times(3, even(rate)),
          even(rate, { injected: rate * 25 + 20 }),
          ...times(3, even(rate)),
        ];
        expect(alarms(judgements(scene(epochs, { seed })))).toHaveLength(1);
      }),
      { numRuns: 30 },
    );
  });

  it('alarms where little is injected for long, whenever that begins', () => {
    for (let quiet = 3; quiet < 70; quiet += 1) {
      const epochs = [...times(quiet, even(20)), ...times(30, even(20, { injected: 20 }))];
      const first = judgements(scene(epochs)).findIndex(({ injected }) => injected);
      expect(first, `after ${quiet}`).toBeGreaterThan(quiet);
      expect(first, `after ${quiet}`).toBeLessThan(quiet + 26);
    }
  });

  it('allows for doubled packets of the last statements only', () => {
    const epochs = [...times(10, even(800)), ...times(70, even(0)), even(0, { injected: 20 })];
    expect(alarms(judgements(scene([...epochs, ...times(3, even(0))])))).toHaveLength(1);
  });

  it('takes a packet in a thousand that comes twice for no injection', () => {
    const epochs = times(100, even(100, { injected: 1 }));
    expect(alarms(judgements(scene(epochs)))).toEqual([]);
  });

  it('shows what was lost, and what is under way for no longer than it is', () => {
    const said = judgements(scene([...times(20, even(100, { loss: 100 })), ...times(3, even(0))]));
    const { lost } = said.at(-1) ?? {};
    expect((lost?.packets ?? 0) / 19_000).toBeCloseTo(0.1, 1);
    expect(judgements(scene(times(9, even(0)))).at(-1)?.lost).toEqual(total(0));
  });

  it('begins anew where the counters of either side do', () => {
    const at = (now: number) => ({ now: millis(now), counting: 'exact' }) as const;
    const first = judgeStatement(undefined, { epoch: 1, ...total(100) }, total(100), at(0));
    const second = judgeStatement(first.ledger, { epoch: 2, ...total(200) }, total(200), at(1e4));
    expect(second.lost).toEqual(total(0));
    for (const [sent, received] of [
      [5, 300],
      [300, 5],
    ] as const) {
      const anew = judgeStatement(
        second.ledger,
        { epoch: 3, ...total(sent) },
        total(received),
        at(2e4),
      );
      expect(anew).toEqual({ ledger: anew.ledger });
      const next = { epoch: 4, ...total(sent + 10) };
      const after = judgeStatement(anew.ledger, next, total(received + 10), at(3e4));
      expect(after.injected).toBeUndefined();
      expect(after.lost).toEqual(total(0));
    }
  });

  it('leaves a statement out that comes close behind the one before', () => {
    const at = (now: number) => ({ now: millis(now), counting: 'exact' }) as const;
    const first = judgeStatement(undefined, { epoch: 1, ...total(0) }, total(0), at(0));
    const held = judgeStatement(first.ledger, { epoch: 2, ...total(0) }, total(900), at(4999));
    expect(held).toEqual({ ledger: first.ledger });
  });

  it('compares bytes alone, and generously, where packets are counted in bundles', () => {
    const epochs = [...times(5, even(100)), ...times(30, even(100, { injected: 100 }))];
    expect(alarms(judgements(scene(epochs), 'merged'))).toEqual([]);
    expect(alarms(judgements(scene(epochs), 'exact'))).not.toEqual([]);
    const many = [...times(5, even(0)), even(0, { injected: 50 }), ...times(5, even(0))];
    expect(alarms(judgements(scene(many), 'merged'))).toHaveLength(1);
  });
});

it('warns as the example of docs/PROTOCOL.md does', () => {
  const page = readFileSync(new URL('../../../docs/PROTOCOL.md', import.meta.url), 'utf8');
  const [, example = ''] =
    /<!-- attestation: an example -->([^]*)<!-- end of the example -->/.exec(page) ?? [];
  const rows = [
    ...example.matchAll(/^\| (\d+) +\| (\d+) +\| (\d+) +\| (−?\d*) +\| (yes|no) +\|$/gm),
  ];
  expect(rows).toHaveLength(6);
  let ledger: Ledger | undefined;
  for (const [index, [, epoch, sent, received, over = '', warns]] of rows.entries()) {
    const told = { epoch: Number(epoch), ...total(Number(sent), 100) };
    const came = total(Number(received), 100);
    const judged = judgeStatement(ledger, told, came, {
      now: millis(index * ATTEST_EVERY),
      counting: 'exact',
    });
    ({ ledger } = judged);
    expect(judged.injected !== undefined, `epoch ${epoch}`).toBe(warns === 'yes');
    if (judged.injected) expect(judged.injected).toEqual(total(Number(over), 100));
  }
});
