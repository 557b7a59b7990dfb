/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Trains: many outer datagrams of one sender in one aggregate. A sender in this same kernel that used
 * UDP_SEGMENT makes them (the `tun` plane), and a device that joins datagrams to forward them. No program
 * can take them apart, so the kernel has to: they are sent out of the near end, which has segmentation off,
 * and come one by one to the far end, whose program finishes what was begun here.
 *
 * They are known there by their tc_index, which nobody outside of this host can set, and whatever has it is
 * judged once more. What a peer sends shortly after a train goes the same way, to keep the order.
 */
#ifndef IPIPOU_TRAINS_H
#define IPIPOU_TRAINS_H

#include "tagged.h"

/* tc_index of packets between the ends of the pair that still have their outer headers. */
#define IPIPOU_OUT_OF_TRAIN 0x6970

/* Whether an outer aggregate holds more than one inner packet, or aggregate of them. */
static __always_inline int is_train(const struct __sk_buff *skb, const struct inbound *in,
				    __u32 total)
{
	return skb->gso_size && total != in->length;
}

static __always_inline int follows_a_train(const struct ipipou_counters *counters)
{
	return bpf_ktime_get_coarse_ns() - counters->last_train < AGGREGATE_MEMORY_NS;
}

/* Sends a train, or what follows one, by the near end. */
static __always_inline int take_apart(struct __sk_buff *skb, const struct ipipou_config *config,
				      __u32 link)
{
	if (link == 0 && add_link_header(skb, config, skb->protocol))
		return refuse_in(IPIPOU_REASON_NO_ROOM);
	skb->tc_index = IPIPOU_OUT_OF_TRAIN;
	return bpf_redirect(config->near_ifindex, 0);
}

/* What has been taken apart is data, whole, of a peer that is still admitted. */
static __always_inline int car_of_peer(struct __sk_buff *skb, struct ipipou_config *config,
				       __u32 index, const struct inbound *in)
{
	struct ipipou_counters *counters = bpf_map_lookup_elem(&ipipou_counters, &index);
	struct ipipou_peer *peer = peer_at(index);

	if (looks_tagged(config, in) && !skb->gso_size &&
	    skb->len >= ETH_HLEN + in->headers + in->length) {
		struct sealed sealed = {
			.at = ETH_HLEN + in->headers,
			.length = in->length,
			.index = index,
		};
		int fate = read_tag(skb, in, &sealed) ? tagged(skb, config, peer, counters, &sealed)
						      : TAG_UNKNOWN;

		if (fate < TAG_UNKNOWN)
			return fate;
		return refuse_in(fate == TAG_UNKNOWN ? IPIPOU_REASON_UNKNOWN_SESSION
						     : fate - TAG_REFUSED);
	}
	if (!peer || !counters)
		return TC_ACT_SHOT;
	if (skb->gso_size || !is_data(config, in, packet_length(config, in)) ||
	    skb->len < ETH_HLEN + in->headers + in->length)
		return refuse_peer(counters, IPIPOU_REASON_MALFORMED);
	if (peer->tags_out)
		return refuse_peer(counters, IPIPOU_REASON_UNTAGGED);
	return data_of_peer(skb, config, index, peer, counters, in, ETH_HLEN);
}

static __always_inline int out_of_train6(struct __sk_buff *skb, struct ipipou_config *config)
{
	struct inbound in = { .headers = OUTER6_LENGTH };
	struct outer6 *outer;

	if (!headers_readable(skb, ETH_HLEN + OUTER6_LENGTH))
		return TC_ACT_SHOT;
	outer = (void *)(long)skb->data + ETH_HLEN;
	in.end = (void *)(long)skb->data_end;
	if ((void *)(outer + 1) > in.end || outer->ip.version != 6 ||
	    outer->ip.nexthdr != IPPROTO_UDP || outer->udp.dest != config->local_port)
		return TC_ACT_SHOT;
	in.frame = (void *)outer - ETH_HLEN;
	in.inner = (void *)(outer + 1);
	in.length = bpf_ntohs(outer->udp.len) - sizeof(struct udphdr);
	in.tos = traffic_class(&outer->ip);
	return car_of_peer(skb, config, sender_of6(outer), &in);
}

/* One packet of a train, on the far end's ingress. */
JUDGED_ALONE int out_of_train(struct __sk_buff *skb, struct ipipou_config *config)
{
	struct inbound in = { .headers = OUTER_LENGTH };
	struct outer *outer;

	if (!skb || !config)
		return TC_ACT_SHOT;
	/* What is forwarded from here on must not be taken for one again. */
	skb->tc_index = 0;
	if (may_have(IPIPOU_OUTSIDE6) && skb->protocol == bpf_htons(ETH_P_IPV6))
		return out_of_train6(skb, config);
	if (!headers_readable(skb, ETH_HLEN + OUTER_LENGTH))
		return TC_ACT_SHOT;
	outer = (void *)(long)skb->data + ETH_HLEN;
	in.end = (void *)(long)skb->data_end;
	if ((void *)(outer + 1) > in.end || *(__u8 *)outer != IP_VERSION_AND_LENGTH ||
	    outer->ip.protocol != IPPROTO_UDP || outer->udp.dest != config->local_port)
		return TC_ACT_SHOT;
	in.frame = (void *)outer - ETH_HLEN;
	in.inner = (void *)(outer + 1);
	in.length = bpf_ntohs(outer->udp.len) - sizeof(struct udphdr);
	in.tos = outer->ip.tos;
	return car_of_peer(skb, config, sender_of(outer), &in);
}

#endif
