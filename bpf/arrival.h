/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What arrives on an outer device, sorted: decap.h, trains.h and strangers.h say what becomes of it. */
#ifndef IPIPOU_ARRIVAL_H
#define IPIPOU_ARRIVAL_H

#include "decap.h"
#include "strangers.h"
#include "trains.h"

/* What looks tagged, from an admitted path. */
static __always_inline int tagged_from_peer(struct __sk_buff *skb, struct ipipou_config *config,
					    __u32 index, struct ipipou_peer *peer,
					    struct ipipou_counters *counters,
					    const struct inbound *in, const __u32 link)
{
	struct sealed sealed = { .at = link + in->headers, .length = in->length, .index = index };
	struct ipipou_common *common;
	__u32 zero = 0;
	int fate;

	if (skb->gso_size)
		counters->last_train = bpf_ktime_get_coarse_ns();
	if (skb->gso_size || follows_a_train(counters))
		return take_apart(skb, config, link);
	fate = read_tag(skb, in, &sealed) ? tagged(skb, config, peer, counters, &sealed) : TAG_UNKNOWN;
	if (fate < TAG_UNKNOWN)
		return fate;
	if (fate >= TAG_REFUSED)
		return refuse_peer(counters, fate - TAG_REFUSED);
	/* Of nobody's tag a signature may begin so. */
	if (may_authenticate(config, in->length))
		return control_of_peer(skb, config, counters, in, link);
	common = bpf_map_lookup_elem(&ipipou_common, &zero);
	if (common && bucket_take(&common->bucket_data, &config->rate_stranger_data,
				  bpf_ktime_get_coarse_ns()))
		return pass_up(skb);
	return refuse_peer(counters, IPIPOU_REASON_UNKNOWN_SESSION);
}

/* What looks tagged, from elsewhere: what tc is to do, or that the stray is to be judged as others are. */
static __always_inline int tagged_from_elsewhere(struct __sk_buff *skb, struct ipipou_config *config,
						 const struct inbound *in, struct stray *stray,
						 const __u32 link)
{
	struct sealed sealed = {
		.at = stray->payload_at,
		.length = stray->length,
		.index = IPIPOU_NO_PEER,
	};
	int fate;

	stray->looks_like_data = 1;
	if (stray->unusual)
		return TAG_UNKNOWN;
	if (skb->gso_size)
		return is_of_session(skb, stray->payload_at) ? take_apart(skb, config, link) : TAG_UNKNOWN;
	fate = read_tag(skb, in, &sealed) ? tagged(skb, config, 0, 0, &sealed) : TAG_UNKNOWN;
	if (fate >= TAG_REFUSED)
		stray->refused = fate - TAG_REFUSED + 1;
	return fate;
}

/* What has come from an admitted path: a train of packets, data, or for the socket. */
static __always_inline int from_peer(struct __sk_buff *skb, struct ipipou_config *config, __u32 index,
				     struct ipipou_peer *peer, struct ipipou_counters *counters,
				     const struct inbound *in, const __u32 link)
{
	__u32 total;

	if (looks_tagged(config, in))
		return tagged_from_peer(skb, config, index, peer, counters, in, link);
	total = packet_length(config, in);
	if (is_train(skb, in, total)) {
		counters->last_train = bpf_ktime_get_coarse_ns();
		return take_apart(skb, config, link);
	}
	if (!is_data(config, in, total))
		return control_of_peer(skb, config, counters, in, link);
	if (peer->tags_out)
		return refuse_peer(counters, IPIPOU_REASON_UNTAGGED);
	if (follows_a_train(counters))
		return take_apart(skb, config, link);
	return data_of_peer(skb, config, index, peer, counters, in, link);
}

/* A packet to the port, complete and without IP options. */
static __always_inline int to_port(struct __sk_buff *skb, struct ipipou_config *config,
				   struct outer *outer, const __u32 link)
{
	__u32 index = sender_of(outer), udp_length = bpf_ntohs(outer->udp.len);
	struct ipipou_counters *counters = bpf_map_lookup_elem(&ipipou_counters, &index);
	struct ipipou_peer *peer = peer_at(index);
	struct inbound in = {
		.frame = (void *)outer - link,
		.inner = (void *)(outer + 1),
		.end = (void *)(long)skb->data_end,
		.length = udp_length - sizeof(struct udphdr),
		.headers = OUTER_LENGTH,
		.tos = outer->ip.tos,
	};

	/* What is truncated or contradicts itself is the stack's to refuse. */
	if (udp_length < sizeof(struct udphdr) ||
	    bpf_ntohs(outer->ip.tot_len) != udp_length + sizeof(struct iphdr) ||
	    skb->len - link < bpf_ntohs(outer->ip.tot_len))
		return TC_ACT_UNSPEC;
	if (!peer || !counters) {
		struct stray stray = {
			.source.word = { outer->ip.saddr },
			.destination.word = { outer->ip.daddr },
			.source_port = outer->udp.source,
			.payload_at = link + OUTER_LENGTH,
			.length = in.length,
			.looks_like_data = packet_length(config, &in) != 0,
		};

		if (looks_tagged(config, &in)) {
			int fate = tagged_from_elsewhere(skb, config, &in, &stray, link);

			if (fate < TAG_UNKNOWN)
				return fate;
		}
		return stranger(skb, config, &stray);
	}
	return from_peer(skb, config, index, peer, counters, &in, link);
}

/* The same over IPv6, without extension headers. */
static __always_inline int to_port6(struct __sk_buff *skb, struct ipipou_config *config,
				    struct outer6 *outer, const __u32 link)
{
	__u32 index = sender_of6(outer), udp_length = bpf_ntohs(outer->udp.len);
	struct ipipou_counters *counters = bpf_map_lookup_elem(&ipipou_counters, &index);
	struct ipipou_peer *peer = peer_at(index);
	struct inbound in = {
		.frame = (void *)outer - link,
		.inner = (void *)(outer + 1),
		.end = (void *)(long)skb->data_end,
		.length = udp_length - sizeof(struct udphdr),
		.headers = OUTER6_LENGTH,
		.tos = traffic_class(&outer->ip),
	};

	if (udp_length < sizeof(struct udphdr) || bpf_ntohs(outer->ip.payload_len) != udp_length ||
	    skb->len - link < udp_length + sizeof(struct ipv6hdr))
		return TC_ACT_UNSPEC;
	if (!peer || !counters) {
		struct stray stray = {
			.ipv6 = 1,
			.source_port = outer->udp.source,
			.payload_at = link + OUTER6_LENGTH,
			.length = in.length,
			.looks_like_data = packet_length(config, &in) != 0,
			.unusual = !is_host6(&outer->ip.saddr) || !is_host6(&outer->ip.daddr),
		};

		__builtin_memcpy(&stray.source, &outer->ip.saddr, sizeof(stray.source));
		__builtin_memcpy(&stray.destination, &outer->ip.daddr, sizeof(stray.destination));
		if (looks_tagged(config, &in)) {
			int fate = tagged_from_elsewhere(skb, config, &in, &stray, link);

			if (fate < TAG_UNKNOWN)
				return fate;
		}
		return stranger(skb, config, &stray);
	}
	return from_peer(skb, config, index, peer, counters, &in, link);
}

static __always_inline int decap6(struct __sk_buff *skb, const __u32 link)
{
	struct ipipou_config *config;
	struct outer6 *outer;

	config = config_of();
	if (!config || !has(config, IPIPOU_OUTSIDE6) ||
	    !headers_readable(skb, link + OUTER6_LENGTH))
		return TC_ACT_UNSPEC;
	outer = (void *)(long)skb->data + link;
	if ((void *)(outer + 1) > (void *)(long)skb->data_end || outer->ip.version != 6)
		return TC_ACT_UNSPEC;
	if (outer->ip.nexthdr == IPPROTO_TCP)
		return TC_ACT_UNSPEC;
	if (outer->ip.nexthdr == IPPROTO_ICMPV6)
		return outer_error6(skb, config, link);
	if (outer->ip.nexthdr != IPPROTO_UDP)
		return unusual6(skb, config, link);
	if (outer->udp.dest != config->local_port)
		return TC_ACT_UNSPEC;
	return to_port6(skb, config, outer, link);
}

static __always_inline int decap(struct __sk_buff *skb, const __u32 link)
{
	struct ipipou_config *config;
	struct outer *outer;

	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return decap6(skb, link);
	if (skb->protocol != bpf_htons(ETH_P_IP) || !headers_readable(skb, link + OUTER_LENGTH))
		return TC_ACT_UNSPEC;
	outer = (void *)(long)skb->data + link;
	if ((void *)(outer + 1) > (void *)(long)skb->data_end)
		return TC_ACT_UNSPEC;
	if (outer->ip.protocol != IPPROTO_UDP && outer->ip.protocol != IPPROTO_ICMP)
		return TC_ACT_UNSPEC;
	config = config_of();
	if (!config || !has(config, IPIPOU_OUTSIDE4))
		return TC_ACT_UNSPEC;
	if (outer->ip.protocol == IPPROTO_ICMP)
		return outer_error(skb, config, link);
	if (*(__u8 *)outer != IP_VERSION_AND_LENGTH ||
	    (outer->ip.frag_off & bpf_htons(IP_MF | IP_OFFSET)))
		return unusual(skb, config, link);
	if (outer->udp.dest != config->local_port)
		return TC_ACT_UNSPEC;
	return to_port(skb, config, outer, link);
}

#endif
