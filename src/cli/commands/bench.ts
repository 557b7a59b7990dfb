import process from 'node:process';
import { IpipouError } from '../../core/errors.ts';
import type { Command } from '../command.ts';
import { SUMMARIES } from './summaries.ts';

export const benchCommand: Command = {
  name: 'bench',
  summary: SUMMARIES.bench,
  usage: `ipipou bench [--rounds N] [--seconds N] [--only NAME,…] [--links NAME,…] [--quick] [--vm]
             [--out FILE] [--json] [--profile] [--slow NAME=MBIT] [--list]
ipipou bench show FILE [--markdown]
ipipou bench compare BEFORE AFTER
ipipou bench charts FILE… --out FOLDER

Builds a client, a NAT router and a server from network namespaces, brings one contestant after the
other up, measures it with iperf3 and ping, takes it down, and repeats all that in rounds. Prints
tables; writes the results to FILE as JSON. What this machine cannot run is listed with the reason.
Needs root; nothing of it touches the machine's own network. Exit code 1 when a turn fails.

  --rounds N      how often everybody has a turn (4)
  --seconds N     of one measurement (1)
  --only NAME,…   these contestants; --list names them
  --links NAME,…  these links: super, frames, gigabit, slow, ipv6, and the sweeps
                  sizes, peers; ipv6 only when it is asked for
  --quick         a short look at everybody, in less than three minutes
  --vm            in a virtual machine with Debian's kernel (in a clone only)
  --profile       also where each one's time goes, by perf
  --slow NAME=M   slows one on purpose, to M Mbit/s: the table must show it

compare tells what changed between two files from noise. charts draws them as SVG; it needs the
library echarts (a development dependency of the project).`,
  async run(args, context) {
    const [first, ...rest] = args;
    const { compareFiles, drawFiles, measure, showFile } = await import('../bench/bench.ts');
    if (first === 'compare') return compareFiles(rest, context);
    if (first === 'charts') return drawFiles(rest, context);
    if (first === 'show') return showFile(rest, context);
    return measure(args, context, requireRoot);
  },
};

function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new IpipouError('generic', 'bench: network namespaces need root', {
    hint: 'run it again as root, e.g. by sudo',
  });
}
