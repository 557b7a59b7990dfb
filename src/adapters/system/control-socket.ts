import { chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { IpipouError } from '../../core/errors.ts';
import type {
  ControlClient,
  ControlHandler,
  ControlListener,
  ControlReply,
  ControlRequest,
} from '../../ports/control.ts';
import { CONTROL_REPLY_MAX, CONTROL_REQUEST_MAX, CONTROL_TIMEOUT } from '../../ports/control.ts';

/** Connections served at one time; only root can make any. */
const CONNECTIONS_MAX = 16;

/** struct sockaddr_un holds 108 bytes with the final zero; Node cuts longer paths silently. */
const SOCKET_PATH_MAX = 107;

/** The control socket: one line of JSON to it, one line back, then it hangs up. */
export const controlListener: ControlListener = {
  async listen(path, handler) {
    if (Buffer.byteLength(path) > SOCKET_PATH_MAX) {
      throw new IpipouError('generic', `control socket path is too long: ${path}`, {
        hint: 'set IPIPOU_RUN_DIR to a shorter path',
      });
    }
    // What lies here is a dead daemon's: the device's lock is ours.
    rmSync(path, { force: true });
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      void serve(socket, handler);
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

async function serve(socket: Socket, handler: ControlHandler): Promise<void> {
  try {
    const request = parseRequest(await readLine(socket, CONTROL_REQUEST_MAX));
    const reply: ControlReply = request
      ? await handler(request)
      : { ok: false, error: 'unknown request' };
    socket.end(`${JSON.stringify(reply)}\n`);
  } catch {
    // Too long, too late, or gone: there is nobody to tell.
    socket.destroy();
  }
}

function parseRequest(line: string): ControlRequest | undefined {
  const value = parseJson(line);
  if (typeof value !== 'object' || value === null || !('request' in value)) return undefined;
  const { request } = value;
  return request === 'status' || request === 'reauthenticate' ? { request } : undefined;
}

export const controlClient: ControlClient = {
  async ask(path, request) {
    const socket = createConnection(path);
    try {
      socket.write(`${JSON.stringify(request)}\n`);
      const reply = parseJson(await readLine(socket, CONTROL_REPLY_MAX));
      if (!isReply(reply)) throw new Error('an answer that is none');
      return reply;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new IpipouError('generic', `${path}: ${message}`, { cause: error });
    } finally {
      socket.destroy();
    }
  },
};

/** The daemon is the same program: its answers are taken by their outline. */
function isReply(value: unknown): value is ControlReply {
  return typeof value === 'object' && value !== null && 'ok' in value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The first line; rejects when it is longer than `max` bytes, late, or never comes. */
function readLine(socket: Socket, max: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    socket.setTimeout(CONTROL_TIMEOUT, () => reject(new Error('no answer in time')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > max) reject(new Error(`more than ${max} bytes`));
      else chunks.push(chunk);
      const end = chunk.indexOf(10);
      if (end < 0) return;
      const text = Buffer.concat(chunks).toString('utf8');
      resolve(text.slice(0, text.indexOf('\n')));
    });
  });
}
