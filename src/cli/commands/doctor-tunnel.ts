import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { gatherFacts } from '../../app/doctor/gather.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { examineTunnel } from '../../core/doctor/checks.ts';
import type { Finding, FindingVerdict } from '../../core/doctor/finding.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT, type ExitCode } from '../../core/exit-codes.ts';
import type { CommandContext } from '../command.ts';
import { configPathOf, configReferenceOf } from '../config-path.ts';
import { findRunIfAny } from '../find-run.ts';
import { loadConfig } from '../load-config.ts';
import type { Machine } from '../machine.ts';
import { printable } from '../print-error.ts';

/** Looks at one tunnel, running or not. */
export async function examineNamed(
  word: string,
  json: boolean,
  context: CommandContext,
): Promise<ExitCode> {
  const machine = await context.machine();
  const path = pathOf(word, machine);
  const config = await configAt(path);
  const host = machine.openHost();
  const inspection = machine.openInspection();
  try {
    const others = await otherConfigs(path);
    const findings = examineTunnel(
      await gatherFacts(config, others, { ...machine, host, inspection }),
    );
    const gravest =
      GRAVITY.find((verdict) => findings.some((one) => one.verdict === verdict)) ?? 'ok';
    if (json) {
      const { name, role, inner } = config;
      const told = { name, role, device: inner.device, verdict: gravest, findings };
      context.stdout(`${JSON.stringify(told, undefined, 2)}\n`);
    } else {
      context.stdout(findings.map(format).join(''));
    }
    return EXITS[gravest];
  } finally {
    inspection.close();
    host.close();
  }
}

const GRAVITY = ['wrong', 'warning', 'ok'] as const satisfies readonly FindingVerdict[];
const EXITS = { wrong: EXIT.generic, warning: EXIT.troubled, ok: EXIT.ok } as const;

/** A running tunnel may be named by its device, or have been started from a config elsewhere. */
function pathOf(word: string, { runs }: Machine): string {
  return findRunIfAny(word, runs)?.record.configPath ?? resolve(configPathOf(word));
}

async function configAt(path: string): Promise<TunnelConfig> {
  const { resolved } = await loadConfig(['--config', configReferenceOf(path)]);
  if ('config' in resolved) return resolved.config;
  throw new IpipouError('arguments', `${path} does not describe a tunnel to run`);
}

/** Configs beside a config that are looked at for the other end. */
const OTHERS_MAX = 100;

async function otherConfigs(
  path: string,
): Promise<readonly { readonly path: string; readonly config: TunnelConfig }[]> {
  const folder = dirname(path);
  const names = await readdir(folder).catch((): string[] => []);
  const others = names
    .filter((name) => name.endsWith('.conf'))
    .map((name) => join(folder, name))
    .filter((other) => other !== path)
    .slice(0, OTHERS_MAX);
  const loaded = await Promise.all(
    others.map(async (other) => {
      // What is no config, or another's to read, says nothing of this one.
      const config = await configAt(other).catch(() => undefined);
      return config === undefined ? [] : [{ path: other, config }];
    }),
  );
  return loaded.flat();
}

const MARKS: Readonly<Record<FindingVerdict, string>> = {
  ok: 'ok     ',
  warning: 'warning',
  wrong: 'wrong  ',
  unknown: 'unknown',
};

function format({ check, verdict, words, fix }: Finding): string {
  const line = printable(`${MARKS[verdict]}  ${check}: ${words}`);
  return fix === undefined ? `${line}\n` : `${line}\n           fix: ${printable(fix)}\n`;
}
