import { chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { IpipouError, NoAnswer } from '../../core/errors.ts';
import type { Millis } from '../../core/units.ts';
import type {
  ControlClient,
  ControlHandler,
  ControlListener,
  ControlReply,
  ControlRequest,
  EventFeed,
  FeedLine,
  FollowRequest,
  Patience,
} from '../../ports/control.ts';
import {
  CONTROL_PATIENCE,
  CONTROL_REPLY_MAX,
  CONTROL_REQUEST_MAX,
  CONTROL_SIGN_EVERY,
  CONTROL_SYNC_MAX,
  CONTROL_TIMEOUT,
  FOLLOWER_BEHIND_MAX,
  FOLLOWERS_MAX,
} from '../../ports/control.ts';

/** Connections served at one time; only root can make any. */
const CONNECTIONS_MAX = 16;

/** struct sockaddr_un holds 108 bytes with the final zero; Node cuts longer paths silently. */
const SOCKET_PATH_MAX = 107;

/** The control socket: one line of JSON to it, one line back, then it hangs up. */
export const controlListener: ControlListener = {
  async listen(path, handler, feed) {
    if (Buffer.byteLength(path) > SOCKET_PATH_MAX) {
      throw new IpipouError('generic', `control socket path is too long: ${path}`, {
        hint: 'set IPIPOU_RUN_DIR to a shorter path',
      });
    }
    // What lies here is a dead daemon's: the device's lock is ours.
    rmSync(path, { force: true });
    const sockets = new Set<Socket>();
    const followers = feed && new Followers(feed);
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      void serve(socket, handler, followers);
    });
    server.maxConnections = CONNECTIONS_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(
          new IpipouError('generic', `cannot listen at ${path}: ${error.message}`, {
            cause: error,
          }),
        ),
      );
      server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
    server.unref();
    return () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      });
  },
};

async function serve(
  socket: Socket,
  handler: ControlHandler,
  followers: Followers | undefined,
): Promise<void> {
  try {
    const request = parseRequest(await readLine(socket, requestMax, HEARING));
    if (request?.request === 'events' && followers?.take(socket)) return;
    const reply = await working(socket, answer(request, handler));
    socket.end(`${JSON.stringify(reply)}\n`);
  } catch {
    // Too long, too late, or gone: there is nobody to tell.
    socket.destroy();
  }
}

async function answer(
  request: ControlRequest | FollowRequest | undefined,
  handler: ControlHandler,
): Promise<ControlReply> {
  if (request === undefined) return { ok: false, error: 'unknown request' };
  if (request.request !== 'events') return handler(request);
  return { ok: false, error: `${FOLLOWERS_MAX} follow what happens already` };
}

/** Those who are sent what happens. One that reads too slowly misses events, and is told how many. */
class Followers {
  readonly #feed: EventFeed;
  #count = 0;

  constructor(feed: EventFeed) {
    this.#feed = feed;
  }

  /** Whether there was room for one more. */
  take(socket: Socket): boolean {
    if (this.#count >= FOLLOWERS_MAX) return false;
    this.#count += 1;
    // It may be that nothing happens for days.
    socket.setTimeout(0);
    const send = (line: ControlReply | FeedLine): void =>
      void socket.write(`${JSON.stringify(line)}\n`);
    let lost = 0;
    send({ ok: true });
    const stop = this.#feed.follow((told) => {
      if (socket.writableLength > FOLLOWER_BEHIND_MAX) {
        lost += 1;
        return;
      }
      if (lost > 0) send({ lost });
      lost = 0;
      send({ told });
    });
    socket.once('close', () => {
      stop();
      this.#count -= 1;
    });
    return true;
  }
}

/** Tells the other end meanwhile that somebody works on it: a space before JSON means nothing else. */
async function working(socket: Socket, reply: Promise<ControlReply>): Promise<ControlReply> {
  const signs = setInterval(() => socket.write(' '), CONTROL_SIGN_EVERY);
  try {
    return await reply;
  } finally {
    clearInterval(signs);
  }
}

const replyMax = (): number => CONTROL_REPLY_MAX;

/** Only a request that says at once that it brings a file may be as long as one. */
function requestMax(first: Buffer): number {
  return first.toString('latin1').startsWith(SYNC) ? CONTROL_SYNC_MAX : CONTROL_REQUEST_MAX;
}

const SYNC = '{"request":"sync"';

/** The request that a line spells; undefined for anything that no client of this version sends. */
function parseRequest(line: string): ControlRequest | FollowRequest | undefined {
  const value = parseJson(line);
  if (!isObject(value)) return undefined;
  const { request, peer, after, options, source, text } = value;
  switch (request) {
    case 'status':
    case 'reauthenticate':
    case 'reload':
    case 'save':
    case 'events':
      return { request };
    case 'peers':
      if (after === undefined) return { request };
      return typeof after === 'string' ? { request, after } : undefined;
    case 'peer':
    case 'remove-peer':
      return typeof peer === 'string' ? { request, peer } : undefined;
    case 'set-peer':
      if (typeof peer !== 'string' || !Array.isArray(options)) return undefined;
      return options.every(isOption) ? { request, peer, options } : undefined;
    case 'sync':
      if (typeof source !== 'string' || typeof text !== 'string') return undefined;
      return { request, source, text };
    default:
      return undefined;
  }
}

function isOption(value: unknown): value is readonly [string, string] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  return value.every((word) => typeof word === 'string');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

export const controlClient: ControlClient = {
  async ask(path, request) {
    const socket = createConnection(path);
    try {
      socket.write(`${JSON.stringify(request)}\n`);
      const reply = parseJson(await readLine(socket, replyMax, patienceFor(request)));
      if (!isReply(reply)) throw new Error('an answer that is none');
      return reply;
    } catch (error) {
      if (error instanceof NoAnswer) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new NoAnswer(`${path}: ${message}`, undefined, error);
    } finally {
      socket.destroy();
    }
  },
  async *follow(path, signal) {
    const socket = createConnection({ path, signal });
    try {
      socket.write(`${JSON.stringify({ request: 'events' } satisfies FollowRequest)}\n`);
      let granted = false;
      for await (const line of linesOf(socket)) {
        const value = parseJson(line);
        if (!isObject(value)) throw new Error('an answer that is none');
        // What an `ok` does not begin is a refusal, of this version or of one that knows no events.
        if (!granted && value['ok'] !== true) {
          throw new Error(typeof value['error'] === 'string' ? value['error'] : 'refused');
        }
        if (granted) yield value as FeedLine; // the daemon is the same program
        granted = true;
      }
    } catch (error) {
      if (signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      throw new NoAnswer(`${path}: ${message}`, undefined, error);
    } finally {
      socket.destroy();
    }
  },
};

/** The lines of a socket as they come; each is as long as a reply at most. */
async function* linesOf(socket: Socket): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of socket.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > CONTROL_REPLY_MAX) throw new Error(`more than ${CONTROL_REPLY_MAX} bytes`);
    yield* lines;
  }
}

/** The daemon is the same program: its answers are taken by their outline. */
function isReply(value: unknown): value is ControlReply {
  return isObject(value) && 'ok' in value;
}

/** A request comes as fast as the other end can write it. */
const HEARING: Patience = { silence: CONTROL_TIMEOUT, total: CONTROL_PATIENCE.changes.total };

function patienceFor({ request }: ControlRequest): Patience {
  if (request === 'sync' || request === 'reload' || request === 'save')
    return CONTROL_PATIENCE.changes;
  const changes = request === 'set-peer' || request === 'remove-peer';
  return changes ? CONTROL_PATIENCE.change : CONTROL_PATIENCE.question;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The first line; rejects when it is longer than `maxOf` allows one that begins with its first
 * bytes, or, with NoAnswer, when it does not come in time.
 */
function readLine(
  socket: Socket,
  maxOf: (first: Buffer) => number,
  { silence, total }: Patience,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const late = (after: Millis) => () =>
      reject(new NoAnswer(`no answer for ${after / 1000} s`, after));
    socket.setTimeout(silence, late(silence));
    const end = setTimeout(late(total), total);
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(end);
      reject(new Error('closed without an answer'));
    });
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      const max = maxOf(chunks[0] ?? chunk);
      if (size > max) {
        reject(new Error(`more than ${max} bytes`));
        return;
      }
      const end = chunk.indexOf(10);
      if (end < 0) return;
      const text = Buffer.concat(chunks).toString('utf8');
      resolve(text.slice(0, text.indexOf('\n')));
    });
  });
}
