import { EXIT } from '../../core/exit-codes.ts';
import type { PlaneFactory, Requirement } from '../../ports/data-plane.ts';
import { readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import type { Fact } from '../machine.ts';
import { printable } from '../print-error.ts';
import { SUMMARIES } from './summaries.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary: SUMMARIES.doctor,
  usage: `ipipou doctor [NAME|FILE|DEVICE] [--json]

For each data plane what it needs, whether that is here, and what to do about it. Changes
nothing and loads no modules. Exit code 0 when at least one data plane works, else 1.

With a name it looks at that tunnel, whether it runs or not: its name, device and route, who has
its port, the rules of this host (nftables, both kinds of iptables, and so those of ufw, firewalld
and Docker), clocks, keys, NAT, MTU, and settings of the kernel. A line a check: ok, warning, wrong,
or unknown where it cannot be told from here; under it the command that mends it. Exit code 0 when
nothing is wrong, ${EXIT.troubled} when there are warnings alone, ${EXIT.generic} when something is wrong, ${EXIT.arguments} when the config
cannot be taken.`,
  endsAtOnce: true,
  async run(args, context) {
    const { flags, names } = readGiven('doctor', args, { flags: ['json'], names: [0, 1] });
    const [word] = names;
    if (word !== undefined) {
      const { examineNamed } = await import('./doctor-tunnel.ts');
      return examineNamed(word, flags.has('json'), context);
    }
    const machine = await context.machine();
    const planes = await Promise.all(machine.planes.map(examine));
    const facts = machine.facts();
    const best = planes.find(({ works }) => works)?.name;
    if (flags.has('json')) {
      context.stdout(`${JSON.stringify({ best, facts, planes }, undefined, 2)}\n`);
    } else {
      context.stdout(facts.map((fact) => formatCheck({ ...fact, fix: undefined })).join(''));
      for (const plane of planes) context.stdout(formatPlane(plane));
      context.stdout(`\n${verdict(best, facts)}\n`);
    }
    return best === undefined ? EXIT.generic : EXIT.ok;
  },
};

function verdict(best: string | undefined, facts: readonly Fact[]): string {
  if (best !== undefined) return `dataplane auto takes ${best}`;
  return facts.every(({ met }) => met)
    ? 'no data plane works here'
    : 'no data plane works for this user: run as root to see which would (sudo ipipou doctor)';
}

type Examined = {
  readonly name: string;
  readonly works: boolean;
  readonly requirements: readonly Requirement[];
};

async function examine(factory: PlaneFactory): Promise<Examined> {
  const requirements = await factory.probe({ load: false, trial: true });
  return { name: factory.name, works: requirements.every(({ met }) => met), requirements };
}

function formatPlane({ name, works, requirements }: Examined): string {
  const title = `\ndata plane ${name}: ${works ? 'works' : 'does not work'}\n`;
  return title + requirements.map(formatCheck).join('');
}

function formatCheck(check: Fact & Pick<Requirement, 'fix'>): string {
  const line = `  ${check.met ? 'ok     ' : 'missing'}  ${check.what}: ${check.detail}`;
  const fix = check.met || check.fix === undefined ? '' : `           fix: ${check.fix}\n`;
  return `${printable(line)}\n${fix}`;
}
