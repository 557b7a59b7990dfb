import type { Socket } from 'node:net';
import { NoAnswer } from '../../core/errors.ts';
import type { Millis } from '../../core/units.ts';
import type { Patience } from '../../ports/control.ts';

/**
 * The first line of a socket, which is paused then: what comes behind it stays with the kernel. Rejects when the line
 * is longer than `maxOf` allows one that begins with its first bytes, or, with NoAnswer, when it does not come in time.
 */
export function readLine(
  socket: Socket,
  maxOf: (first: Buffer) => number,
  { silence, total }: Patience,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const line = new Bytes();
    const late = (after: Millis) => () =>
      settle(() => reject(new NoAnswer(`no answer for ${after / 1000} s`, after)));
    const tooLate = late(silence);
    const end = setTimeout(late(total), total);
    const closed = (): void => settle(() => reject(new Error('closed without an answer')));
    const failed = (error: Error): void => settle(() => reject(error));
    const take = (chunk: Buffer): void => {
      const newline = chunk.indexOf(10);
      line.add(newline < 0 ? chunk : chunk.subarray(0, newline));
      const max = maxOf(line.read());
      if (line.size > max) settle(() => reject(new Error(`more than ${max} bytes`)));
      else if (newline >= 0) settle(() => resolve(line.read().toString('utf8')));
    };
    const settle = (how: () => void): void => {
      clearTimeout(end);
      socket.setTimeout(0, tooLate);
      socket.pause();
      socket.off('data', take).off('close', closed).off('end', closed).off('error', failed);
      how();
    };
    socket.setTimeout(silence, tooLate);
    socket.on('data', take).on('close', closed).on('end', closed).on('error', failed);
  });
}

/** Bytes in the order in which they came; many small pieces take no more room than they are long, or twice that. */
class Bytes {
  #held = Buffer.alloc(0);
  size = 0;

  add(piece: Buffer): void {
    const size = this.size + piece.length;
    if (size > this.#held.length) {
      const wider = Buffer.alloc(Math.max(size, 2 * this.#held.length));
      this.#held.copy(wider);
      this.#held = wider;
    }
    piece.copy(this.#held, this.size);
    this.size = size;
  }

  read(): Buffer {
    return this.#held.subarray(0, this.size);
  }
}
