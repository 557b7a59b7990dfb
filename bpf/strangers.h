/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What goes up to the port's socket, and how much of it. Theory of operation:
 *
 * Whatever a stranger sends is forged at will, so a packet is refused by the cheapest test that can: most
 * of a flood costs a look at one bucket. What a request says of itself gives it a budget apart from all
 * strangers: the hint of a peer's key, and a source where a peer was admitted before. Neither proves
 * anything. Whoever has seen a request knows the hint in it, so each source has a small budget for each
 * hint, which is charged first; where such a budget is empty a packet is a stranger's like any other.
 *
 * First messages of session 2 that are meant for us have a small budget, and beyond it are answered by a cookie here
 * (cookie.h). Who comes back with his cookie has shown where he is, so he has a budget for his source alone, which
 * nobody uses up from elsewhere. Where a first message went up from, what ends its handshake may come from as well.
 *
 * ICMP errors about packets of ours reach the same socket, and are as easily forged.
 *
 * Whoever has one address of IPv6 has 2^64 of them, so a source of IPv6 is a network of that size.
 */
#ifndef IPIPOU_STRANGERS_H
#define IPIPOU_STRANGERS_H

#include "cookie.h"
#include "mac1.h"
#include "maps.h"
#include "packet.h"

/* linux/icmp.h */
#define ICMP_DEST_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMP_HEADER_LENGTH 8

/* linux/icmpv6.h */
#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PARAMPROB 4

#define AF_INET 2
#define AF_INET6 10

/* A key hint with what stands before it in a request, so that the key is at a multiple of its size. */
struct hint_field {
	__u8 hole[5];
	__u8 type;
	__u8 length[2]; /* network order */
	__u64 key;
};

/* Whether a bucket has a packet's worth. */
static __always_inline int bucket_has(const __u64 *bucket, const struct ipipou_rate *rate, __u64 now)
{
	return *bucket <= now || *bucket - now + rate->interval <= rate->burst;
}

/*
 * Takes a packet's worth from a bucket; false when there is none. Processors that race for one bucket
 * may each take the same worth, so the true rate is up to the named one times their number.
 */
static __always_inline int bucket_take(__u64 *bucket, const struct ipipou_rate *rate, __u64 now)
{
	__u64 full = *bucket;

	if (full < now)
		full = now;
	if (full - now + rate->interval > rate->burst)
		return 0;
	*bucket = full + rate->interval;
	return 1;
}

static __always_inline int may_authenticate(const struct ipipou_config *config, __u32 length)
{
	__u32 at = length >> 3;

	/* The verifier knows the bound of what is compared, so that has to be what is used. */
	asm volatile("" : "+r"(at));
	return at < IPIPOU_AUTH_BYTES && config->auth_lengths[at] >> (length & 7) & 1;
}

static __always_inline int refuse_in(__u32 reason)
{
	count_reason(reason);
	return TC_ACT_SHOT;
}

/* The mark tells the socket's filter that a budget has been charged. */
static __always_inline int pass_up(struct __sk_buff *skb)
{
	skb->tc_index = IPIPOU_PASSED;
	count_reason(IPIPOU_REASON_PASSED_UP);
	return TC_ACT_UNSPEC;
}

/*
 * Whether the stack would take a packet in rather than forward it: other machines' packets to the same
 * port pass through a router untouched.
 */
JUDGED_ALONE int for_this_host(struct __sk_buff *skb, __be32 source, __be32 destination)
{
	struct bpf_fib_lookup lookup = {
		.family = AF_INET,
		.l4_protocol = IPPROTO_UDP,
		.ipv4_src = source,
		.ipv4_dst = destination,
	};
	long found;

	if (!skb)
		return 0;
	lookup.ifindex = skb->ifindex;
	found = bpf_fib_lookup(skb, &lookup, sizeof(lookup), 0);
	return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* As for_this_host(), remembering for a second the address that was ours: a flood is to one address. */
static __always_inline int is_here(struct __sk_buff *skb, struct ipipou_common *common, __be32 source,
				   __be32 destination, __u64 now)
{
	__u64 here = (__u64)destination << 32 | (skb->ifindex & 0xffff) << 16 | (now >> 30 & 0xffff);

	if (common->here == here)
		return 1;
	if (!for_this_host(skb, source, destination))
		return 0;
	common->here = here;
	return 1;
}

/* The same of IPv6. */
JUDGED_ALONE int for_this_host6(struct __sk_buff *skb, struct stray *stray)
{
	struct bpf_fib_lookup lookup = {
		.family = AF_INET6,
		.l4_protocol = IPPROTO_UDP,
	};
	long found;

	if (!skb || !stray)
		return 0;
	__builtin_memcpy(lookup.ipv6_src, &stray->source, sizeof(stray->source));
	__builtin_memcpy(lookup.ipv6_dst, &stray->destination, sizeof(stray->destination));
	lookup.ifindex = skb->ifindex;
	found = bpf_fib_lookup(skb, &lookup, sizeof(lookup), 0);
	return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

static __always_inline int is_here6(struct __sk_buff *skb, struct ipipou_common *common,
				    struct stray *stray, __u64 now)
{
	const __be32 *word = stray->destination.word;
	__u64 high = (__u64)word[0] << 32 | word[1], low = (__u64)word[2] << 32 | word[3];
	__u64 seal = (now >> 30 << 32 | skb->ifindex) ^ high * 0x9e3779b97f4a7c15 ^ (low << 17 | low >> 47);

	if (common->here6_seal == seal && common->here6[0] == high && common->here6[1] == low)
		return 1;
	if (!for_this_host6(skb, stray))
		return 0;
	common->here6[0] = high;
	common->here6[1] = low;
	common->here6_seal = seal;
	return 1;
}

static __always_inline int is_here_of(struct __sk_buff *skb, struct ipipou_common *common,
				      struct stray *stray, __u64 now)
{
	if (stray->ipv6)
		return is_here6(skb, common, stray, now);
	return is_here(skb, common, stray->source.word[0], stray->destination.word[0], now);
}

/*
 * Whether a source is within its budget for packets about something: 0, or the peer that they name and
 * one. A new one is.
 */
static __always_inline int source_within(__be32 ip, __u32 about, const struct ipipou_rate *rate,
					 __u64 now)
{
	struct ipipou_source key = { .ip = ip, .about = about };
	struct ipipou_bucket *bucket = bpf_map_lookup_elem(&ipipou_sources, &key);
	struct ipipou_bucket first = {};

	if (bucket)
		return bucket_take(&bucket->full_at, rate, now);
	first.full_at = now + rate->interval;
	bpf_map_update_elem(&ipipou_sources, &key, &first, BPF_ANY);
	return 1;
}

/* The same of IPv6, whose sources are networks. */
static __always_inline int source_within6(const struct stray *stray, __u32 about,
					  const struct ipipou_rate *rate, __u64 now)
{
	struct ipipou_source6 key = { .about = about };
	struct ipipou_bucket first = {};
	struct ipipou_bucket *bucket;

	__builtin_memcpy(key.net, stray->source.word, sizeof(key.net));
	bucket = bpf_map_lookup_elem(&ipipou_sources6, &key);
	if (bucket)
		return bucket_take(&bucket->full_at, rate, now);
	first.full_at = now + rate->interval;
	bpf_map_update_elem(&ipipou_sources6, &key, &first, BPF_ANY);
	return 1;
}

static __always_inline int source_of_within(const struct stray *stray, __u32 about,
					    const struct ipipou_rate *rate, __u64 now)
{
	if (stray->ipv6)
		return source_within6(stray, about, rate, now);
	return source_within(stray->source.word[0], about, rate, now);
}

/* The budget of a source where a peer was admitted before. */
static __always_inline struct ipipou_bucket *former_of(const struct stray *stray)
{
	/* Copies: verifiers before 6.2 take no key from an argument's memory. */
	struct ipipou_net6 net;
	__be32 source = stray->source.word[0];

	if (!stray->ipv6)
		return bpf_map_lookup_elem(&ipipou_formers, &source);
	__builtin_memcpy(net.word, stray->source.word, sizeof(net));
	return bpf_map_lookup_elem(&ipipou_formers6, &net);
}

/* The peer whose key a request names, if there is one. */
static __always_inline struct ipipou_hint *hint_of(struct __sk_buff *skb, const struct stray *stray)
{
	const __u32 room = sizeof(struct hint_field) - offsetof(struct hint_field, type);
	struct hint_field field;

	if (stray->length < IPIPOU_HINT_AT + room ||
	    bpf_skb_load_bytes(skb, stray->payload_at + IPIPOU_HINT_AT, &field.type, room))
		return 0;
	if (field.type != IPIPOU_HINT_TYPE || field.length[0] || field.length[1] != sizeof(field.key))
		return 0;
	return bpf_map_lookup_elem(&ipipou_hints, &field.key);
}

/* Whether a request is within a budget apart from strangers', by its hint or its source. */
static __always_inline int known_within(struct __sk_buff *skb, const struct ipipou_config *config,
					struct ipipou_common *common, const struct stray *stray,
					__u64 now)
{
	struct ipipou_bucket *former;
	struct ipipou_hint *hint;

	if (!bucket_has(&common->bucket_known, &config->rate_known_all, now))
		return 0;
	hint = hint_of(skb, stray);
	if (hint && bucket_has(&hint->full_at, &config->rate_hint, now) &&
	    source_of_within(stray, hint->peer + 1, &config->rate_hint_source, now) &&
	    bucket_take(&hint->full_at, &config->rate_hint, now))
		return bucket_take(&common->bucket_known, &config->rate_known_all, now);
	former = former_of(stray);
	if (former && bucket_take(&former->full_at, &config->rate_former, now))
		return bucket_take(&common->bucket_known, &config->rate_known_all, now);
	return 0;
}

/* The first word of a CONTROL, which ends a handshake. */
#define CONTROL_BEGIN 0x000000f4

/* Notes where a first message went up from. */
static __always_inline int pass_init(struct __sk_buff *skb, const struct stray *stray, __u64 now)
{
	struct ipipou_bucket full = { .full_at = now };

	if (stray->ipv6) {
		struct ipipou_source6 key = { .about = IPIPOU_ABOUT_ASKED };

		__builtin_memcpy(key.net, stray->source.word, sizeof(key.net));
		bpf_map_update_elem(&ipipou_sources6, &key, &full, BPF_ANY);
	} else {
		struct ipipou_source key = { .ip = stray->source.word[0], .about = IPIPOU_ABOUT_ASKED };

		bpf_map_update_elem(&ipipou_sources, &key, &full, BPF_ANY);
	}
	return pass_up(skb);
}

/* Whether it ends a handshake, from where a first message went up a moment ago. */
static __always_inline int ends_handshake(struct __sk_buff *skb, const struct ipipou_config *config,
					  const struct stray *stray, __u64 now)
{
	struct ipipou_bucket *bucket;
	__u32 begin;

	if (stray->length != IPIPOU_CONTROL_LENGTH ||
	    bpf_skb_load_bytes(skb, stray->payload_at, &begin, sizeof(begin)) || begin != CONTROL_BEGIN)
		return 0;
	if (stray->ipv6) {
		struct ipipou_source6 key = { .about = IPIPOU_ABOUT_ASKED };

		__builtin_memcpy(key.net, stray->source.word, sizeof(key.net));
		bucket = bpf_map_lookup_elem(&ipipou_sources6, &key);
	} else {
		struct ipipou_source key = { .ip = stray->source.word[0], .about = IPIPOU_ABOUT_ASKED };

		bucket = bpf_map_lookup_elem(&ipipou_sources, &key);
	}
	return bucket && bucket_take(&bucket->full_at, &config->rate_asked, now);
}

/* Whether there is a budget for a first message whose sender is where he says. */
static __always_inline int proved_within(const struct ipipou_config *config,
					 struct ipipou_common *common, const struct stray *stray,
					 __u64 now)
{
	return bucket_has(&common->bucket_proved, &config->rate_proved, now) &&
	       source_of_within(stray, IPIPOU_ABOUT_PROVED, &config->rate_proved_source, now) &&
	       bucket_take(&common->bucket_proved, &config->rate_proved, now);
}

/* The budget for cookies to a source; sources share places, so that a flood of forged ones costs no memory. */
static __always_inline __u64 *cookie_place(const struct ipipou_config *config,
					   const struct stray *stray)
{
	__u64 source = stray->source.word[0];
	struct ipipou_bucket *bucket;
	__u32 place;

	if (stray->ipv6)
		source |= (__u64)stray->source.word[1] << 32;
	source = (source ^ config->cookie_secret[0]) * 0x9e3779b97f4a7c15;
	source = (source ^ source >> 32) * (config->cookie_secret[1] | 1);
	place = source >> 32 & (IPIPOU_COOKIE_PLACES - 1);
	bucket = bpf_map_lookup_elem(&ipipou_places, &place);
	return bucket ? &bucket->full_at : 0;
}

/* Answers a first message by a cookie, or refuses it. */
static __always_inline int give_cookie(struct __sk_buff *skb, struct ipipou_config *config,
				       struct ipipou_common *common, struct stray *stray, __u64 now)
{
	__u64 *place = cookie_place(config, stray);
	int fate;

	if (!place || !bucket_has(&common->bucket_cookie, &config->rate_cookie, now) ||
	    !bucket_take(place, &config->rate_cookie_source, now) ||
	    !bucket_take(&common->bucket_cookie, &config->rate_cookie, now))
		return refuse_in(IPIPOU_REASON_STRANGER_ALL);
	if (make_cookie(config, stray))
		return refuse_in(IPIPOU_REASON_STRANGER_ALL);
	fate = send_back(skb, config, stray);
	if (fate < 0)
		return refuse_in(IPIPOU_REASON_STRANGER_ALL);
	count_reason(IPIPOU_REASON_COOKIE);
	return fate;
}

/*
 * Whether there is a budget for a first message whose sender knows this server's public key. It is apart from that of
 * all strangers, whose packets prove nothing.
 */
static __always_inline int init_within(const struct ipipou_config *config,
				       struct ipipou_common *common, const struct stray *stray,
				       __u64 now)
{
	return bucket_has(&common->bucket_init, &config->rate_init, now) &&
	       source_of_within(stray, 0, &config->rate_stranger_source, now) &&
	       bucket_take(&common->bucket_init, &config->rate_init, now);
}

/*
 * What becomes of a packet to the port that is from no admitted path. The cheapest test comes first,
 * and one source's excess does not use up the budget of all.
 */
JUDGED_ALONE int stranger(struct __sk_buff *skb, struct ipipou_config *config, struct stray *stray)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct ipipou_common *common;
	enum init init;
	__u32 zero = 0;

	if (!skb || !config || !stray)
		return TC_ACT_SHOT;
	common = bpf_map_lookup_elem(&ipipou_common, &zero);
	if (!common)
		return TC_ACT_SHOT;
	if (!is_here_of(skb, common, stray, now))
		return TC_ACT_UNSPEC;
	if (stray->unusual)
		return refuse_in(IPIPOU_REASON_UNUSUAL);
	if (stray->refused)
		return refuse_in(stray->refused - 1);
	if (!has(config, IPIPOU_STRANGERS))
		return refuse_in(IPIPOU_REASON_STRANGER_CLOSED);
	if (!may_authenticate(config, stray->length)) {
		if (!stray->looks_like_data)
			return refuse_in(IPIPOU_REASON_STRANGER_LENGTH);
		if (!bucket_take(&common->bucket_data, &config->rate_stranger_data, now))
			return refuse_in(IPIPOU_REASON_STRANGER_DATA);
		return pass_up(skb);
	}
	init = init_of(skb, config, stray->payload_at, stray->length);
	if (init == FORGED_INIT)
		return refuse_in(IPIPOU_REASON_MAC1);
	if (init == MEANT_INIT) {
		if (is_proved(config, stray, 0) || is_proved(config, stray, 1))
			return proved_within(config, common, stray, now)
				       ? pass_init(skb, stray, now)
				       : refuse_in(IPIPOU_REASON_STRANGER_SOURCE);
		return known_within(skb, config, common, stray, now) ||
				       init_within(config, common, stray, now)
			       ? pass_init(skb, stray, now)
			       : give_cookie(skb, config, common, stray, now);
	}
	if (known_within(skb, config, common, stray, now) ||
	    ends_handshake(skb, config, stray, now))
		return pass_up(skb);
	if (!bucket_has(&common->bucket_all, &config->rate_stranger_all, now))
		return refuse_in(IPIPOU_REASON_STRANGER_ALL);
	if (!source_of_within(stray, 0, &config->rate_stranger_source, now))
		return refuse_in(IPIPOU_REASON_STRANGER_SOURCE);
	if (!bucket_take(&common->bucket_all, &config->rate_stranger_all, now))
		return refuse_in(IPIPOU_REASON_STRANGER_ALL);
	return pass_up(skb);
}

/* Whether ICMP messages of a type go to the socket whose packet they quote (icmp_unreach() of net/ipv4/icmp.c). */
static __always_inline int is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/* The budget of errors about packets to a peer, or of those to nobody who is admitted. */
static __always_inline int error_within(const struct ipipou_config *config,
					struct ipipou_common *common, const __u32 *index,
					__u64 now)
{
	struct ipipou_counters *counters =
		index ? bpf_map_lookup_elem(&ipipou_counters, index) : 0;

	if (!bucket_has(&common->bucket_errors, &config->rate_error_all, now))
		return 0;
	if (counters) {
		if (!bucket_take(&counters->error_bucket, &config->rate_error_peer, now))
			return 0;
	} else if (!bucket_take(&common->bucket_lost, &config->rate_error_peer, now)) {
		return 0;
	}
	return bucket_take(&common->bucket_errors, &config->rate_error_all, now);
}

/* An ICMP message; `link` is the length of the link header. Only errors about packets of the port have a budget. */
JUDGED_ALONE int outer_error(struct __sk_buff *skb, struct ipipou_config *config, __u32 link)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct ipipou_common *common;
	struct ipipou_path path = {};
	struct iphdr ip, quoted;
	__u32 zero = 0, at;
	__be16 ports[2];
	__u8 type;

	if (!skb || !config || bpf_skb_load_bytes(skb, link, &ip, sizeof(ip)))
		return TC_ACT_UNSPEC;
	at = link + ip.ihl * 4;
	if (ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(IP_OFFSET)) ||
	    bpf_skb_load_bytes(skb, at, &type, sizeof(type)) || !is_error(type))
		return TC_ACT_UNSPEC;
	at += ICMP_HEADER_LENGTH;
	if (bpf_skb_load_bytes(skb, at, &quoted, sizeof(quoted)) || quoted.version != 4 ||
	    quoted.ihl < 5 || quoted.protocol != IPPROTO_UDP ||
	    bpf_skb_load_bytes(skb, at + quoted.ihl * 4, ports, sizeof(ports)))
		return TC_ACT_UNSPEC;
	common = bpf_map_lookup_elem(&ipipou_common, &zero);
	if (!common || ports[0] != config->local_port ||
	    !is_here(skb, common, ip.saddr, ip.daddr, now))
		return TC_ACT_UNSPEC;
	path.local_ip = quoted.saddr;
	path.remote_ip = quoted.daddr;
	path.remote_port = ports[1];
	if (!error_within(config, common, bpf_map_lookup_elem(&ipipou_paths, &path), now))
		return refuse_in(IPIPOU_REASON_OUTER_ERROR);
	return TC_ACT_UNSPEC;
}

/* The same of ICMPv6, where `link` is followed by its header: its errors are the first four types (RFC 4443). */
JUDGED_ALONE int outer_error6(struct __sk_buff *skb, struct ipipou_config *config, __u32 link)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct ipipou_common *common;
	struct ipipou_path6 path = {};
	struct stray stray = { .ipv6 = 1 };
	struct ipv6hdr ip;
	__u32 zero = 0, at = link + sizeof(ip);
	__be16 ports[2];
	__u8 type;

	if (!skb || !config || !may_have(IPIPOU_OUTSIDE6) ||
	    bpf_skb_load_bytes(skb, link, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(skb, at, &type, sizeof(type)) || type < ICMPV6_DEST_UNREACH ||
	    type > ICMPV6_PARAMPROB)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(&stray.source, &ip.saddr, sizeof(stray.source));
	__builtin_memcpy(&stray.destination, &ip.daddr, sizeof(stray.destination));
	at += ICMP_HEADER_LENGTH;
	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 6 ||
	    ip.nexthdr != IPPROTO_UDP ||
	    bpf_skb_load_bytes(skb, at + sizeof(ip), ports, sizeof(ports)))
		return TC_ACT_UNSPEC;
	common = bpf_map_lookup_elem(&ipipou_common, &zero);
	if (!common || ports[0] != config->local_port || !is_here6(skb, common, &stray, now))
		return TC_ACT_UNSPEC;
	__builtin_memcpy(&path.local_ip, &ip.saddr, sizeof(path.local_ip));
	__builtin_memcpy(&path.remote_ip, &ip.daddr, sizeof(path.remote_ip));
	path.remote_port = ports[1];
	if (!error_within(config, common, bpf_map_lookup_elem(&ipipou_paths6, &path), now))
		return refuse_in(IPIPOU_REASON_OUTER_ERROR);
	return TC_ACT_UNSPEC;
}

/*
 * Before the socket's queue: what no program on a device has let pass came by the loopback device, out of
 * the tunnel, or by a device without our program. Nobody but this very host has a use for that.
 */
static __always_inline int admit_to_socket(struct __sk_buff *skb)
{
	struct ipipou_config *config = config_of();
	struct ipipou_common *common;
	__u32 zero = 0;

	if (skb->tc_index == IPIPOU_PASSED)
		return -1;
	common = bpf_map_lookup_elem(&ipipou_common, &zero);
	if (!config || !common)
		return 0;
	if (bucket_take(&common->bucket_aside, &config->rate_aside, bpf_ktime_get_coarse_ns()))
		return -1;
	count_reason(IPIPOU_REASON_ASIDE);
	return 0;
}

#endif
