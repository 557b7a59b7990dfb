/** What is legal in a config, and does what it says, but is seldom wise: in words, each with what to do. */
import type { PeerConfig, TunnelConfig } from './tunnel-config.ts';

/** `who`: the peer, or the first of several, undefined for the tunnel; `others`: how many more it is said of. */
export type Advice = {
  readonly who: string | undefined;
  readonly others: number;
  readonly words: string;
  readonly mend: string;
};

type Rule<Subject> = {
  readonly applies: (subject: Subject, config: TunnelConfig) => boolean;
  readonly words: string;
  readonly mend: string;
};

const SECRET_SHORT = 12;
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const OF_TUNNEL: readonly Rule<TunnelConfig>[] = [
  {
    applies: ({ outer }) => outer.udpChecksum === false && outer.family !== 'ipv4',
    words:
      'no-encap-csum: over IPv6 kernels drop packets without a checksum where they were not told to take them, and so do translators (NAT64)',
    mend: 'leave no-encap-csum out, or say fou-family ipv4',
  },
  {
    applies: ({ inner, outer }) =>
      typeof inner.mtu === 'number' && inner.mtu > 1472 && outer.fragments !== true,
    words: 'mtu: more than an Ethernet path takes: large packets are lost where nothing says so',
    mend: 'mtu auto, or leave it out; or outer-fragments on both ends',
  },
  {
    applies: ({ outer }) => outer.fragments === true,
    words:
      'outer-fragments: many firewalls, clouds and carrier NATs drop fragments, and large packets then hang; the other end needs it as well, on fou or tun',
    mend: 'mtu auto without outer-fragments, unless the path is known: ping -s 3000 HOST tells whether it takes fragments',
  },
];

const OF_PEER: readonly Rule<PeerConfig>[] = [
  {
    applies: ({ proof }) => proof.kind === 'token',
    words: 'auth-token: whoever sees a packet of it can send it again from elsewhere',
    mend: 'keys: ipipou keygen',
  },
  {
    applies: ({ proof, auth }, { role }) =>
      role === 'server' && proof.kind === 'none' && !auth.byRemoteIp,
    words: 'no proof: whoever sends a packet is the client',
    mend: 'auth-remote-pubkey-b64, with the public key of the client',
  },
  {
    applies: ({ proof }) => proof.kind === 'ed25519' && textOf(proof.secret).length < SECRET_SHORT,
    words: 'auth-secret: short enough to be guessed',
    mend: 'head -c 24 /dev/urandom | base64 makes one',
  },
  {
    applies: ({ proof }, { role }) =>
      role === 'server' && proof.kind === 'ed25519' && proof.maxTimeDiscrepancy === 0,
    words:
      'auth-max-time-discrepancy 0: a packet that was caught on the way and never arrived stays good for ever',
    mend: 'leave it out (300 seconds), and keep clocks right by NTP',
  },
  {
    applies: ({ timers }, { role }) => role === 'client' && timers.keepalive === 0,
    words:
      'keepalive 0: behind NAT nobody reaches this host any more once it has been silent for a while',
    mend: 'leave it out (25 seconds)',
  },
  {
    applies: ({ proof, auth }, { role }) =>
      role === 'server' &&
      proof.kind === 'ed25519' &&
      !auth.replyOnAuthOk &&
      (proof.privateSeed === undefined || auth.session === 'v1'),
    words:
      'no reply-on-auth-ok: clients cannot tell whether they are known, nor find the size of their path',
    mend: 'reply-on-auth-ok',
  },
  {
    applies: ({ timers, proof }, { role }) =>
      role === 'server' && timers.authLifetime === 0 && proof.kind !== 'none',
    words:
      'auth-lifetime 0: a peer that went away keeps its place for ever; whoever has its address and port next is taken for it',
    mend: 'auth-lifetime 3600',
  },
];

/** All of it, what is about the tunnel first; what is said of many peers is said once. */
export function adviseOn(config: TunnelConfig): readonly Advice[] {
  const ofTunnel = OF_TUNNEL.filter(({ applies }) => applies(config, config)).map(
    ({ words, mend }): Advice => ({ who: undefined, others: 0, words, mend }),
  );
  const ofPeers = OF_PEER.flatMap(({ applies, words, mend }): readonly Advice[] => {
    const them = config.peers.filter((peer) => applies(peer, config));
    const [first] = them;
    return first ? [{ who: first.id, others: them.length - 1, words, mend }] : [];
  });
  return [...ofTunnel, ...ofPeers];
}
