import { describe, expect, test } from 'vitest';
import { demoCommand } from '../../../src/cli/commands/demo.ts';
import { Report, StepFailed } from '../../../src/cli/demo/report.ts';
import { readIperf } from '../../../src/cli/demo/transfer.ts';
import type { CommandContext } from '../../../src/cli/command.ts';

describe('the demo’s report', () => {
  test('a step that succeeds is ticked, with its remark', async () => {
    const { report, text } = collect();
    await report.step('it works', async () => 'in 3 ms');
    await report.step('it works again', async () => undefined);
    expect(text()).toBe('✓ it works: in 3 ms\n✓ it works again\n');
    expect([report.passed, report.failed]).toEqual([2, 0]);
  });

  test('a step that fails is crossed, says why, and ends the demo', async () => {
    const { report, text } = collect();
    const step = report.step('it works', async () => {
      throw new Error('first line\nsecond line\n');
    });
    await expect(step).rejects.toThrow(StepFailed);
    expect(text()).toBe('✗ it works\n    first line\n    second line\n');
    expect([report.passed, report.failed]).toEqual([0, 1]);
  });

  test('a step that is only attempted does not end it', async () => {
    const { report } = collect();
    const failing = async (): Promise<string> => {
      throw new Error('no');
    };
    expect(await report.attempt('it works', failing)).toBe(false);
    expect(report.failed).toBe(1);
  });
});

describe('the demo’s transfer', () => {
  test('iperf3’s JSON tells what arrived', () => {
    const json = '{"start":{},"end":{"sum_received":{"bytes":29800000,"seconds":0.43,"x":1}}}';
    expect(readIperf(json)).toEqual({ bytes: 29_800_000, seconds: 0.43 });
  });

  test.each([
    '{}',
    '{"end":{}}',
    '{"end":{"sum_received":{"bytes":"many","seconds":1}}}',
    'no JSON',
  ])('anything else is refused: %s', (json) => {
    expect(() => readIperf(json)).toThrow(SyntaxError);
  });
});

describe('ipipou demo', () => {
  test.each([['--plane'], ['--plane', 'ipip'], ['--plane=tun', 'more'], ['--planes=tun'], ['tun']])(
    'refuses %s %s',
    async (...args) => {
      const given = args.filter((word) => word !== undefined);
      // The arguments are read before anything of the context.
      const context = {} as CommandContext;
      await expect(demoCommand.run(given, context)).rejects.toThrow(
        'expected --plane auto|fou|bpf|tun',
      );
    },
  );
});

function collect(): { readonly report: Report; readonly text: () => string } {
  const printed: string[] = [];
  return { report: new Report((text) => printed.push(text)), text: () => printed.join('') };
}
