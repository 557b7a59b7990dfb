import { describe, expect, test } from 'vitest';
import { askDaemon, type Hindrance } from '../../../src/app/management/ask-daemon.ts';
import { surveyTunnels } from '../../../src/app/management/survey.ts';
import { NoAnswer } from '../../../src/core/errors.ts';
import type { ControlReply, TunnelStatus } from '../../../src/ports/control.ts';
import type { RunEntry, RunRecord } from '../../../src/ports/run-store.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { resolveConfig } from '../../../src/core/config/resolve.ts';
import type { TunnelConfig } from '../../../src/core/config/tunnel-config.ts';
import { pathTo } from '../app/fakes.ts';

function serverConfig(): TunnelConfig {
  const resolved = resolveConfig({
    commandLine: parseArguments(['--server', '--auth', 'none']),
    files: [],
  });
  if (!('config' in resolved)) throw new Error(resolved.action);
  return resolved.config;
}

/** One run directory, and what asking its daemon gives: a reply, or milliseconds of silence. */
type Case = {
  readonly state?: string | undefined;
  readonly record?: Partial<RunRecord>;
  readonly answer?: ControlReply | number | undefined;
};

function entry(device: string, { state, record }: Case): RunEntry {
  return {
    device,
    record: {
      process: { pid: 7, startTime: '1' },
      config: serverConfig(),
      configPath: '/etc/ipipou/home.conf',
      plane: 'fou',
      planeReason: 'asked for',
      life: 'up',
      log: '/var/log/ipipou/ipipou0.log',
      since: 0 as RunRecord['since'],
      path: pathTo(1),
      journal: undefined,
      ...record,
    },
    state,
    controlPath: device,
  };
}

function world(cases: Readonly<Record<string, Case>>) {
  const entries = Object.entries(cases).map(([device, one]) => entry(device, one));
  const ports = {
    runs: { find: (device: string) => entries.find((one) => one.device === device) },
    control: {
      async ask(path: string): Promise<ControlReply> {
        const answer = cases[path]?.answer;
        if (typeof answer === 'object') return answer;
        throw new NoAnswer('nothing', answer);
      },
    },
    deviceCounters: () => ({ rxBytes: 1, rxPackets: 1, txBytes: 1, txPackets: 1 }),
  };
  return { entries, ports };
}

// Of a status only this is looked at.
const status = { peerCount: 0 } as TunnelStatus;

const CASES: readonly (Case & { readonly daemon: Hindrance | 'refuses'; why: RegExp })[] = [
  { daemon: 'dead', state: undefined, why: /process 7\) is dead/ },
  { daemon: 'stopped', state: 'T', why: /is stopped \(state T\)/ },
  { daemon: 'starting', state: 'S', record: { life: 'starting' }, why: /still starting/ },
  { daemon: 'ending', state: 'S', record: { life: 'ending' }, why: /taking the tunnel down/ },
  { daemon: 'silent', state: 'D', answer: 3000, why: /state D\) has not answered for 3 s/ },
  {
    daemon: 'silent',
    state: 'S',
    // An earlier version wrote it.
    record: { life: undefined as unknown as 'up' },
    why: /state S\) gave no answer/,
  },
  { daemon: 'refuses', state: 'S', answer: { ok: false, error: 'EIO' }, why: /cannot tell: EIO/ },
];

describe('a tunnel whose daemon', () => {
  test.each(CASES)('is $daemon is told of beside those that answer', async (one) => {
    const { entries, ports } = world({
      ipipou0: one,
      ipipou1: { state: 'S', answer: { ok: true, status } },
    });
    expect(await surveyTunnels(entries, ports, () => 0)).toMatchObject([
      { daemon: one.daemon, why: expect.stringMatching(one.why), processState: one.state },
      { daemon: 'answers' },
    ]);
  });

  test.each([
    { daemon: 'dead', plane: 'fou', forwarding: true },
    { daemon: 'dead', plane: 'tun', forwarding: false },
    { daemon: 'stopped', plane: 'bpf', forwarding: true },
    { daemon: 'stopped', plane: 'tun', forwarding: false },
    { daemon: 'silent', plane: 'tun', forwarding: undefined },
    { daemon: 'starting', plane: 'fou', forwarding: undefined },
  ] as const)(
    'is $daemon on $plane forwards: $forwarding',
    async ({ daemon, plane, forwarding }) => {
      const found = CASES.find((one) => one.daemon === daemon);
      const { entries, ports } = world({
        ipipou0: { ...found, record: { ...found?.record, plane } },
      });
      expect(await surveyTunnels(entries, ports, () => 0)).toMatchObject([{ forwarding }]);
    },
  );

  test('is starting refuses changes in words, at once', async () => {
    const { entries, ports } = world({ ipipou0: { state: 'S', record: { life: 'starting' } } });
    const [first] = entries;
    if (first === undefined) throw new Error('no entry');
    await expect(askDaemon(first, ports, { request: 'reload' })).rejects.toMatchObject({
      exit: 'generic',
      message: 'ipipou0: its daemon (process 7) is still starting',
      hint: expect.stringContaining('ipipou show ipipou0'),
    });
  });
});
