import process from 'node:process';
import { IpipouError } from '../../core/errors.ts';
import type { Command } from '../command.ts';
import { SUMMARIES } from './summaries.ts';

const PLANES = ['auto', 'fou', 'bpf', 'tun'] as const;

export const demoCommand: Command = {
  name: 'demo',
  summary: SUMMARIES.demo,
  usage: `ipipou demo [--plane auto|fou|bpf|tun]

Builds a server, a NAT router and three clients, one of which has IPv6 alone, from network
namespaces, brings a tunnel up from each client to the server, sends pings and some megabytes
through, shows what there is to see, and takes everything down again. Needs root;
nothing of it touches the machine's own network. Exit code 1 when a step fails.`,
  async run(args, context) {
    const plane = readPlane(args);
    if (process.getuid?.() !== 0) {
      throw new IpipouError('generic', 'demo: network namespaces need root', {
        hint: 'run it again as root, e.g. by sudo',
      });
    }
    const { requirePrograms } = await import('../demo/programs.ts');
    await requirePrograms(context.env['PATH'] ?? '');
    const { runDemo } = await import('../demo/demo.ts');
    return runDemo(plane, context);
  },
};

function readPlane(args: readonly string[]): (typeof PLANES)[number] {
  const [flag, value = flag?.slice('--plane='.length), ...rest] = args;
  if (flag === undefined) return 'auto';
  const plane = PLANES.find((name) => name === value);
  if (!/^--plane(=|$)/.test(flag) || plane === undefined || rest.length > 0) {
    const expected = `expected --plane ${PLANES.join('|')}`;
    throw new IpipouError('arguments', `demo: ${expected}`, { hint: 'ipipou help demo' });
  }
  return plane;
}
