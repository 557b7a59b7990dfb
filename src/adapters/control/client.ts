import { createConnection, type Socket } from 'node:net';
import { NoAnswer } from '../../core/errors.ts';
import {
  formatRequest,
  parseObject,
  REQUESTS,
  whyForeignReply,
} from '../../core/management/requests.ts';
import {
  CONTROL_PATIENCE,
  CONTROL_REPLY_MAX,
  type ControlClient,
  type ControlReply,
  type FeedLine,
} from '../../ports/control.ts';
import { readLine } from './first-line.ts';

const replyMax = (): number => CONTROL_REPLY_MAX;

/** The end of who asks: one request a connection. */
export const controlClient: ControlClient = {
  async ask(path, request) {
    const socket = createConnection(path);
    const patience = CONTROL_PATIENCE[REQUESTS[request.request].wait];
    try {
      socket.write(`${formatRequest(request)}\n`);
      return readReply(await readLine(socket, replyMax, patience));
    } catch (error) {
      throw noAnswer(path, error);
    } finally {
      socket.on('error', () => undefined).destroy();
    }
  },
  async *follow(path, signal) {
    const socket = createConnection({ path, signal });
    try {
      socket.write(`${formatRequest({ request: 'events' })}\n`);
      let granted = false;
      for await (const line of linesOf(socket)) {
        if (granted) {
          yield parseObject(line) as FeedLine; // the daemon speaks this version
          continue;
        }
        const reply = readReply(line);
        if (!reply.ok) throw new Error(reply.error);
        granted = true;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw noAnswer(path, error);
    } finally {
      socket.destroy();
    }
  },
};

function noAnswer(path: string, error: unknown): NoAnswer {
  if (error instanceof NoAnswer) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new NoAnswer(`${path}: ${message}`, undefined, error);
}

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

/** An answer of this version is taken by its outline. */
function readReply(line: string): ControlReply {
  const reply = parseObject(line);
  if (reply === undefined || typeof reply['ok'] !== 'boolean') {
    throw new Error('an answer that is none');
  }
  const foreign = whyForeignReply(reply);
  if (foreign !== undefined) return { ok: false, error: foreign };
  return reply as ControlReply;
}
