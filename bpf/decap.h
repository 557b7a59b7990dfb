/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * In: from an outer device to the tunnel device. Theory of operation:
 *
 * A packet to the port, on the exact path (both addresses, both ports) of an admitted peer, that holds
 * a sane inner packet from one of that peer's addresses, comes out of the tunnel device, whichever of
 * IPv4 and IPv6 is outside and inside. Nothing else ever does. What is not to the port is not looked at
 * further; the rest goes up to the socket on the port within budgets (strangers.h), or is refused.
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

/* A packet on its way in. `headers` is known where a function is compiled, where there is no tag. */
struct inbound {
	void *frame; /* what is on the way outside, with its link header */
	void *inner;
	void *end;     /* of what can be read directly */
	__u32 length;  /* of the UDP payload, without a tag */
	__u32 headers; /* length of those around the payload, without a tag */
	__u32 tag;     /* and of that */
	int whole;     /* the tag proves every byte */
	__u8 tos;      /* type of service or traffic class of the outer header */
};

/* The length of the packet that a payload begins with, of a family that is carried; 0 where there is none. */
static __always_inline __u32 packet_length(const struct ipipou_config *config,
					   const struct inbound *in)
{
	const struct ipv6hdr *ip6 = in->inner;
	const struct iphdr *ip = in->inner;
	__u32 header, total;

	if (in->length < sizeof(*ip) || (void *)(ip + 1) > in->end)
		return 0;
	if (ip->version == 4) {
		header = ip->ihl * 4;
		total = bpf_ntohs(ip->tot_len);
		if (!has(config, IPIPOU_INSIDE4) || header < sizeof(*ip) || header > total)
			return 0;
		return total <= in->length ? total : 0;
	}
	if (ip->version != 6 || !has(config, IPIPOU_INSIDE6) || in->length < sizeof(*ip6) ||
	    (void *)(ip6 + 1) > in->end)
		return 0;
	total = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
	return total <= in->length ? total : 0;
}

/* Whether a header's checksum is right; headers with options count as right when they are not readable. */
static __always_inline int header_intact(const struct inbound *in)
{
	const __u32 *words = (const __u32 *)in->inner;
	__u64 sum = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < 15; i++) {
		if (i >= ((const struct iphdr *)in->inner)->ihl)
			break;
		if ((void *)(words + i + 1) > in->end)
			return 1;
		sum += words[i];
	}
	return fold(sum) == 0xffff;
}

/*
 * Whether a payload that begins with a packet of `total` bytes is data. Of the lengths of authentication
 * packets only what is a packet of that very length with a right header checksum: a random signature is one
 * in 2^47. There is none in IPv6, where the source has to be the peer's as well (data6_of_peer()).
 */
static __always_inline int is_data(const struct ipipou_config *config, const struct inbound *in,
				   __u32 total)
{
	if (!total)
		return 0;
	if (!may_authenticate(config, in->length))
		return 1;
	return total == in->length &&
	       (((const struct iphdr *)in->inner)->version != 4 || header_intact(in));
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
static __always_inline int control_of_peer(struct __sk_buff *skb, struct ipipou_config *config,
					   struct ipipou_counters *counters,
					   const struct inbound *in, __u32 link)
{
	__u32 length = in->length;

	if (length == IPIPOU_INIT_LENGTH &&
	    init_of(skb, config, link + in->headers, length) == FORGED_INIT)
		return refuse_peer(counters, IPIPOU_REASON_MAC1);
	if (length && !may_authenticate(config, length) && length < PADDED_LENGTH)
		return refuse_peer(counters, IPIPOU_REASON_MALFORMED);
	if (!bucket_take(&counters->peer_bucket, &config->rate_peer, bpf_ktime_get_ns()))
		return refuse_peer(counters, IPIPOU_REASON_PEER_BUDGET);
	return pass_up(skb);
}

/* Whether there is the beginning of a connection behind an inner header of `header` bytes. */
static __always_inline int is_syn(const struct inbound *in, __u32 header)
{
	const struct tcphdr *tcp = in->inner + header;

	return (void *)(tcp + 1) <= in->end && tcp->syn;
}

/* Inner packets and bytes of what may be an aggregate: every segment has the headers. */
static __always_inline void count_in(struct __sk_buff *skb, struct ipipou_counters *counters,
				     const struct inbound *in, __u32 header, __u8 protocol,
				     __u32 bytes)
{
	__u32 packets = 1, size = skb->gso_size;

	if (size) {
		const struct tcphdr *tcp = in->inner + header;

		header += protocol == IPPROTO_TCP && (void *)(tcp + 1) <= in->end
				  ? tcp->doff * 4
				  : sizeof(struct udphdr);
		if (bytes > header)
			packets = (bytes - header + size - 1) / size;
		bytes += (packets - 1) * header;
	}
	__sync_fetch_and_add(&counters->rx_packets, packets);
	__sync_fetch_and_add(&counters->rx_bytes, bytes);
}

/* Notes that a peer is heard; whether what it sends has to go into the near end's backlog. */
static __always_inline int hear(const struct __sk_buff *skb, struct ipipou_counters *counters,
				__u8 protocol)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	counters->last_heard = now;
	if (skb->gso_size)
		counters->last_super = now;
	return protocol != IPPROTO_TCP || now - counters->last_super < AGGREGATE_MEMORY_NS;
}

/* Makes a packet of a device without link headers one that the pair takes; 0 when it could. */
static __always_inline long add_link_header(struct __sk_buff *skb,
					    const struct ipipou_config *config, __be16 type)
{
	struct ethhdr ethernet = { .h_proto = type };

	__builtin_memcpy(ethernet.h_dest, config->near_mac, ETH_ALEN);
	if (bpf_skb_change_head(skb, sizeof(ethernet), 0))
		return -1;
	return bpf_skb_store_bytes(skb, 0, &ethernet, sizeof(ethernet), 0);
}

/* Writes what the link header says to the tunnel device over that of the outer device. */
static __always_inline void readdress(const struct ipipou_config *config, const struct inbound *in,
				      __be16 type)
{
	struct ethhdr *ethernet = in->frame;

	__builtin_memcpy(ethernet->h_dest, config->near_mac, ETH_ALEN);
	ethernet->h_proto = type;
}

/*
 * Strips the outer headers. Where the families differ the kernel has to be told of the inner one, or it takes
 * the packet for one of the outer family: one that is too short for that, and an aggregate that is not there.
 * What tells it on every kernel exchanges one IP header for one of the other family's length.
 */
static __always_inline long strip(struct __sk_buff *skb, const struct inbound *in, int ipv6)
{
	int crossed = ipv6 != (in->headers == OUTER6_LENGTH);
	int length = (ipv6 ? OUTER6_LENGTH : OUTER_LENGTH) + in->tag;

	if (crossed && bpf_skb_change_proto(skb, bpf_htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP), 0))
		return -1;
	return bpf_skb_adjust_room(skb, -length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

/* Strips the outer headers and hands the inner packet to the tunnel device. */
static __always_inline int deliver(struct __sk_buff *skb, const struct ipipou_config *config,
				   __u32 link, const struct inbound *in, int ipv6, int backlog)
{
	if (strip(skb, in, ipv6))
		return refuse_in(IPIPOU_REASON_NO_ROOM);
	if (link == 0 && add_link_header(skb, config, bpf_htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP)))
		return refuse_in(IPIPOU_REASON_NO_ROOM);
	/* What is as it was sent needs no sum to show it; the kernel takes WireGuard's packets so as well. */
	if (in->whole)
		bpf_csum_level(skb, BPF_CSUM_LEVEL_INC);
	if (backlog)
		return bpf_redirect(config->near_ifindex, BPF_F_INGRESS);
	return bpf_redirect(config->far_ifindex, 0);
}

/* A data packet of an admitted peer; IPv4 inside. */
static __always_inline int data4_of_peer(struct __sk_buff *skb, struct ipipou_config *config,
					 __u32 index, struct ipipou_peer *peer,
					 struct ipipou_counters *counters, const struct inbound *in,
					 __u32 link)
{
	struct iphdr *ip = in->inner;
	__be32 source = ip->saddr;
	__u32 header = ip->ihl * 4;
	int ecn, syn, backlog;

	if (!(peer->flags & IPIPOU_PEER_ANY_SOURCE) && source != peer->inner_ip &&
	    owner_of(config, source) != index)
		return refuse_peer(counters, IPIPOU_REASON_FOREIGN_SOURCE);
	ecn = ecn_in(in->tos & ECN_MASK, ip->tos & ECN_MASK);
	if (ecn < 0)
		return refuse_peer(counters, IPIPOU_REASON_CONGESTION);
	if (ecn != (ip->tos & ECN_MASK))
		set_ecn(ip, ecn);
	count_in(skb, counters, in, header, ip->protocol, bpf_ntohs(ip->tot_len));
	backlog = hear(skb, counters, ip->protocol);
	syn = ip->protocol == IPPROTO_TCP && !(ip->frag_off & bpf_htons(IP_OFFSET)) &&
	      is_syn(in, header);
	if (link)
		readdress(config, in, bpf_htons(ETH_P_IP));
	if (syn)
		clamp_mss(skb, link + in->headers + in->tag + header, mss_of(peer->inner_mtu, sizeof(*ip)));
	return deliver(skb, config, link, in, 0, backlog);
}

/*
 * Whether a packet of IPv6 may come from a peer. What may send from any address may do so from hosts': who
 * has a link's address or the like has to be told to have it.
 */
static __always_inline int is_own6(const struct ipipou_config *config,
				   const struct ipipou_peer *peer, __u32 index,
				   const struct ipv6hdr *ip)
{
	if (is_multicast6(&ip->saddr) || is_reserved6(&ip->saddr) || is_reserved6(&ip->daddr))
		return 0;
	if ((peer->flags & IPIPOU_PEER_ANY_SOURCE) && !is_link_local6(&ip->saddr))
		return 1;
	return owner_of6(config, &ip->saddr) == index;
}

/* The same; IPv6 inside. */
static __always_inline int data6_of_peer(struct __sk_buff *skb, struct ipipou_config *config,
					 __u32 index, struct ipipou_peer *peer,
					 struct ipipou_counters *counters, const struct inbound *in,
					 __u32 link)
{
	struct ipv6hdr *ip = in->inner;
	int ecn, syn, backlog;

	if ((void *)(ip + 1) > in->end)
		return refuse_peer(counters, IPIPOU_REASON_MALFORMED);
	if (!is_own6(config, peer, index, ip)) {
		if (!in->tag && may_authenticate(config, in->length))
			return control_of_peer(skb, config, counters, in, link);
		return refuse_peer(counters, IPIPOU_REASON_FOREIGN_SOURCE);
	}
	ecn = ecn_in(in->tos & ECN_MASK, traffic_class(ip) & ECN_MASK);
	if (ecn < 0)
		return refuse_peer(counters, IPIPOU_REASON_CONGESTION);
	if (ecn != (traffic_class(ip) & ECN_MASK))
		set_ecn6(ip, ecn);
	count_in(skb, counters, in, sizeof(*ip), ip->nexthdr,
		 sizeof(*ip) + bpf_ntohs(ip->payload_len));
	backlog = hear(skb, counters, ip->nexthdr);
	syn = ip->nexthdr == IPPROTO_TCP && is_syn(in, sizeof(*ip));
	if (link)
		readdress(config, in, bpf_htons(ETH_P_IPV6));
	if (syn)
		clamp_mss(skb, link + in->headers + in->tag + sizeof(*ip),
			  mss_of(peer->inner_mtu, sizeof(*ip)));
	return deliver(skb, config, link, in, 1, backlog);
}

static __always_inline int data_of_peer(struct __sk_buff *skb, struct ipipou_config *config,
					__u32 index, struct ipipou_peer *peer,
					struct ipipou_counters *counters, const struct inbound *in,
					__u32 link)
{
	if (!may_have(IPIPOU_INSIDE6) || ((const struct iphdr *)in->inner)->version == 4)
		return data4_of_peer(skb, config, index, peer, counters, in, link);
	return data6_of_peer(skb, config, index, peer, counters, in, link);
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
	stray.source.word[0] = ip.saddr;
	stray.destination.word[0] = ip.daddr;
	stray.source_port = udp.source;
	stray.payload_at = link + ip.ihl * 4 + sizeof(udp);
	stray.length = bpf_ntohs(udp.len) - sizeof(udp);
	return stranger(skb, config, &stray);
}

/* Headers of IPv6 that are looked behind of; a sender of ours has none. */
#define MAX_EXTENSIONS 8
#define IPPROTO_MOBILITY 135
/* linux/ipv6.h: of struct frag_hdr. */
#define FRAGMENT_LENGTH 8
#define FRAGMENT_OFFSET 0xfff8

/*
 * A packet of IPv6 with extension headers, fragments among them: refused where it is to the port, whoever sent
 * it. What is behind more headers than this reaches the socket as what came round the devices does.
 */
JUDGED_ALONE int unusual6(struct __sk_buff *skb, struct ipipou_config *config, __u32 link)
{
	struct stray stray = { .ipv6 = 1, .unusual = 1 };
	__u32 at = link + sizeof(struct ipv6hdr), i;
	struct ipv6hdr ip;
	__be16 ports[2];
	__u8 next;

	if (!skb || !config || !may_have(IPIPOU_OUTSIDE6) ||
	    bpf_skb_load_bytes(skb, link, &ip, sizeof(ip)))
		return TC_ACT_UNSPEC;
	next = ip.nexthdr;
	for (i = 0; i < MAX_EXTENSIONS && next != IPPROTO_UDP; i++) {
		struct {
			__u8 next;
			__u8 length;
			__be16 offset; /* of a fragment */
		} header;

		if (bpf_skb_load_bytes(skb, at, &header, sizeof(header)))
			return TC_ACT_UNSPEC;
		switch (next) {
		case IPPROTO_FRAGMENT:
			if (header.offset & bpf_htons(FRAGMENT_OFFSET))
				return TC_ACT_UNSPEC;
			at += FRAGMENT_LENGTH;
			break;
		case IPPROTO_AH:
			at += (header.length + 2) * 4;
			break;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_MOBILITY:
			at += (header.length + 1) * 8;
			break;
		default:
			return TC_ACT_UNSPEC;
		}
		next = header.next;
	}
	if (next != IPPROTO_UDP || bpf_skb_load_bytes(skb, at, ports, sizeof(ports)) ||
	    ports[1] != config->local_port)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(&stray.source, &ip.saddr, sizeof(stray.source));
	__builtin_memcpy(&stray.destination, &ip.daddr, sizeof(stray.destination));
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

static __always_inline __u32 sender_of6(const struct outer6 *outer)
{
	struct ipipou_path6 path = { .remote_port = outer->udp.source };
	__u32 *index;

	__builtin_memcpy(&path.local_ip, &outer->ip.daddr, sizeof(path.local_ip));
	__builtin_memcpy(&path.remote_ip, &outer->ip.saddr, sizeof(path.remote_ip));
	index = bpf_map_lookup_elem(&ipipou_paths6, &path);
	return index ? *index : IPIPOU_NO_PEER;
}

/*
 * Makes readable as much as is wanted of a packet whose link and outer headers have `outer` bytes: these, and
 * the inner ones as far as there are any. False when not even the outer ones are there. No more is asked for
 * than there is of IPv4, since behind its headers the data may be in pages, and copying costs.
 */
static __always_inline int headers_readable(struct __sk_buff *skb, __u32 outer)
{
	const __u32 inner = outer + sizeof(struct iphdr), inner6 = inner + IPV6_EXTRA;
	const __u8 *first;

	if (!readable(skb, inner + sizeof(struct tcphdr)) && !readable(skb, inner) &&
	    !readable(skb, outer))
		return 0;
	first = (void *)(long)skb->data + outer;
	if ((void *)(first + 1) <= (void *)(long)skb->data_end && *first >> 4 == 6 &&
	    !readable(skb, inner6 + sizeof(struct tcphdr)))
		readable(skb, inner6);
	return 1;
}

#endif
