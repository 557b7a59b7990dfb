/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What arrives on an outer device, sorted: decap.h, trains.h and strangers.h say what becomes of it. */
#ifndef IPIPOU_ARRIVAL_H
#define IPIPOU_ARRIVAL_H

#include "decap.h"
#include "strangers.h"
#include "trains.h"

/* A packet to the port, complete and without IP options. */
static __always_inline int to_port(struct __sk_buff *skb, struct ipipou_config *config,
				   struct outer *outer, const __u32 link)
{
	__u32 index = sender_of(outer), udp_length = bpf_ntohs(outer->udp.len);
	struct ipipou_counters *counters = bpf_map_lookup_elem(&ipipou_counters, &index);
	struct ipipou_peer *peer = peer_at(index);
	struct inbound in = {
		.outer = &outer->ip,
		.inner = (void *)(outer + 1),
		.length = udp_length - sizeof(struct udphdr),
		.end = (void *)(long)skb->data_end,
	};

	/* What is truncated or contradicts itself is the stack's to refuse. */
	if (udp_length < sizeof(struct udphdr) ||
	    bpf_ntohs(outer->ip.tot_len) != udp_length + sizeof(struct iphdr) ||
	    skb->len - link < bpf_ntohs(outer->ip.tot_len))
		return TC_ACT_UNSPEC;
	if (!peer || !counters) {
		struct stray stray = {
			.source = outer->ip.saddr,
			.destination = outer->ip.daddr,
			.payload_at = link + OUTER_LENGTH,
			.length = in.length,
			.looks_like_data = looks_like_packet(&in),
		};

		return stranger(skb, config, &stray);
	}
	if (is_train(skb, &in)) {
		counters->last_train = bpf_ktime_get_coarse_ns();
		return take_apart(skb, config, link);
	}
	if (!is_data(config, &in))
		return control_of_peer(skb, config, counters, in.length);
	if (follows_a_train(counters))
		return take_apart(skb, config, link);
	return data_of_peer(skb, config, index, peer, counters, &in, link);
}

static __always_inline int decap(struct __sk_buff *skb, const __u32 link)
{
	struct ipipou_config *config;
	struct outer *outer;

	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (!headers_readable(skb, link))
		return TC_ACT_UNSPEC;
	outer = (void *)(long)skb->data + link;
	if ((void *)(outer + 1) > (void *)(long)skb->data_end)
		return TC_ACT_UNSPEC;
	if (outer->ip.protocol != IPPROTO_UDP && outer->ip.protocol != IPPROTO_ICMP)
		return TC_ACT_UNSPEC;
	config = config_of();
	if (!config)
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
