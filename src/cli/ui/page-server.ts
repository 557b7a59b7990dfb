import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { View, Wanted } from '../../app/ui/view.ts';
import { formatEndpoint, type Endpoint } from '../../core/addr.ts';
import { asError } from '../../core/errors.ts';
import { Sessions } from './sessions.ts';

/** A file of the page, in full. */
export type PageFile = { readonly type: string; readonly body: Buffer };

export type PagePorts = {
  /** By their paths; `/` is the page itself. */
  readonly files: ReadonlyMap<string, PageFile>;
  readonly view: (wanted: Wanted) => Promise<View>;
  /** The link that lets one browser in. */
  readonly tellLink: (token: string) => void;
  readonly complain: (words: string) => void;
};

/** Bounds on who asks: a few browsers, each with a few connections. */
const CONNECTIONS_MAX = 32;
const REQUEST_TIMEOUT = 5000;
const HEADERS_MAX = 8192;
const FILTER_MAX = 100;

/** Nothing but what this server itself sends is loaded, run, or asked. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

const PLAIN = 'text/plain; charset=utf-8';

/** Serves the page at a loopback address, on which it is to listen. */
export function createPageServer(place: Endpoint, ports: PagePorts): Server {
  const sessions = new Sessions(`ipipou-${place.port}`, ports.tellLink);
  const hosts = new Set([formatEndpoint(place), `localhost:${place.port}`]);
  const server = createServer({ maxHeaderSize: HEADERS_MAX }, (request, response) => {
    void answer(request, response, hosts, sessions, ports);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.requestTimeout = REQUEST_TIMEOUT;
  server.headersTimeout = REQUEST_TIMEOUT;
  return server;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  hosts: ReadonlySet<string>,
  sessions: Sessions,
  { files, view, complain }: PagePorts,
): Promise<void> {
  const send = (
    status: number,
    type: string,
    body: string | Buffer,
    more: Readonly<Record<string, string>> = {},
  ): void => {
    const length = Buffer.byteLength(body);
    response.writeHead(status, {
      ...{ ...HEADERS, 'content-type': type, 'content-length': length },
      ...more,
    });
    response.end(body);
  };
  if (request.method !== 'GET') {
    send(405, PLAIN, 'GET only\n', { allow: 'GET', connection: 'close' });
    return;
  }
  // A page in a browser may have a name of its own lead to a loopback address.
  if (!hosts.has(request.headers.host ?? '')) {
    send(403, PLAIN, 'not by this name\n');
    return;
  }
  const url = readUrl(request.url);
  if (url === undefined) {
    send(400, PLAIN, 'this is no address\n');
    return;
  }
  const token = url.searchParams.get('token');
  if (url.pathname === '/' && token !== null) {
    const cookie = sessions.exchange(token);
    if (cookie !== undefined) {
      send(303, PLAIN, '', { location: '/', 'set-cookie': cookie });
      return;
    }
  }
  if (!sessions.knows(request.headers.cookie)) {
    send(401, PLAIN, 'open the link that "ipipou ui" has printed; each works once\n');
    return;
  }
  const file = files.get(url.pathname);
  if (file !== undefined) {
    send(200, file.type, file.body);
    return;
  }
  if (url.pathname !== '/view') {
    send(404, PLAIN, 'there is nothing here\n');
    return;
  }
  try {
    send(200, 'application/json', JSON.stringify(await view(readWanted(url.searchParams))));
  } catch (error) {
    complain(asError(error).message);
    send(500, PLAIN, 'the tunnels could not be asked\n');
  }
}

/** Anybody on this host may send anything: undefined for what is no URL, as `//`. */
function readUrl(text = '/'): URL | undefined {
  try {
    return new URL(text, 'http://localhost');
  } catch {
    return undefined;
  }
}

function readWanted(query: URLSearchParams): Wanted {
  const page = Number(query.get('page') ?? 0);
  return {
    device: query.get('device') ?? undefined,
    filter: (query.get('filter') ?? '').slice(0, FILTER_MAX),
    page: Number.isSafeInteger(page) && page >= 0 ? page : 0,
  };
}
