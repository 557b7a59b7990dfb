/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * In: from an outer device to the tunnel device. Theory of operation:
 *
 * A packet to the port, on the exact path (both addresses, both ports) of an admitted peer, that holds
 * a sane inner packet from one of that peer's addresses, comes out of the tunnel device. Nothing else
 * ever does. What is not to the port is not looked at further; the rest goes up to the socket on the
 * port within budgets (strangers.h), or is refused.
 *
 * Two ways lead to the tunnel device. TCP segments are sent out of the far end of its pair, so that
 * they arrive by NAPI, where the kernel joins them (GRO). What is joined already would be cut up
 * again there, and what cannot be joined gains nothing: that is put into the near end's backlog.
 */
#ifndef IPIPOU_DECAP_H
#define IPIPOU_DECAP_H

#include "maps.h"
#include "packet.h"
#include "strangers.h"

/* The least that a request is padded to: the smallest inner packet that is worth asking for. */
#define PADDED_LENGTH 576

/* A packet on its way in. */
struct inbound {
	struct iphdr *outer;
	struct iphdr *inner;
	__u32 length; /* of the UDP payload */
	void *end;    /* of what can be read directly */
};

/* Whether the payload is an IPv4 packet, alone or with bytes after it. */
static __always_inline int looks_like_packet(const struct inbound *in)
{
	const struct iphdr *ip = in->inner;
	__u32 header, total;

	if (in->length < sizeof(*ip) || (void *)(ip + 1) > in->end || ip->version != 4)
		return 0;
	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	return header >= sizeof(*ip) && header <= total && total <= in->length;
}

/* Whether a header's checksum is right; headers with options count as right when they are not readable. */
static __always_inline int header_intact(const struct inbound *in)
{
	const __u32 *words = (const __u32 *)in->inner;
	__u64 sum = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < 15; i++) {
		if (i >= in->inner->ihl)
			break;
		if ((void *)(words + i + 1) > in->end)
			return 1;
		sum += words[i];
	}
	return fold(sum) == 0xffff;
}

/*
 * Whether a payload is data. Of the lengths of authentication packets only what is a packet of that
 * very length with a right header checksum: a random signature is one in 2^47.
 */
static __always_inline int is_data(const struct ipipou_config *config, const struct inbound *in)
{
	if (!looks_like_packet(in))
		return 0;
	if (!may_authenticate(config, in->length))
		return 1;
	return bpf_ntohs(in->inner->tot_len) == in->length && header_intact(in);
}

/* RFC 6040, section 4.2: the mark an inner packet goes on with, or -1 when it must be dropped. */
static __always_inline int ecn_in(__u8 outer, __u8 inner)
{
	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? -1 : ECN_CE;
	if (outer == ECN_ECT_1 && inner == ECN_ECT_0)
		return ECN_ECT_1;
	return inner;
}

static __always_inline int refuse_peer(struct ipipou_counters *counters, __u32 reason)
{
	__sync_fetch_and_add(&counters->rx_refused, 1);
	return refuse_in(reason);
}

/*
 * From an admitted path, and no data: authentication or an empty packet (a keepalive), within the peer's
 * budget, or junk. What is padded to ask whether the path takes its size may be of any length from
 * PADDED_LENGTH on.
 */
static __always_inline int control_of_peer(struct __sk_buff *skb,
					   const struct ipipou_config *config,
					   struct ipipou_counters *counters, __u32 length)
{
	if (length && !may_authenticate(config, length) && length < PADDED_LENGTH)
		return refuse_peer(counters, IPIPOU_REASON_MALFORMED);
	if (!bucket_take(&counters->peer_bucket, &config->rate_peer, bpf_ktime_get_ns()))
		return refuse_peer(counters, IPIPOU_REASON_PEER_BUDGET);
	return pass_up(skb);
}

static __always_inline int is_syn(const struct inbound *in)
{
	const struct iphdr *ip = in->inner;
	const struct tcphdr *tcp = (void *)ip + ip->ihl * 4;

	if (ip->protocol != IPPROTO_TCP || (ip->frag_off & bpf_htons(IP_OFFSET)))
		return 0;
	return (void *)(tcp + 1) <= in->end && tcp->syn;
}

/* Inner packets and bytes of what may be an aggregate: every segment has the headers. */
static __always_inline void count_in(struct __sk_buff *skb, struct ipipou_counters *counters,
				     const struct inbound *in)
{
	__u32 packets = 1, bytes = bpf_ntohs(in->inner->tot_len), size = skb->gso_size;

	if (size) {
		__u32 headers = in->inner->ihl * 4;
		const struct tcphdr *tcp = (void *)in->inner + headers;

		headers += in->inner->protocol == IPPROTO_TCP && (void *)(tcp + 1) <= in->end
				   ? tcp->doff * 4
				   : sizeof(struct udphdr);
		if (bytes > headers)
			packets = (bytes - headers + size - 1) / size;
		bytes += (packets - 1) * headers;
	}
	__sync_fetch_and_add(&counters->rx_packets, packets);
	__sync_fetch_and_add(&counters->rx_bytes, bytes);
}

/* Makes a packet of a device without link headers one that the pair takes; 0 when it could. */
static __always_inline long add_link_header(struct __sk_buff *skb,
					    const struct ipipou_config *config)
{
	struct ethhdr ethernet = { .h_proto = bpf_htons(ETH_P_IP) };

	__builtin_memcpy(ethernet.h_dest, config->near_mac, ETH_ALEN);
	if (bpf_skb_change_head(skb, sizeof(ethernet), 0))
		return -1;
	return bpf_skb_store_bytes(skb, 0, &ethernet, sizeof(ethernet), 0);
}

/* Strips the outer headers and hands the inner packet to the tunnel device. */
static __always_inline int deliver(struct __sk_buff *skb, const struct ipipou_config *config,
				   __u32 link, int backlog)
{
	if (bpf_skb_adjust_room(skb, -OUTER_LENGTH, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return refuse_in(IPIPOU_REASON_NO_ROOM);
	if (link == 0 && add_link_header(skb, config))
		return refuse_in(IPIPOU_REASON_NO_ROOM);
	if (backlog)
		return bpf_redirect(config->near_ifindex, BPF_F_INGRESS);
	return bpf_redirect(config->far_ifindex, 0);
}

/* A data packet of an admitted peer. */
static __always_inline int data_of_peer(struct __sk_buff *skb, struct ipipou_config *config,
					__u32 index, struct ipipou_peer *peer,
					struct ipipou_counters *counters, const struct inbound *in,
					__u32 link)
{
	__be32 source = in->inner->saddr;
	__u64 now = bpf_ktime_get_coarse_ns();
	int ecn, syn, backlog;

	if (!(peer->flags & IPIPOU_PEER_ANY_SOURCE) && source != peer->inner_ip &&
	    owner_of(config, source) != index)
		return refuse_peer(counters, IPIPOU_REASON_FOREIGN_SOURCE);
	ecn = ecn_in(in->outer->tos & ECN_MASK, in->inner->tos & ECN_MASK);
	if (ecn < 0)
		return refuse_peer(counters, IPIPOU_REASON_CONGESTION);
	if (ecn != (in->inner->tos & ECN_MASK))
		set_ecn(in->inner, ecn);
	count_in(skb, counters, in);
	counters->last_heard = now;
	if (skb->gso_size)
		counters->last_super = now;
	backlog = in->inner->protocol != IPPROTO_TCP || now - counters->last_super < AGGREGATE_MEMORY_NS;
	syn = is_syn(in);
	if (link)
		__builtin_memcpy((void *)in->outer - link, config->near_mac, ETH_ALEN);
	if (syn)
		clamp_mss(skb, link + OUTER_LENGTH + in->inner->ihl * 4, peer->inner_mtu);
	return deliver(skb, config, link, backlog);
}

/*
 * A packet to the port whose IP header has options, or of which there is more in other fragments: never
 * data; treated as a stranger's, whoever sent it.
 */
JUDGED_ALONE int unusual(struct __sk_buff *skb, struct ipipou_config *config, __u32 link)
{
	struct stray stray = {};
	struct udphdr udp;
	struct iphdr ip;

	if (!skb || !config || bpf_skb_load_bytes(skb, link, &ip, sizeof(ip)))
		return TC_ACT_UNSPEC;
	if (ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(IP_OFFSET)))
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, link + ip.ihl * 4, &udp, sizeof(udp)))
		return TC_ACT_UNSPEC;
	if (udp.dest != config->local_port)
		return TC_ACT_UNSPEC;
	stray.source = ip.saddr;
	stray.destination = ip.daddr;
	stray.payload_at = link + ip.ihl * 4 + sizeof(udp);
	stray.length = bpf_ntohs(udp.len) - sizeof(udp);
	return stranger(skb, config, &stray);
}

/* The index of the admitted peer on a packet's path, or IPIPOU_NO_PEER. */
static __always_inline __u32 sender_of(const struct outer *outer)
{
	struct ipipou_path path = {
		.local_ip = outer->ip.daddr,
		.remote_ip = outer->ip.saddr,
		.remote_port = outer->udp.source,
	};
	__u32 *index = bpf_map_lookup_elem(&ipipou_paths, &path);

	return index ? *index : IPIPOU_NO_PEER;
}

/*
 * Makes readable as much as is wanted of a packet on a device with a link header of `link` bytes: the outer
 * headers, and the inner ones as far as there are any. False when not even the outer ones are there.
 */
static __always_inline int headers_readable(struct __sk_buff *skb, __u32 link)
{
	const __u32 inner = link + OUTER_LENGTH + sizeof(struct iphdr);

	return readable(skb, inner + sizeof(struct tcphdr)) || readable(skb, inner) ||
	       readable(skb, link + OUTER_LENGTH);
}

#endif
