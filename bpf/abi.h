/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs and user space agree on: maps, their keys and values, flags and names.
 * src/adapters/planes/bpf/abi.ts says the same; a unit test reads this file and compares.
 *
 * Only fixed-width fields, every hole named. `__be` fields are in network order, all others in the
 * machine's own. Any change of this file that an older program or daemon would misread takes a new
 * IPIPOU_ABI_VERSION. A daemon loads programs and maps of its own, and takes over from running ones who is
 * admitted and what was counted: the maps `peers`, `paths` and `counters` are the same since version 1, but
 * that version 3 may say of a peer that it is in the map `ends6`, which comes with `paths6`, and version 4 that
 * it has tags. From version 4 on the maps `tags_in` and `tags_out` themselves go on: what was sent under a key, and
 * what has come, is counted in one place for all programs.
 *
 * Whatever is about addresses of IPv6 has maps of its own: what is IPv4 alone finds its own as before.
 */
#ifndef IPIPOU_ABI_H
#define IPIPOU_ABI_H

#include <linux/types.h>

#define IPIPOU_ABI_VERSION 4

/* config.flags */
#define IPIPOU_UDP_CHECKSUM 1    /* send with a UDP checksum over IPv4; else it is 0 */
#define IPIPOU_HAS_HOSTS 4       /* the map hosts has entries */
#define IPIPOU_HAS_PREFIXES 8    /* the map prefixes has entries */
#define IPIPOU_STRANGERS 16      /* packets of unknown sources go up, within budgets (a server) */
#define IPIPOU_HAS_HOSTS6 32     /* the map hosts6 has entries */
#define IPIPOU_HAS_PREFIXES6 64  /* the map prefixes6 has entries */
#define IPIPOU_UDP_CHECKSUM6 128 /* send with a UDP checksum over IPv6; else it is 0 (RFC 6935) */
#define IPIPOU_OUTSIDE4 256      /* the port is ours over IPv4 */
#define IPIPOU_OUTSIDE6 512      /* and over IPv6 */
#define IPIPOU_INSIDE4 1024      /* the tunnel carries IPv4 */
#define IPIPOU_INSIDE6 2048      /* and IPv6 */
#define IPIPOU_TAGS 4096         /* there is room for tags: what looks tagged is looked up */
#define IPIPOU_MAC1 8192         /* first messages of session 2 are tested under mac1_key */

/* peer.flags */
#define IPIPOU_PEER_ADMITTED 1   /* without it the slot is empty */
#define IPIPOU_PEER_ANY_SOURCE 2 /* whatever inner source address it sends is taken */

/* The least that a path must take for IPv6 to be sent over it (RFC 8200, section 5). */
#define IPIPOU_IPV6_MIN_MTU 1280

/* No such peer. */
#define IPIPOU_NO_PEER 0xffffffff

/* Bytes of config.auth_lengths: one bit for each payload length up to 1535. */
#define IPIPOU_AUTH_BYTES 192

/* Bounds of the maps that do not grow with the number of peers. */
#define IPIPOU_MAX_SOURCES 4096
#define IPIPOU_MAX_FORMERS 4096

/* The field of a request that has the hint of a key: where it is in the payload, and its type (core/auth/v1.ts). */
#define IPIPOU_HINT_AT 73
#define IPIPOU_HINT_TYPE 1

/* Before a tagged inner packet: type, index of the session, counter, tag (core/tag/layout.ts). */
#define IPIPOU_TAG_LENGTH 16
#define IPIPOU_TAG_HEADER 17 /* first byte: the tag is over the first 64 bytes */
#define IPIPOU_TAG_FULL 18   /* or over all */
#define IPIPOU_TAG_MAX 1536  /* bytes of the longest inner packet */
#define IPIPOU_TAG_WORDS 386 /* of NH, in a key */

/* Counters of 32 to a word, one word more than 2048 counters fill, since the newest may begin one. */
#define IPIPOU_WINDOW_COUNTERS 2048
#define IPIPOU_WINDOW_WORDS 65

/* The first message of session 2, and where in it its mac1 is. */
#define IPIPOU_INIT_LENGTH 200
#define IPIPOU_MAC1_AT 168
/* What ends a handshake, and all that is said in a session. */
#define IPIPOU_CONTROL_LENGTH 96

/* Key of the map `sources`, `about`: where first messages went up from, and with a cookie. */
#define IPIPOU_ABOUT_ASKED 0xffffffff
#define IPIPOU_ABOUT_PROVED 0xfffffffe

/* Entries of the map `places`. */
#define IPIPOU_COOKIE_PLACES 16384

/* skb->tc_index of what a program on a device lets go up to the socket. */
#define IPIPOU_PASSED 26993

/*
 * Indexes of the map `reasons`: why a packet was refused. What went up to the port's socket is
 * counted in the last.
 */
#define IPIPOU_REASON_FOREIGN_SOURCE 0   /* in: inner source is not of the peer that sent it */
#define IPIPOU_REASON_MALFORMED 1        /* in: from a peer, neither a packet nor authentication */
#define IPIPOU_REASON_CONGESTION 2       /* in: congestion mark on what cannot carry it (RFC 6040) */
#define IPIPOU_REASON_PEER_BUDGET 3      /* in: authentication packets of a peer beyond its budget */
#define IPIPOU_REASON_STRANGER_LENGTH 4  /* in: stranger, neither a packet nor authentication */
#define IPIPOU_REASON_STRANGER_DATA 5    /* in: a stranger's packets beyond the budget for such */
#define IPIPOU_REASON_STRANGER_SOURCE 6  /* in: a source beyond its budget */
#define IPIPOU_REASON_STRANGER_ALL 7     /* in: all strangers together beyond theirs */
#define IPIPOU_REASON_STRANGER_CLOSED 8  /* in: strangers are not heard at all (a client) */
#define IPIPOU_REASON_NO_ROOM 9          /* both: the kernel could not resize the packet */
#define IPIPOU_REASON_NOT_IPV4 10        /* out: no IPv4 packet */
#define IPIPOU_REASON_NO_PEER 11         /* out: no peer has this destination */
#define IPIPOU_REASON_TOO_BIG 12         /* out: larger than the peer's inner MTU */
#define IPIPOU_REASON_OUTER_ERROR 13     /* in: ICMP errors about packets of ours beyond their budget */
#define IPIPOU_REASON_ASIDE 14           /* in: to the socket by no device that has a program, beyond theirs */
#define IPIPOU_REASON_UNUSUAL 15         /* in: over IPv6, in fragments, with extension headers, from no host */
#define IPIPOU_REASON_NO_IPV6 16         /* out: IPv6 to a peer whose path takes less than IPv6 asks for */
#define IPIPOU_REASON_NOT_IPV6 17        /* out: no IPv6 packet, where the tunnel carries it */
#define IPIPOU_REASON_UNTAGGED 18        /* in: data without a tag, of a peer whose packets carry them */
#define IPIPOU_REASON_UNKNOWN_SESSION 19 /* in: tagged, of no session that is known */
#define IPIPOU_REASON_LEVEL 20           /* in: tagged at another level than was agreed on */
#define IPIPOU_REASON_BAD_TAG 21         /* in: the tag is wrong */
#define IPIPOU_REASON_REPLAYED 22        /* in: it has come before, or is too old for that to be known */
#define IPIPOU_REASON_STRANGER_TAG 23    /* in: tagged, from elsewhere, when many such were wrong */
#define IPIPOU_REASON_MAC1 24            /* in: a first message of session 2 that is not meant for us */
#define IPIPOU_REASON_EXHAUSTED 25       /* out: no counter is left under the key */
#define IPIPOU_REASON_COOKIE 26          /* in: a first message of session 2, answered by a cookie */
#define IPIPOU_REASON_PASSED_UP 27       /* no refusal: went up to the socket */
#define IPIPOU_REASONS 28

/*
 * A token bucket in one number: the time at which it will be full again. A packet costs `interval`
 * and is refused while the bucket would be full later than `burst` from now. Nanoseconds.
 */
struct ipipou_rate {
	__u64 interval;
	__u64 burst;
};

/* Map `config`: array of one. */
struct ipipou_config {
	__u32 abi_version;
	__u32 flags;
	__u32 near_ifindex; /* the tunnel device */
	__u32 far_ifindex;  /* the other end of its pair */
	__u32 default_peer; /* takes inner destinations of nobody else, or IPIPOU_NO_PEER */
	__be16 local_port;
	__u8 near_mac[6];
	__u8 ttl;	/* of outer packets of IPv4 */
	__u8 hop_limit; /* and of IPv6 */
	__u8 reserved[10];
	struct ipipou_rate rate_peer;            /* a peer's authentication packets */
	struct ipipou_rate rate_stranger_data;   /* strangers' packets that look like data */
	struct ipipou_rate rate_stranger_source; /* one strange source */
	struct ipipou_rate rate_stranger_all;    /* all of them */
	struct ipipou_rate rate_hint_source;     /* one source's requests that name one peer's key */
	struct ipipou_rate rate_hint;            /* all requests that name one peer's key */
	struct ipipou_rate rate_former;          /* a source where a peer was admitted before */
	struct ipipou_rate rate_known_all;       /* the last two together, of all peers */
	struct ipipou_rate rate_error_peer;      /* ICMP errors about one peer's packets; about nobody's */
	struct ipipou_rate rate_error_all;       /* all of those */
	struct ipipou_rate rate_aside;           /* what reaches the socket by no device of ours */
	struct ipipou_rate rate_init;            /* first messages of session 2 whose mac1 is right */
	struct ipipou_rate rate_tag;             /* wrong tags from elsewhere than admitted paths */
	struct ipipou_rate rate_proved;          /* first messages that have a cookie, of all */
	struct ipipou_rate rate_proved_source;   /* and of one source */
	struct ipipou_rate rate_asked;           /* what ends a handshake, from where a first message went up */
	struct ipipou_rate rate_cookie;          /* cookies, to all */
	struct ipipou_rate rate_cookie_source;   /* and to sources that share a place */
	__u64 mac1_key[2];
	__u64 cookie_key[4];                     /* what hides a cookie, and what seals it */
	__u64 cookie_secret[2];                  /* what a cookie is made of */
	__u64 cookie_epoch;                      /* CLOCK_MONOTONIC where its periods begin, nanoseconds */
	__u8 auth_lengths[IPIPOU_AUTH_BYTES];    /* bit n: payloads of n bytes may be authentication */
};

/*
 * Map `peers`: array by peer index; written by user space, read by the programs. The first eight bytes are
 * written and read as one. Where `remote_port` is 0 the peer is at an address of IPv6: `remote_ip` is then, in
 * the machine's order, its place in the map `ends6`, and `local_ip` is 0.
 */
struct ipipou_peer {
	__be32 remote_ip;
	__be16 remote_port;
	__u16 inner_mtu;
	__be32 local_ip;
	__u32 outer_ifindex;
	__u32 flags;
	__u32 tags_out; /* what its packets are tagged by: an entry of that map; 0: they carry no tags */
	__be32 inner_ip; /* an inner address of the peer, so that the commonest need no lookup; or 0 */
	__u32 tag;       /* user space's own: whose slot it is */
};

/* An address of IPv6. */
struct ipipou_ip6 {
	__be32 word[4];
};

/*
 * Map `ends6`: array by place. A place that a peer is told to have is not written to: where the peer goes
 * somewhere else it gets another place, and this one is used again as late as can be.
 */
struct ipipou_end6 {
	struct ipipou_ip6 remote_ip;
	struct ipipou_ip6 local_ip;
	__be16 remote_port;
	__u16 reserved;
};

/* Map `counters`: array by peer index; written by the programs. Inner packets and bytes. */
struct ipipou_counters {
	__u64 tx_packets;
	__u64 tx_bytes;
	__u64 tx_refused;
	__u64 last_cut; /* when an aggregate had to be cut up last; CLOCK_MONOTONIC, nanoseconds */
	__u64 tag_failures; /* in, from its path */
	__u64 replays;
	__u64 reserved_tx[2]; /* each direction has a cache line of its own */
	__u64 rx_packets;
	__u64 rx_bytes;
	__u64 rx_refused;
	__u64 last_heard; /* CLOCK_MONOTONIC, nanoseconds, a few milliseconds coarse; data only */
	__u64 last_super; /* when an aggregated packet came last */
	__u64 peer_bucket;
	__u64 last_train; /* when datagrams came last that had been joined; as last_heard */
	__u64 error_bucket;
};

/* What proves packets of one direction of one session: 1560 bytes. */
struct ipipou_tag_key {
	__u64 siphash[2];
	__u32 nh[IPIPOU_TAG_WORDS];
};

/*
 * Map `tags_in`: hash by the index on the wire, as the three bytes are there. An entry comes whole and its key stays;
 * the rest is the programs'. A word of the window says which block of 32 counters it is about, and which have come.
 */
struct ipipou_tag_in {
	__u32 owner; /* `tags_out` of its peer, but for the last bit */
	__u32 type;  /* the first byte of its packets */
	__u64 newest;
	__u64 window[IPIPOU_WINDOW_WORDS];
	__u64 told_at; /* when user space was told that one came from elsewhere, and from where */
	__u64 told;
	struct ipipou_tag_key key;
};

/*
 * Map `tags_out`: hash by number. A peer has one number and the next, in turns: another key is written under the one
 * that is not in use.
 */
struct ipipou_tag_out {
	__u32 head;  /* type and index, as they are on the wire */
	__u32 reserved;
	__u64 counter; /* of the next packet */
	struct ipipou_tag_key key;
};

/* Map `packet`: room for a packet to be hashed, and what it is filled up with. */
struct ipipou_packet {
	__u8 bytes[2048];
};

/* What user space finds in the ring `roamed`: a tagged packet came from elsewhere. */
struct ipipou_roamed {
	__u32 owner;
	__u32 ipv6;
	struct ipipou_ip6 local_ip; /* of IPv4 in the first word */
	struct ipipou_ip6 remote_ip;
	__be16 remote_port;
	__u16 reserved;
	__u32 reserved2;
};

/* Key of the map `paths`: hash to peer index. */
struct ipipou_path {
	__be32 local_ip;
	__be32 remote_ip;
	__be16 remote_port;
	__u16 reserved;
};

/* Key of the map `paths6`: hash to peer index. */
struct ipipou_path6 {
	struct ipipou_ip6 local_ip;
	struct ipipou_ip6 remote_ip;
	__be16 remote_port;
	__u16 reserved;
};

/* Key of the map `prefixes`: LPM trie to peer index. */
struct ipipou_prefix {
	__u32 length; /* 0..32 */
	__be32 ip;
};

/* Key of the map `prefixes6`: LPM trie to peer index. */
struct ipipou_prefix6 {
	__u32 length; /* 0..128 */
	struct ipipou_ip6 ip;
};

/* Key of the map `sources`: LRU hash. `about`: 0, the peer that requests name and one, or IPIPOU_ABOUT_…. */
struct ipipou_source {
	__be32 ip;
	__u32 about;
};

/* The same of IPv6: a network of 64 bits is one source. */
struct ipipou_source6 {
	__be32 net[2];
	__u32 about;
	__u32 reserved;
};

/* Key of the map `formers6`. */
struct ipipou_net6 {
	__be32 word[2];
};

/* Value of the map `places` (array), of the maps `sources` and `formers` (LRU hash by source address), and of those of IPv6. */
struct ipipou_bucket {
	__u64 full_at;
};

/* Value of the map `hints`: hash by the first 8 bytes of a peer's key. */
struct ipipou_hint {
	__u64 full_at;
	__u32 peer;
	__u32 reserved;
};

/* Map `common`: array of one: buckets of all together, and the address last seen to be this host's. */
struct ipipou_common {
	__u64 bucket_data;
	__u64 bucket_all;
	__u64 bucket_known;
	__u64 bucket_errors;
	__u64 bucket_lost; /* ICMP errors about packets to nobody who is admitted */
	__u64 bucket_aside;
	__u64 bucket_init;
	__u64 bucket_tag;
	__u64 bucket_proved;
	__u64 bucket_cookie;
	__u64 here;
	__u64 here6[2]; /* of IPv6 */
	__u64 here6_seal; /* by which two that were written at once are told from one */
};

#endif
