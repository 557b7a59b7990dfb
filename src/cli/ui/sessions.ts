import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Browsers that may look at one time; the oldest has to ask for a new link. */
const SESSIONS_MAX = 16;
const SECRET_BYTES = 32;

/** Who may look: whoever has had a link, which works once, has a cookie. */
export class Sessions {
  readonly #cookie: string;
  readonly #told: (token: string) => void;
  #token = '';
  #secrets: readonly string[] = [];

  /** `told` is given the token of each new link, the first at once. */
  constructor(cookie: string, told: (token: string) => void) {
    this.#cookie = cookie;
    this.#told = told;
    this.#renew();
  }

  /** What sets the cookie, in exchange for the token; undefined for any other. */
  exchange(token: string): string | undefined {
    if (!same(token, this.#token)) return undefined;
    const secret = randomText();
    this.#secrets = [secret, ...this.#secrets].slice(0, SESSIONS_MAX);
    this.#renew();
    return `${this.#cookie}=${secret}; HttpOnly; SameSite=Strict; Path=/`;
  }

  /** Whether a Cookie header has a secret that was given. */
  knows(header: string | undefined): boolean {
    const start = `${this.#cookie}=`;
    const given = header
      ?.split(';')
      .map((part) => part.trim())
      .find((part) => part.startsWith(start));
    if (given === undefined) return false;
    return this.#secrets.some((secret) => same(given.slice(start.length), secret));
  }

  #renew(): void {
    this.#token = randomText();
    this.#told(this.#token);
  }
}

function randomText(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** In the same time wherever they differ. */
function same(given: string, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}
