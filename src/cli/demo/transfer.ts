import { ProgramError, run } from '../../adapters/lab/process.ts';
import type { Topology } from '../../adapters/lab/topology.ts';
import type { InnerIp } from '../../core/addr.ts';
import { millis } from '../../core/units.ts';

/** What went through, as the receiver counted it. */
export type Transfer = { readonly bytes: number; readonly seconds: number };

const PORT = 5201;
const TIMEOUT = millis(60_000);

type Ends = { readonly from: string; readonly to: string; readonly address: InnerIp };

/** Sends bytes by TCP from one namespace to an address in another; by iperf3 where that is installed. */
export async function transfer(lab: Topology, ends: Ends, bytes: number): Promise<Transfer> {
  const hasIperf = await run(['iperf3', '--version']).then(
    ({ code }) => code === 0,
    () => false,
  );
  return hasIperf ? byIperf(lab, ends, bytes) : byNode(lab, ends, bytes);
}

async function byIperf(lab: Topology, ends: Ends, bytes: number): Promise<Transfer> {
  const once = ['iperf3', '-s', '-1', '--forceflush', '-B', ends.address, '-p', String(PORT)];
  await using receiver = lab.spawn(ends.to, once);
  await receiver.waitFor(/listening/, TIMEOUT);
  const to = ['-c', ends.address, '-p', String(PORT)];
  const argv = ['iperf3', ...to, '-n', String(bytes), '-J'];
  const sent = await lab.exec(ends.from, argv, { timeout: TIMEOUT });
  if (sent.code !== 0) throw new ProgramError(argv, `exit code ${sent.code}`, sent.stdout);
  return readIperf(sent.stdout);
}

/** `end.sum_received` of iperf3's JSON; throws SyntaxError for anything else. */
export function readIperf(json: string): Transfer {
  // Every level may be missing: that is what the type says.
  const report = JSON.parse(json) as {
    end?: { sum_received?: { bytes?: unknown; seconds?: unknown } };
  };
  const { bytes, seconds } = report.end?.sum_received ?? {};
  if (typeof bytes !== 'number' || typeof seconds !== 'number') {
    throw new SyntaxError('iperf3 reported no sum_received');
  }
  return { bytes, seconds };
}

/** Says `ready`, takes one connection, and prints the number of bytes that came. */
const RECEIVE = `
  const [port, address] = process.argv.slice(1);
  const server = require('node:net').createServer((socket) => {
    let bytes = 0;
    socket.on('data', (chunk) => { bytes += chunk.length; });
    socket.on('end', () => { console.log('bytes ' + bytes); server.close(); socket.end(); });
  });
  server.listen(+port, address, () => console.log('ready'));`;

const SEND = `
  const [port, address, bytes] = process.argv.slice(1);
  const socket = require('node:net').connect(+port, address, () => socket.end(Buffer.alloc(+bytes)));
  socket.resume();`;

async function byNode(lab: Topology, ends: Ends, bytes: number): Promise<Transfer> {
  const node = (script: string, ...args: readonly string[]): readonly string[] => [
    ...[process.execPath, '-e', script, '--'],
    ...[String(PORT), ends.address, ...args],
  ];
  await using receiver = lab.spawn(ends.to, node(RECEIVE));
  await receiver.waitFor(/ready/, TIMEOUT);
  const begin = performance.now();
  await lab.exec(ends.from, node(SEND, String(bytes)), { timeout: TIMEOUT });
  await receiver.waitFor(/bytes/, TIMEOUT);
  const received = Number(/bytes ([0-9]+)/.exec(receiver.stdout)?.[1] ?? 0);
  return { bytes: received, seconds: (performance.now() - begin) / 1000 };
}
