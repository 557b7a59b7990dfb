import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { chmodSync, rmSync, statSync } from 'node:fs';
import {
  CONTENT_TYPE,
  formatFor,
  formatMetrics,
  type Format,
} from '../../app/management/metrics/text.ts';
import { surveyTunnels } from '../../app/management/survey.ts';
import { formatEndpoint, type Endpoint } from '../../core/addr.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { misuse, readGiven } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { readLoopback } from '../loopback.ts';
import { versionLine } from '../version.ts';
import { aborted } from '../waiting.ts';
import { SUMMARIES } from './summaries.ts';

export const metricsCommand: Command = {
  name: 'metrics',
  summary: SUMMARIES.metrics,
  usage: `ipipou metrics [--no-peers] [--openmetrics]
ipipou metrics --listen ADDRESS:PORT|PATH [--no-peers]

Prints all metrics once (for node_exporter's textfile collector), or serves them at /metrics, on a
loopback address (127.0.0.1:9586, [::1]:9586) or a UNIX socket, until interrupted. --no-peers leaves
out what is of single peers. docs/METRICS.md lists them, with a dashboard and rules for alerts.`,
  async run(args, context) {
    const shape = {
      ...{ flags: ['no-peers', 'openmetrics'], valued: { listen: 'an address or a path' } },
      names: [0, 0] as const,
    };
    const { flags, values } = readGiven('metrics', args, shape);
    const perPeer = !flags.has('no-peers');
    const where = values.get('listen');
    if (where !== undefined) {
      await serve(readPlace(where), perPeer, context);
      return EXIT.ok;
    }
    const format = flags.has('openmetrics') ? 'openmetrics' : 'prometheus';
    context.stdout(await tellMetrics(format, perPeer, context));
    return EXIT.ok;
  },
};

async function tellMetrics(
  format: Format,
  perPeer: boolean,
  context: CommandContext,
): Promise<string> {
  const daemons = await context.daemons();
  const most = perPeer ? Infinity : 0;
  const tunnels = await surveyTunnels(daemons.runs.list(), daemons, () => most);
  const version = versionLine()
    .replace(/^ipipou /, '')
    .trim();
  return formatMetrics({ version, tunnels }, { format, perPeer });
}

/** A loopback endpoint, or the absolute path of a UNIX socket. */
type Place = Endpoint | string;

function readPlace(text: string): Place {
  if (text.startsWith('/')) return text;
  const endpoint = readLoopback(text);
  if (endpoint !== undefined) return endpoint;
  throw misuse(
    'metrics',
    `--listen takes a loopback address and a port, as in 127.0.0.1:9586 or [::1]:9586, or the path of a socket: not ${JSON.stringify(text)}`,
  );
}

/** Bounds on who asks: a scraper comes alone, now and then. */
const CONNECTIONS_MAX = 16;
const REQUEST_TIMEOUT = 5000;

async function serve(place: Place, perPeer: boolean, context: CommandContext): Promise<void> {
  const server = createServer((request, response) => {
    void answer(request, response, perPeer, context);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.requestTimeout = REQUEST_TIMEOUT;
  server.headersTimeout = REQUEST_TIMEOUT;
  const name = typeof place === 'string' ? place : formatEndpoint(place);
  if (typeof place === 'string') removeSocket(place);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new IpipouError('generic', `cannot listen at ${name}: ${error.message}`)),
    );
    if (typeof place === 'string') server.listen(place, resolve);
    else server.listen(place.port, place.ip, resolve);
  });
  if (typeof place === 'string') chmodSync(place, 0o660);
  context.stderr(`metrics at ${typeof place === 'string' ? name : `http://${name}/metrics`}\n`);
  await aborted(context.signal);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** What a run before left; anything else is not ours to remove. */
function removeSocket(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() === true) rmSync(path);
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  perPeer: boolean,
  context: CommandContext,
): Promise<void> {
  const reply = (status: number, type: string, body: string): void => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const plain = 'text/plain; charset=utf-8';
  if (request.method !== 'GET' && request.method !== 'HEAD') return reply(405, plain, 'GET only\n');
  // A page in a browser may have a name of its own lead to a loopback address.
  if (!isOwnHost(request.headers.host)) return reply(403, plain, 'not by this name\n');
  if (request.url !== '/metrics') return reply(404, plain, 'see /metrics\n');
  try {
    const format = formatFor(request.headers.accept);
    reply(200, CONTENT_TYPE[format], await tellMetrics(format, perPeer, context));
  } catch (error) {
    context.stderr(`cannot tell: ${error instanceof Error ? error.message : String(error)}\n`);
    reply(500, plain, 'the tunnels could not be asked\n');
  }
}

function isOwnHost(host: string | undefined): boolean {
  return /^(?:localhost|127(?:\.[0-9]+){3}|\[::1\])(?::[0-9]+)?$/.test(host ?? 'localhost');
}
