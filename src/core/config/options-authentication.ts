import {
  CONNECTION_IDLE,
  DAY,
  DEAD_PEER_TIMEOUT,
  KEEPALIVE,
  DEFAULT_SECRET,
  MAX_TIME_DISCREPANCY,
  TEN_YEARS,
  TOKEN_SAFE_BYTES,
} from './limits.ts';
import { flag, valued, type Option } from './option.ts';
import {
  noAuthentication,
  privateKey,
  publicKey,
  keyType,
  oneOf,
  secondsFrom,
  secretText,
  tokenBase64,
  tokenText,
  wholeNumber,
} from './syntax.ts';
import type { Integrity } from '../tag/types.ts';
import type { Proof, SessionChoice } from './tunnel-config.ts';

const keysOf = (proof: Proof) => (proof.kind === 'ed25519' ? proof : undefined);

/** Who the other side must be, and for how long. */
export const AUTHENTICATION_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'auth',
      group: 'authentication',
      role: 'server',
      help: 'Take whoever sends a packet for the client: no authentication at all.',
    },
    noAuthentication,
    'auth',
  ),
  flag(
    {
      name: 'auth-by-remote-ip',
      group: 'authentication',
      peer: 'own',
      role: 'server',
      kept: ({ auth }) => auth.byRemoteIp || undefined,
      help: 'Accept only fou-remote-ip as source address; adds to the other schemes.',
    },
    { byRemoteIp: true },
  ),
  flag(
    {
      name: 'auth-by-remote-port',
      group: 'authentication',
      peer: 'own',
      role: 'server',
      kept: ({ auth }) => auth.byRemotePort || undefined,
      help: 'Accept only fou-remote-port as source port; adds to the other schemes.',
    },
    { byRemotePort: true },
  ),
  valued(
    {
      name: 'auth-token',
      group: 'authentication',
      peer: 'own',
      secret: true,
      kept: ({ proof }) => (proof.kind === 'token' ? proof.token : undefined),
      help: `Authenticate by this token, sent as plain text; best at most ${TOKEN_SAFE_BYTES} bytes.`,
    },
    tokenText,
    'token',
  ),
  valued(
    {
      name: 'auth-token-b64',
      group: 'authentication',
      peer: 'own',
      secret: true,
      help: 'The same, for a token of any bytes.',
    },
    tokenBase64,
    'token',
  ),
  valued(
    {
      name: 'auth-key-b64',
      group: 'authentication',
      peer: 'inherited',
      secret: true,
      kept: ({ proof }) => keysOf(proof)?.privateSeed,
      help: 'Own private key: what a client authenticates with, and a server signs replies with; of a server for session 2, 8 at most.',
    },
    privateKey,
    'privateSeed',
  ),
  valued(
    {
      name: 'auth-remote-pubkey-b64',
      group: 'authentication',
      peer: 'own',
      kept: ({ proof }) => keysOf(proof)?.peerPublicKey,
      help:
        "The other side's public key: whose packets a server accepts, and whose replies a " +
        'client accepts.',
    },
    publicKey,
    'peerPublicKey',
  ),
  valued(
    {
      name: 'auth-key-type',
      group: 'authentication',
      fallback: 'ed25519',
      help: 'Type of the keys.',
    },
    keyType,
    'keyType',
  ),
  valued(
    {
      name: 'auth-secret',
      group: 'authentication',
      peer: 'inherited',
      secret: true,
      fallback: DEFAULT_SECRET,
      kept: ({ proof }) => keysOf(proof)?.secret,
      help: 'Secret that both sides sign along with keys and never send. Choose your own.',
    },
    secretText,
    'secret',
  ),
  flag(
    {
      name: 'auth-keygen',
      group: 'authentication',
      commandLineOnly: true,
      help: 'Print a new private key and its public key, a line each (labelled with -v), and exit.',
    },
    { keygen: true },
  ),
  valued(
    {
      name: 'auth-max-time-discrepancy',
      group: 'authentication',
      peer: 'inherited',
      fallback: `${MAX_TIME_DISCREPANCY}`,
      kept: ({ proof }) => keysOf(proof)?.maxTimeDiscrepancy,
      help:
        'Refuse signed packets whose time is further from the own clock than this; ' +
        '0 = unchecked, for hosts whose clocks are not set.',
    },
    secondsFrom(0, TEN_YEARS),
    'maxTimeDiscrepancy',
  ),
  valued(
    {
      name: 'auth-packet-ttl',
      group: 'authentication',
      peer: 'inherited',
      fallback: "the system's",
      kept: ({ auth }) => auth.packetTtl,
      help: 'TTL of authentication packets and replies.',
    },
    wholeNumber('TTL', 1, 255),
    'packetTtl',
  ),
  flag(
    {
      name: 'reply-on-auth-ok',
      group: 'authentication',
      peer: 'inherited',
      role: 'server',
      kept: ({ auth }) => auth.replyOnAuthOk || undefined,
      help:
        'Answer an authentic packet: signed, with auth-key-b64; else with the same bytes in ' +
        'reverse order.',
    },
    { replyOnAuthOk: true },
  ),
  valued(
    {
      name: 'session',
      group: 'authentication',
      peer: 'inherited',
      fallback: 'auto',
      kept: ({ auth }) => auth.session,
      help:
        'How the two sides agree on a connection. v2: a handshake that proves both, with new keys for ' +
        'every session; v1: signed packets. auto: v2 where auth-key-b64 and auth-remote-pubkey-b64 are ' +
        'given on both sides, else v1.',
    },
    oneOf<SessionChoice>('VERSION', ['auto', 'v1', 'v2']),
    'session',
  ),
  valued(
    {
      name: 'integrity',
      group: 'authentication',
      peer: 'inherited',
      fallback: 'none',
      kept: ({ auth }) => auth.integrity,
      help:
        'What of each packet is proved, at the least, by 16 bytes more in it: header = its first 64 ' +
        'bytes, full = all of it. Needs session v2 and the plane bpf or tun. The stronger wish of the two sides counts.',
    },
    oneOf<Integrity>('LEVEL', ['none', 'header', 'full']),
    'integrity',
  ),
];

export const TIMING_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'auth-lifetime',
      group: 'timing',
      peer: 'inherited',
      role: 'server',
      fallback: '0',
      kept: ({ timers }) => timers.authLifetime,
      help:
        'How long a remembered client may go on without authenticating after its connection ' +
        'expired; 0 = forever.',
    },
    secondsFrom(0, TEN_YEARS),
    'authLifetime',
  ),
  valued(
    {
      name: 'connection-idle',
      group: 'timing',
      peer: 'inherited',
      role: 'server',
      fallback: `${CONNECTION_IDLE}`,
      kept: ({ timers }) => timers.connectionIdle,
      help:
        'Time without a packet from the client after which its connection counts as expired ' +
        'and auth-lifetime starts.',
    },
    secondsFrom(1, DAY),
    'connectionIdle',
  ),
  valued(
    {
      name: 'keepalive',
      group: 'timing',
      peer: 'inherited',
      fallback: `${KEEPALIVE}; on a server 0`,
      kept: ({ timers }) => timers.keepalive,
      help:
        'Client: authenticate again so often, which keeps the mapping of a NAT open. ' +
        'Server: send an empty packet so often. 0 = never.',
    },
    secondsFrom(0, DAY),
    'keepalive',
  ),
  valued(
    {
      name: 'dead-peer-timeout',
      group: 'timing',
      peer: 'inherited',
      role: 'client',
      fallback: `${DEAD_PEER_TIMEOUT}`,
      kept: ({ timers }) => timers.deadPeerTimeout,
      help:
        'Silence of the server, while packets are sent to it, after which it counts as dead: ' +
        'its name is then resolved and it is authenticated to again; 0 = never.',
    },
    secondsFrom(0, DAY),
    'deadPeerTimeout',
  ),
];
