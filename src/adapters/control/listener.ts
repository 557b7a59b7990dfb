import { chmodSync, chownSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { IpipouError } from '../../core/errors.ts';
import {
  parseRequest,
  PROTOCOL,
  PROTOCOL_VERSION,
  SYNC_BEGINS,
  type Access,
} from '../../core/management/requests.ts';
import {
  CONTROL_CONNECTIONS_MAX,
  CONTROL_PATIENCE,
  CONTROL_REQUEST_MAX,
  CONTROL_SIGN_EVERY,
  CONTROL_SYNC_MAX,
  CONTROL_TIMEOUT,
  FOLLOWERS_MAX,
  type ControlHandler,
  type ControlListener,
  type ControlPlace,
  type ControlReply,
  type FeedLine,
  type Patience,
} from '../../ports/control.ts';
import { OWNER_STAYS } from '../system/files.ts';
import { readLine } from './first-line.ts';
import { Followers } from './followers.ts';
import { Pace } from './pace.ts';

/** struct sockaddr_un holds 108 bytes with the final zero; Node cuts longer paths silently. */
const SOCKET_PATH_MAX = 107;

/** The daemon's end: one line of JSON to it, one line back, then it hangs up. */
export const controlListener: ControlListener = {
  async listen(place, handler, feed) {
    const { path, group } = place;
    if (Buffer.byteLength(path) > SOCKET_PATH_MAX) {
      throw new IpipouError('generic', `control socket path is too long: ${path}`, {
        hint: 'set IPIPOU_RUN_DIR to a shorter path',
      });
    }
    // What lies here is a dead daemon's: the device's lock is ours.
    rmSync(path, { force: true });
    const desk = new Desk(place, handler, feed && new Followers(feed, formatLine));
    // Who has asked may close its half of the connection, and is answered.
    const server = createServer({ allowHalfOpen: true }, (socket) => desk.meet(socket));
    await listening(server, path);
    if (group !== undefined) chownSync(path, OWNER_STAYS, group);
    chmodSync(path, group === undefined ? 0o600 : 0o660);
    server.unref();
    return () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        desk.close();
      });
  },
};

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new IpipouError('generic', `cannot listen at ${path}: ${error.message}`, { cause: error }),
      ),
    );
    server.listen(path, resolve);
  });
}

/** A request comes as fast as the other end can write it. */
const HEARING: Readonly<Record<Access, Patience>> = {
  root: { silence: CONTROL_TIMEOUT, total: CONTROL_PATIENCE.changes.total },
  read: { silence: CONTROL_TIMEOUT, total: CONTROL_TIMEOUT },
};

/** Serves those who come to one socket, so many at a time. */
class Desk {
  readonly #access: Access;
  readonly #handler: ControlHandler;
  readonly #followers: Followers | undefined;
  /** Root may have all of the daemon's time, others a share of it. */
  readonly #pace: Pace | undefined;
  readonly #all = new Set<Socket>();
  /** Those whose request has not come; who waits longest is the first. */
  readonly #silent = new Set<Socket>();

  constructor({ group }: ControlPlace, handler: ControlHandler, followers: Followers | undefined) {
    this.#access = group === undefined ? 'root' : 'read';
    this.#handler = handler;
    this.#followers = followers;
    this.#pace = group === undefined ? undefined : new Pace();
  }

  meet(socket: Socket): void {
    socket.on('error', () => undefined);
    if (!this.#hasRoom()) {
      socket.destroy();
      return;
    }
    this.#all.add(socket);
    this.#silent.add(socket);
    socket.once('close', () => {
      this.#all.delete(socket);
      this.#silent.delete(socket);
    });
    void this.#serve(socket);
  }

  close(): void {
    for (const socket of this.#all) socket.destroy();
  }

  /** Who comes takes the place of who is there longest without a word. */
  #hasRoom(): boolean {
    if (this.#all.size < CONTROL_CONNECTIONS_MAX) return true;
    const [longest] = this.#silent;
    longest?.destroy();
    if (longest !== undefined) {
      this.#silent.delete(longest);
      this.#all.delete(longest);
    }
    return longest !== undefined;
  }

  async #serve(socket: Socket): Promise<void> {
    try {
      const line = await readLine(socket, this.#requestMax, HEARING[this.#access]);
      this.#silent.delete(socket);
      const reply = await this.#answer(line, socket);
      if (reply === undefined) return;
      // Who does not take its answer is not waited for.
      socket.setTimeout(CONTROL_TIMEOUT, () => socket.destroy());
      socket.end(formatLine(reply), () => socket.destroy());
    } catch {
      // Too long, too late, or gone: there is nobody to tell.
      socket.destroy();
    }
  }

  /** Only a request that says at once that it brings a file may be as long as one. */
  readonly #requestMax = (first: Buffer): number => {
    if (this.#access === 'read') return CONTROL_REQUEST_MAX;
    const begins = first.toString('latin1', 0, SYNC_BEGINS.length);
    return begins === SYNC_BEGINS ? CONTROL_SYNC_MAX : CONTROL_REQUEST_MAX;
  };

  /** Undefined where the socket follows from now on. */
  async #answer(line: string, socket: Socket): Promise<ControlReply | undefined> {
    const request = parseRequest(line, this.#access);
    if ('refused' in request) return { ok: false, error: request.refused };
    const { asked } = request;
    if (asked.request === 'events') {
      if (this.#followers?.take(socket) === true) return undefined;
      return { ok: false, error: `${FOLLOWERS_MAX} follow what happens already` };
    }
    const work = (): Promise<ControlReply> => this.#handler(asked);
    return working(socket, this.#pace ? this.#pace.take(work) : work());
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

/** Replies bear what is spoken here; what a follower is sent comes after one. */
function formatLine(line: ControlReply | FeedLine): string {
  const spoken = 'ok' in line ? { protocol: PROTOCOL, version: PROTOCOL_VERSION, ...line } : line;
  return `${JSON.stringify(spoken)}\n`;
}
