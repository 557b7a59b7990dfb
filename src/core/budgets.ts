/**
 * Every budget and rate limit on one page: what packets of strangers, of peers and of the network itself
 * may cost, with units and why. The session core, the guard, the eBPF programs and the user-space plane
 * read it; nothing has a rate of its own. How a bucket fills is told in core/session/rate-limit.ts.
 *
 * A packet meets two gates. The plane's keeps a flood from filling a queue, a socket's buffer or a
 * processor: it is wide, and knows source, path, length and hint. The session's stands before the dear
 * test, a signature of 170 microseconds: it is narrow, and knows the peer.
 */
import { millis } from './units.ts';

/** `perSecond` tokens a second, saved up to `burst`. */
export type Rate = { readonly perSecond: number; readonly burst: number };

// The session core: what may reach the test of a proof.

/** One source of strangers: an address, of IPv6 its /64 (core/source-key.ts). */
export const SOURCE_RATE: Rate = { perSecond: 5, burst: 10 };
/** All strangers together: 100 signatures are 17 ms of processor time. */
export const OVERALL_RATE: Rate = { perSecond: 100, burst: 100 };
/** A peer's own path, apart from all strangers. */
export const OWN_RATE: Rate = { perSecond: 5, burst: 10 };
/** Sources where a peer was admitted before, for one peer: its NAT may have chosen another port. */
export const KNOWN_RATE: Rate = { perSecond: 5, burst: 10 };
/** Packets from elsewhere that carry the hint of a peer's key, for one peer. */
export const HINTED_RATE: Rate = { perSecond: 5, burst: 10 };
/** All own paths and known addresses of a tunnel together: 2000 signatures are a third of a second of processor time. */
export const OVERALL_OWN_RATE: Rate = { perSecond: 2000, burst: 2000 };
/** All hinted packets from elsewhere together. */
export const OVERALL_HINTED_RATE: Rate = { perSecond: 1000, burst: 1000 };
/** First messages of session 2 that carry a cookie, all together: 500 are a tenth of a second of processor time. */
export const OVERALL_COOKIED_RATE: Rate = { perSecond: 500, burst: 200 };
/** Cookies for first messages while strangers' budget is spent: 14 microseconds each, 56 bytes for 200. */
export const OVERALL_COOKIE_RATE: Rate = { perSecond: 1000, burst: 200 };
/** Words that a session is not known here: 5 microseconds each, 32 bytes for 96 at the least. */
export const OVERALL_RESET_RATE: Rate = { perSecond: 500, burst: 100 };
/** Words to who signed a packet that is refused, for one peer, and for all: a signature each to check. */
export const NOTICE_RATE: Rate = { perSecond: 1, burst: 3 };
export const OVERALL_NOTICE_RATE: Rate = { perSecond: 50, burst: 50 };
/** Times that the operator's command is asked about one peer: a process each. */
export const VERIFY_RATE: Rate = { perSecond: 1, burst: 5 };
/** Sources remembered; the one unseen for longest is forgotten. */
export const SOURCES_MAX = 256;
/** What the network says about our packets (ICMP) that is looked at, for the whole tunnel. */
export const OUTER_ERROR_RATE: Rate = { perSecond: 100, burst: 100 };
/** Of that, what a plane takes in one turn of the event loop, and for how long it hears none when the rate is spent. */
export const ERRORS_PER_TURN = 32;
export const DEAF_TO_ERRORS = millis(1000);

// The guard of the `fou` plane (nftables): what may go to the queue.

/**
 * A queue holds 24 packets by default (`nfq-max-len`). All that unknown sources can put at once (`early`, `known`, `inits`)
 * where peers have budgets of their own is 12, so that there is room for those. The others (`strangers`) have another queue:
 * when the daemon stands still for a third of a second, they fill it.
 */
export const GUARD_LIMITS = {
  /** One admitted path. */
  admitted: { perSecond: 50, burst: 16 },
  /** Admitted paths and hints whose budgets are remembered, and for how long after their last packet, in seconds. */
  paths: { size: 4096, timeout: 10 },
  /** What looks like data from unknown sources: it may have overtaken its authentication packet. */
  early: { perSecond: 10, burst: 4 },
  /** One source with the hint of one peer's key. */
  hintedSource: { perSecond: 5, burst: 5 },
  hintSources: { size: 4096, timeout: 10 },
  /** One hint, whatever the source: four times what one source may send. */
  hinted: { perSecond: 20, burst: 8 },
  /** One source that a peer was admitted at lately, and all of them together. */
  knownSource: { perSecond: 10, burst: 4 },
  known: { perSecond: 100, burst: 4 },
  /** Such sources, and for how long after their last packet by an admitted path, in seconds. */
  knownSources: { size: 4096, timeout: 86_400 },
  /** One unknown source. */
  source: { perSecond: 10, burst: 20 },
  /** Sources remembered at once, and for how long after their last packet, in seconds. */
  sources: { size: 4096, timeout: 10 },
  /** All unknown sources together: as many a second as the session tests (OVERALL_RATE). */
  strangers: { perSecond: 100, burst: 8 },
  /**
   * What looks like a first message of session 2, apart from those: rules cannot tell whom it is meant for. As many as
   * the session answers by cookies (OVERALL_COOKIE_RATE). And what ends a handshake, from where one went to the queue.
   */
  inits: { perSecond: 1000, burst: 4 },
  /**
   * The same where the daemon tests them itself, in a queue of their own (fou/first-queue.ts), at ten to thirty microseconds
   * each: of sources that are not heard, which are from then on, for so many milliseconds, and of those that are, all and
   * each of them. So whoever is answered by a cookie is heard with it. There is room for those that are heard at once.
   */
  tested: { perSecond: 8000, burst: 128 },
  heard: { size: 4096, timeout: 250 },
  testedAgain: { perSecond: 4000, burst: 128 },
  testedSource: { perSecond: 20, burst: 5 },
  testedSources: { size: 16_384, timeout: 1 },
  testedAsked: { size: 65_536, timeout: 4 },
  asked: { perSecond: 1, burst: 4 },
  askedSources: { size: 16_384, timeout: 10 },
} as const;

/**
 * The programs of the `bpf` plane: what goes up to the socket. What looks like data has a budget of its
 * own and cannot use up that of authentication; neither can one source, behind which many peers may be,
 * use up that of all. Requests that name a known key, and sources where a peer was admitted before, have
 * budgets apart from strangers, and are strangers' where those are empty.
 */
export const PROGRAM_RATES = {
  /** What is no data, on one admitted path. */
  peer: { perSecond: 20, burst: 40 },
  strangerData: { perSecond: 20, burst: 8 },
  strangerSource: { perSecond: 50, burst: 100 },
  /** Twice what the session looks at: some of it fails before the dear test. */
  strangerAll: { perSecond: 200, burst: 200 },
  /** One source's requests with the hint of one key: more than a client sends, too few to lock its owner out. */
  hintSource: { perSecond: 1, burst: 5 },
  /** All requests with the hint of one key. */
  hint: { perSecond: 10, burst: 20 },
  /** One source where a peer was admitted before. */
  former: { perSecond: 10, burst: 20 },
  /** All requests with hints, and from such sources, together. */
  knownAll: { perSecond: 2000, burst: 2000 },
  /** ICMP errors about the packets of one peer; about those of nobody who is admitted. */
  errorPeer: { perSecond: 10, burst: 20 },
  errorAll: { perSecond: 100, burst: 100 },
  /** What reaches the socket by no device that has a program: a client on this very host. */
  aside: { perSecond: 50, burst: 100 },
  /**
   * First messages of session 2 whose sender knows the server's public key: as many as the session looks at, so that it does
   * not come to give cookies itself.
   */
  init: OVERALL_RATE,
  /**
   * Of those with a cookie: as many as the session tests (OVERALL_COOKIED_RATE, SOURCE_RATE). Beyond `init` those
   * without get one, at half a microsecond each and what it takes to send it: of a flood of 200 000 a second every fourth, so that
   * whoever is honest has one within a second but for one in thirteen, and answers take 40 Mbit/s of the line. Sources
   * share 16384 places, so nobody whose address is forged gets more than 60 a second of 84 bytes.
   */
  proved: { perSecond: 500, burst: 200 },
  provedSource: SOURCE_RATE,
  cookie: { perSecond: 50_000, burst: 5000 },
  cookieSource: { perSecond: 60, burst: 30 },
  /**
   * What ends a handshake, from where a first message went up a moment ago: a few for each. There is none for all
   * together, since first messages have one.
   */
  asked: { perSecond: 0.2, burst: 4 },
  /**
   * Wrong tags from elsewhere than admitted paths, of all together: at a quarter of a microsecond each, a fortieth of a
   * processor. Beyond, a peer that has moved is not heard by its data, but by what it says.
   */
  tag: { perSecond: 100_000, burst: 10_000 },
} as const satisfies Record<string, Rate>;

/** The `tun` plane: what goes up to the session; the classes are those of its control-gate.ts. */
export const CONTROL_LIMITS = {
  /** One admitted path. */
  peer: { perSecond: 50, burst: 32 },
  /** Data from there under keys that are gone: the session answers as many, and what is said has its own budget. */
  forgotten: { perSecond: 5, burst: 4 },
  /** One source with the hint of one peer's key, and one hint, whatever the source: as in the guard. */
  hintedSource: GUARD_LIMITS.hintedSource,
  hinted: GUARD_LIMITS.hinted,
  /** One source that a peer was admitted at, all of them together, and how many are remembered. */
  knownSource: GUARD_LIMITS.knownSource,
  known: { perSecond: 100, burst: 32 },
  knownSources: { size: 4096 },
  /** First messages of session 2 whose sender knows the server's public key. */
  first: PROGRAM_RATES.init,
  /**
   * The same with a cookie, all and of one source. Beyond `first` those without get one, at some ten microseconds each;
   * and how many sources of first messages that went up are remembered, for so many packets that end a handshake.
   */
  proved: PROGRAM_RATES.proved,
  provedSource: SOURCE_RATE,
  cookie: { perSecond: 10_000, burst: 1000 },
  cookieSource: PROGRAM_RATES.cookieSource,
  asked: { size: 512, packets: 4 },
  /** One unknown source, and all of them together. */
  source: GUARD_LIMITS.source,
  strangers: { perSecond: 200, burst: 64 },
  /** What cannot be an authentication packet; it may be data that has overtaken one. */
  junk: { perSecond: 20, burst: 8 },
  /** How many packets of a class may wait for the session at once. */
  pending: { peer: 64, hinted: 64, known: 32, first: 32, proved: 32, asked: 32, stranger: 32 },
} as const;

/**
 * Strangers' packets a second on the `tun` plane: from how many on the kernel drops most of them, below how
 * many no more, and how many of them it lets through. Of first messages of session 2, where the thread tests them, it lets
 * through more: `start` when a storm begins, and then as many as the thread keeps up with, which is while no more than the
 * part `full` of the socket's buffer waits for it. They are those of a part of all sources, another one every `slice`
 * milliseconds, so that whoever sends some in a row is heard in time, and at once again with the cookie that he gets.
 */
export const STORM = {
  from: 2000,
  until: 1000,
  pass: 500,
  passFirst: { most: 10_000, start: 2000, least: 500, full: 1 / 8 },
  slice: 100,
} as const;

/** ICMP errors to who sends what does not go on by the tunnel, on the `tun` plane (RFC 4443, section 2.4 (f)). */
export const INNER_ERROR_RATE: Rate = { perSecond: 100, burst: 50 };

// Visitors of exposed services (nftables).

/**
 * New connections to one exposed service, where its `rate` says no other. Each takes an entry of the host's
 * conntrack table, for a minute when nobody answers, and a packet of the tunnel.
 */
export const EXPOSED_RATE: Rate = { perSecond: 1000, burst: 1000 };
/** Of that, the part that one visitor (an address, of IPv6 its /64) may have. */
export const VISITOR_SHARE = 1 / 4;
/** Visitors remembered at once in each family, and for how long after their last new connection, in seconds. */
export const VISITORS = { size: 16_384, timeout: 10 } as const;
/**
 * Flows of UDP that were let in, remembered at once in each family (7 MiB when they are that many), and for how long after
 * their last packet, in seconds: longer than conntrack remembers one that nobody answers.
 */
export const FLOWS = { size: 65_536, timeout: 60 } as const;

// Our own zeal.

/** Repairs when something outside keeps changing what is ours; the next one waits its turn. */
export const REPAIR_RATE: Rate = { perSecond: 1, burst: 10 };
/** Looks at the path to a peer because packets to it were too big, on the `tun` plane. */
export const TOO_BIG_RATE: Rate = { perSecond: 1, burst: 1 };
/** Reports of failing system calls to the log. */
export const TROUBLE_RATE: Rate = { perSecond: 1, burst: 5 };
