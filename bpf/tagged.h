/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * In: packets with tags. Theory of operation:
 *
 * The index in a tagged packet says whose it is, wherever it comes from, and the tag proves it. So one from elsewhere
 * than its peer's path is taken as well: the peer has moved, or an address on the way was exchanged. User space is told,
 * which decides where packets to the peer go from then on. A peer that has tags is heard by them alone.
 *
 * A test costs up to a quarter of a microsecond. Wrong ones from elsewhere have a budget for all of them together;
 * when it is spent, nothing from elsewhere is tested.
 */
#ifndef IPIPOU_TAGGED_H
#define IPIPOU_TAGGED_H

#include "decap.h"
#include "tag.h"

/* What becomes of a tagged packet besides what tc knows: it is of no session, or refused for a reason. */
#define TAG_UNKNOWN 0x100
#define TAG_REFUSED 0x200

/* The proof of a packet failed by none of the reasons. */
#define PROVEN -1

/* User space is told of a path at most so often, and of any. */
#define TOLD_AGAIN_NS 100000000
#define TOLD_OTHER_NS 5000000

static __always_inline int looks_tagged(const struct ipipou_config *config, const struct inbound *in)
{
	const __u8 *first = in->inner;

	if (!has(config, IPIPOU_TAGS) || in->length < TAGGED_MIN || (void *)(first + 1) > in->end)
		return 0;
	return *first == IPIPOU_TAG_HEADER || *first == IPIPOU_TAG_FULL;
}

/* Whether what looks tagged, from `at` on, names a session of ours: it may be on its way to another machine. */
static __always_inline int is_of_session(struct __sk_buff *skb, __u32 at)
{
	__u32 head, key;

	if (bpf_skb_load_bytes(skb, at, &head, sizeof(head)))
		return 0;
	key = head >> 8;
	return bpf_map_lookup_elem(&ipipou_tags_in, &key) != 0;
}

/* A tagged payload: where it is, and how long; who is admitted where it came from, or IPIPOU_NO_PEER. */
struct sealed {
	__u16 at;
	__u16 length;
	__u32 index;
	struct tag tag;
};

/* Reads the tag; false where there is none. */
static __always_inline int read_tag(struct __sk_buff *skb, const struct inbound *in,
				    struct sealed *sealed)
{
	const struct tag *tag = in->inner;

	if ((void *)(tag + 1) > in->end)
		return !bpf_skb_load_bytes(skb, sealed->at, &sealed->tag, sizeof(sealed->tag));
	sealed->tag = *tag;
	return 1;
}

/* Proves a payload: PROVEN, or the reason to refuse it. */
static __always_inline int proof_of(struct __sk_buff *skb, const struct sealed *sealed,
				    struct ipipou_tag_in *in)
{
	const struct tag *tag = &sealed->tag;
	__u32 counter = bpf_ntohl(tag->head >> 32);
	struct tag right = { .head = tag->head };

	if ((__u8)tag->head != in->type)
		return IPIPOU_REASON_LEVEL;
	if (!may_be_fresh(in, counter))
		return IPIPOU_REASON_REPLAYED;
	if (!make_tag(skb, sealed->at + TAG_LENGTH, sealed->length - TAG_LENGTH, &in->key,
		      &right))
		return IPIPOU_REASON_MALFORMED;
	if (right.tag != tag->tag)
		return IPIPOU_REASON_BAD_TAG;
	return take_counter(in, counter) ? PROVEN : IPIPOU_REASON_REPLAYED;
}

/* The index of the peer that an entry is of. */
static __always_inline __u32 owner_of_tag(const struct ipipou_tag_in *in)
{
	__u32 owner = in->owner, *index = bpf_map_lookup_elem(&ipipou_owners, &owner);
	struct ipipou_peer *peer;

	if (!index)
		return IPIPOU_NO_PEER;
	peer = peer_at(*index);
	return peer && (peer->tags_out & ~1) == owner ? *index : IPIPOU_NO_PEER;
}

/*
 * Tells user space of a packet that came from elsewhere; `ip` is where its outer header is. What is told is put
 * together where a packet was hashed, since the stack is short.
 */
static __always_inline void tell_of(struct __sk_buff *skb, struct ipipou_tag_in *in, __u32 ip,
				    int ipv6)
{
	__u64 now = bpf_ktime_get_coarse_ns(), path = 0, since = now - in->told_at;
	struct ipipou_roamed *event;
	__u32 zero = 0, i;

	event = bpf_map_lookup_elem(&ipipou_packet, &zero);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->owner = in->owner;
	event->ipv6 = ipv6;
	if (ipv6) {
		bpf_skb_load_bytes(skb, ip + offsetof(struct ipv6hdr, saddr), &event->remote_ip,
				   sizeof(event->remote_ip));
		bpf_skb_load_bytes(skb, ip + offsetof(struct ipv6hdr, daddr), &event->local_ip,
				   sizeof(event->local_ip));
		bpf_skb_load_bytes(skb, ip + sizeof(struct ipv6hdr), &event->remote_port,
				   sizeof(event->remote_port));
	} else {
		bpf_skb_load_bytes(skb, ip + offsetof(struct iphdr, saddr), &event->remote_ip,
				   sizeof(__be32));
		bpf_skb_load_bytes(skb, ip + offsetof(struct iphdr, daddr), &event->local_ip,
				   sizeof(__be32));
		bpf_skb_load_bytes(skb, ip + sizeof(struct iphdr), &event->remote_port,
				   sizeof(event->remote_port));
	}
	for (i = 0; i < sizeof(*event) / sizeof(path); i++)
		path = rotated(path, 7) * 0x9e3779b97f4a7c15 ^ ((__u64 *)event)[i];
	if (in->told_at && since < (path == in->told ? TOLD_AGAIN_NS : TOLD_OTHER_NS))
		return;
	in->told_at = now;
	in->told = path;
	bpf_ringbuf_output(&ipipou_roamed, event, sizeof(*event), BPF_RB_FORCE_WAKEUP);
}

/* Hands on what is proved, of the peer at `index`, to the last byte where it is so. */
static __always_inline int take_proven(struct __sk_buff *skb, struct ipipou_config *config,
				       __u32 index, struct ipipou_peer *peer,
				       struct ipipou_counters *counters,
				       const struct sealed *sealed, __u32 at, __u32 link)
{
	struct inbound in = {
		.length = sealed->length - TAG_LENGTH,
		.headers = at - link,
		.tag = TAG_LENGTH,
		.whole = (__u8)sealed->tag.head == IPIPOU_TAG_FULL,
	};
	struct ipv6hdr *outer;

	headers_readable(skb, at + TAG_LENGTH);
	in.frame = (void *)(long)skb->data;
	in.end = (void *)(long)skb->data_end;
	outer = in.frame + link;
	in.inner = in.frame + at + TAG_LENGTH;
	if ((void *)(outer + 1) > in.end || in.frame + ETH_HLEN > in.end)
		return refuse_peer(counters, IPIPOU_REASON_MALFORMED);
	in.tos = in.headers == OUTER6_LENGTH ? traffic_class(outer) : ((struct iphdr *)outer)->tos;
	if (!packet_length(config, &in))
		return refuse_peer(counters, IPIPOU_REASON_MALFORMED);
	return data_of_peer(skb, config, index, peer, counters, &in, link);
}

/* The same where it came from another path than its peer's, which wrong ones have a budget for. */
static __always_inline int tagged_elsewhere(struct __sk_buff *skb, struct ipipou_config *config,
					    const struct sealed *sealed, struct ipipou_tag_in *in,
					    __u32 at, __u32 link)
{
	__u32 zero = 0, owner = owner_of_tag(in);
	struct ipipou_counters *counters = bpf_map_lookup_elem(&ipipou_counters, &owner);
	struct ipipou_common *common = bpf_map_lookup_elem(&ipipou_common, &zero);
	struct ipipou_peer *peer = peer_at(owner);
	int failed;

	if (!peer || !counters || !common)
		return TAG_UNKNOWN;
	if (!bucket_has(&common->bucket_tag, &config->rate_tag, bpf_ktime_get_coarse_ns()))
		return TAG_REFUSED + IPIPOU_REASON_STRANGER_TAG;
	failed = proof_of(skb, sealed, in);
	if (failed != PROVEN) {
		bucket_take(&common->bucket_tag, &config->rate_tag, bpf_ktime_get_coarse_ns());
		return TAG_REFUSED + failed;
	}
	tell_of(skb, in, link, at - link == OUTER6_LENGTH);
	return take_proven(skb, config, owner, peer, counters, sealed, at, link);
}

/*
 * What looks tagged, and is no aggregate. `peer` and `counters` are of who is admitted where it came from, or null. Direct
 * pointers are void after.
 */
JUDGED_ALONE int tagged(struct __sk_buff *skb, struct ipipou_config *config, struct ipipou_peer *peer,
			struct ipipou_counters *counters, struct sealed *sealed)
{
	struct ipipou_tag_in *in;
	__u32 at, key, link;
	int failed;

	if (!skb || !config || !sealed || !may_have(IPIPOU_TAGS))
		return TAG_UNKNOWN;
	at = sealed->at;
	/* The verifier knows its bound, so it has to be what is used. */
	asm volatile("" : "+r"(at));
	if (at > ETH_HLEN + OUTER6_LENGTH || sealed->length < TAGGED_MIN)
		return TAG_UNKNOWN;
	link = at == ETH_HLEN + OUTER_LENGTH || at == ETH_HLEN + OUTER6_LENGTH ? ETH_HLEN : 0;
	key = (__u32)sealed->tag.head >> 8;
	in = bpf_map_lookup_elem(&ipipou_tags_in, &key);
	if (!in)
		return TAG_UNKNOWN;
	if (!peer || !counters || (peer->tags_out & ~1) != in->owner)
		return tagged_elsewhere(skb, config, sealed, in, at, link);
	failed = proof_of(skb, sealed, in);
	if (failed == PROVEN)
		return take_proven(skb, config, sealed->index, peer, counters, sealed, at, link);
	if (failed == IPIPOU_REASON_REPLAYED)
		__sync_fetch_and_add(&counters->replays, 1);
	else
		__sync_fetch_and_add(&counters->tag_failures, 1);
	return refuse_peer(counters, failed);
}

#endif
