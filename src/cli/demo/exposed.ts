import process from 'node:process';
import { ipBatch } from '../../adapters/lab/namespaces.ts';
import type { Topology } from '../../adapters/lab/topology.ts';
import type { OuterIp } from '../../core/addr.ts';
import { millis } from '../../core/units.ts';
import { StepFailed, type Report } from './report.ts';

/** Somebody on the server's network who has nothing to do with the tunnel: the router's namespace lends it room. */
const VISITOR = '203.0.113.80';
const PORT = 80;

/** What the configs of a server and its client have besides, so that the client's web server is reached. */
export const EXPOSING = { server: [`expose tcp/${PORT}`], client: ['return-path tunnel'] };

const SERVE = `require('node:http').createServer((request, response) => {
  console.log(request.socket.remoteAddress.replace('::ffff:', '') + ' ' + request.method + ' ' + request.url);
  response.end('home');
}).listen(${PORT}, () => console.log('ready'));`;

const VISIT = `const [host, localAddress] = process.argv.slice(1);
require('node:http').get({ host, port: ${PORT}, localAddress, path: '/hello', timeout: 10000 }, (response) =>
  response.on('data', (text) => console.log(String(text))));`;

/** A web server behind NAT that visitors reach at the server's address, by their own. */
export async function showExposed(lab: Topology, server: OuterIp, report: Report): Promise<void> {
  const web = lab.spawn(lab.client(0), [process.execPath, '-e', SERVE]);
  await web.waitFor(/ready/, millis(30_000));
  await ipBatch(lab.router, [`addr add ${VISITOR}/24 dev wan`]);
  await report.step(`${VISITOR} visits http://${server}/hello`, async () => {
    const argv = [process.execPath, '-e', VISIT, server, VISITOR];
    const { stdout, stderr } = await lab.exec(lab.router, argv, { timeout: millis(30_000) });
    if (stdout.trim() !== 'home') throw new StepFailed(stderr || `got ${stdout}`);
    return `client 0 answers “home”`;
  });
  await report.step('the web server knows who came', async () => {
    const line = web.stdout.split('\n').find((text) => text.includes('/hello')) ?? '';
    if (line !== `${VISITOR} GET /hello`) throw new StepFailed(`its log says: ${line}`);
    return `its log says “${line}”`;
  });
  await web.stop();
}
