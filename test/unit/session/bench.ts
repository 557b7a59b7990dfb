import { generateKeyPair, openSessionCrypto } from '../../../src/adapters/crypto.ts';
import {
  familyOf,
  ofFamily,
  type OuterIp,
  type Endpoint,
  type Path,
} from '../../../src/core/addr.ts';
import { decodePublicKey } from '../../../src/core/public-key.ts';
import { schemeOf } from '../../../src/core/auth/schemes.ts';
import { encodeAuth } from '../../../src/core/auth/v1.ts';
import type { AuthConfig, Proof, TimerConfig } from '../../../src/core/config/tunnel-config.ts';
import {
  createSession,
  sessionStatus,
  step,
  type SessionState,
} from '../../../src/core/session/step.ts';
import type {
  SessionConfig,
  SessionCrypto,
  SessionEffect,
  SessionEvent,
  SessionStatus,
} from '../../../src/core/session/types.ts';
import type { EventKind, EventOf, TunnelEvent } from '../../../src/core/events/event.ts';
import { IndexBook } from '../../../src/core/session/index-book.ts';
import { Gate } from '../../../src/core/session/gate.ts';
import { millis, port, seconds, type Millis } from '../../../src/core/units.ts';

export const ip = (text: string): OuterIp => text as OuterIp;
export const endpoint = (address: string, number: number): Endpoint => ({
  ip: ip(address),
  port: port(number),
});

export const SERVER = endpoint('198.51.100.1', 10_000);
export const SERVER6 = endpoint('2001:db8:5::1', 10_000);
export const CLIENT = endpoint('203.0.113.1', 40_000);
/** The client's path as the server sees it. */
export const PATH: Path = { local: SERVER, remote: CLIENT };
export const pathFrom = (address: string, number = 40_000): Path => ({
  local: familyOf(ip(address)) === 'ipv4' ? SERVER : SERVER6,
  remote: endpoint(address, number),
});

export const SECRET = new TextEncoder().encode('topsecret');
const clientKeys = generateKeyPair();
const serverKeys = generateKeyPair();
const common = { kind: 'ed25519', secret: SECRET, maxTimeDiscrepancy: seconds(300) } as const;

export const CLIENT_PROOF: Proof = {
  ...common,
  privateSeed: clientKeys.privateSeed,
  peerPublicKey: decodePublicKey(serverKeys.publicKey),
};
export const SERVER_PROOF: Proof = {
  ...common,
  privateSeed: serverKeys.privateSeed,
  peerPublicKey: decodePublicKey(clientKeys.publicKey),
};

const TIMERS: TimerConfig = {
  authLifetime: seconds(3600),
  keepalive: seconds(0),
  connectionIdle: seconds(120),
  deadPeerTimeout: seconds(30),
};

type Overrides = Partial<Omit<SessionConfig, 'auth' | 'timers'>> & {
  readonly auth?: Partial<AuthConfig>;
  readonly timers?: Partial<TimerConfig>;
};

export function configOf(role: 'server' | 'client', overrides: Overrides = {}): SessionConfig {
  const isServer = role === 'server';
  return {
    role,
    localPort: port(10_000),
    remoteHost: isServer ? undefined : SERVER.ip,
    remotePort: isServer ? undefined : SERVER.port,
    proof: isServer ? SERVER_PROOF : CLIENT_PROOF,
    ipv6Inside: false,
    ...overrides,
    auth: {
      byRemoteIp: false,
      byRemotePort: false,
      packetTtl: undefined,
      replyOnAuthOk: true,
      session: 'v1',
      integrity: 'none',
      ...overrides.auth,
    },
    timers: { ...TIMERS, ...overrides.timers },
  };
}

/** Unix time at which a bench begins, in milliseconds. */
export const BEGIN = 1_795_387_450_000;

const clientCrypto = openSessionCrypto(CLIENT_PROOF);
let salts = 0;

/** An authentic request of the client, `offset` seconds after the beginning; each one is another. */
export function requestAt(offset = 0, crypto: SessionCrypto = clientCrypto): Uint8Array {
  const { sign } = crypto;
  if (!sign) throw new Error('no key');
  salts += 1;
  const salt = Uint8Array.of(0, 0, salts >> 8, salts & 255);
  return encodeAuth(
    { secret: SECRET },
    { unixSeconds: seconds(BEGIN / 1000 + offset), salt },
    sign,
  );
}

/** One as clients make it now: with hint and recipient. */
export function hintedRequest(offset = 0): Uint8Array {
  const payload = schemeOf(CLIENT_PROOF).build(clientCrypto, seconds(BEGIN / 1000 + offset));
  if (!payload) throw new Error('no key');
  return payload;
}

/** A session on its own, its clock in the test's hand. States are frozen: a step must not change them. */
export class Bench {
  readonly config: SessionConfig;
  readonly crypto: SessionCrypto;
  readonly gate = new Gate();
  readonly indexes = new IndexBook<unknown>();
  state: SessionState;
  /** Milliseconds since the beginning. */
  now = 0;
  /** Milliseconds that the unix clock was set ahead since. */
  skew = 0;
  wakeAt: Millis | undefined;
  readonly #told: TunnelEvent[] = [];

  constructor(config: SessionConfig, crypto = openSessionCrypto(config.proof)) {
    this.config = config;
    this.crypto = crypto;
    this.state = createSession(config, this.#instant());
  }

  /** One event; gives back its effects without what it tells. */
  do(event: SessionEvent): readonly SessionEffect[] {
    const { state, effects, wakeAt } = step(
      this.config,
      { crypto: this.crypto, gate: this.gate, indexes: this.indexes },
      deepFreeze(this.state),
      event,
      this.#instant(),
    );
    this.state = state;
    this.wakeAt = wakeAt;
    for (const effect of effects) if (effect.kind === 'event') this.#told.push(effect.event);
    return effects.filter((effect) => effect.kind !== 'event');
  }

  start(memory?: Extract<SessionEvent, { kind: 'start' }>['memory'], adopted?: Path) {
    return this.do({ kind: 'start', memory, adopted });
  }

  /** The host's routes: of each family the local address that they lead from, where there is one. */
  located(...locals: readonly OuterIp[]): readonly SessionEffect[] {
    const addresses = this.state.role === 'client' ? this.state.addresses : [];
    const ways = addresses.map((remote) => ({ remote, local: ofFamily(locals, familyOf(remote)) }));
    return this.do({ kind: 'located', ways });
  }

  packet(path: Path, payload: Uint8Array): readonly SessionEffect[] {
    return this.do({ kind: 'packet', path, payload });
  }

  counters(rx: number, tx: number): readonly SessionEffect[] {
    const counts = { rxPackets: BigInt(rx), txPackets: BigInt(tx) };
    return this.do({ kind: 'counters', counts });
  }

  /** Lets time pass with every wake-up on the way; gives back all effects but what is told, with their times. */
  pass(duration: number): readonly { readonly at: number; readonly effect: SessionEffect }[] {
    const end = this.now + duration;
    const seen: { at: number; effect: SessionEffect }[] = [];
    while (this.wakeAt !== undefined && this.wakeAt <= end) {
      this.now = this.wakeAt;
      for (const effect of this.do({ kind: 'wake' })) seen.push({ at: this.now, effect });
    }
    this.now = end;
    return seen;
  }

  /** Everything of one kind that was told since the beginning. */
  told<Kind extends EventKind>(kind: Kind): readonly EventOf<Kind>[] {
    return this.#told.filter((event): event is EventOf<Kind> => event.kind === kind);
  }

  get status(): SessionStatus {
    return sessionStatus(this.config, this.state, this.#instant());
  }

  #instant() {
    return { monotonic: millis(this.now), unix: millis(BEGIN + this.now + this.skew) };
  }
}

/** A server that has begun. */
export function startedServer(
  ...overrides: Parameters<typeof configOf> extends [unknown, ...infer R] ? R : never
) {
  const bench = new Bench(configOf('server', ...overrides));
  bench.start();
  return bench;
}

/** A server with the client admitted. */
export function servingClient(...overrides: Parameters<typeof startedServer>) {
  const bench = startedServer(...overrides);
  bench.packet(PATH, requestAt());
  return bench;
}

export const kindsOf = (effects: readonly SessionEffect[]): readonly string[] =>
  effects.map((effect) => (effect.kind === 'send' ? effect.purpose : effect.kind));

/** The payload of the only packet among effects. */
export function sentIn(effects: readonly SessionEffect[]): Uint8Array {
  const [sent, ...more] = effects.filter((effect) => effect.kind === 'send');
  if (!sent || more.length > 0) throw new Error(`sent ${sent ? more.length + 1 : 0} packets`);
  return sent.payload;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
