import type { Socket } from 'node:net';
import {
  FOLLOWER_BEHIND_MAX,
  FOLLOWERS_MAX,
  type ControlReply,
  type EventFeed,
  type FeedLine,
} from '../../ports/control.ts';

/** Those who are sent what happens. One that reads too slowly misses events, and is told how many. */
export class Followers {
  readonly #feed: EventFeed;
  readonly #format: (line: ControlReply | FeedLine) => string;
  #count = 0;

  constructor(feed: EventFeed, format: (line: ControlReply | FeedLine) => string) {
    this.#feed = feed;
    this.#format = format;
  }

  /** Whether there was room for one more. It says nothing any more, and hangs up when it has heard enough. */
  take(socket: Socket): boolean {
    if (this.#count >= FOLLOWERS_MAX) return false;
    this.#count += 1;
    const send = (line: ControlReply | FeedLine): void => void socket.write(this.#format(line));
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
    const hangUp = (): void => void socket.destroy();
    socket.once('data', hangUp).once('end', hangUp).resume();
    socket.once('close', () => {
      stop();
      this.#count -= 1;
    });
    return true;
  }
}
