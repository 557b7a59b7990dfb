/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Out: from the tunnel device to an outer device. Theory of operation:
 *
 * On the tunnel device's egress an inner packet gets its outer headers and leaves by the peer's outer
 * device. Aggregates (GSO) get them once; the kernel cuts them up behind, as late as the device allows.
 *
 * A packet's UDP checksum costs no pass over the data where the inner one is known or will be
 * filled in by the device (local checksum offload of Documentation/networking/checksum-offloads.rst):
 * a segment and its own checksum sum up to what its pseudo header says. That is the same for all
 * segments of one length, whatever is in them, and the kernel has no way for a program to have the
 * checksum of each filled in, but copies what it finds: so an aggregate whose segments are all of one
 * length leaves with the checksum of each.
 *
 * Of others the last one's would be wrong. Nor can aggregates of datagrams (UDP_SEGMENT) leave: a
 * receiver in this same kernel could not take them apart. Such aggregates pass on to the far end of the
 * pair; the tunnel device has segmentation off, so the kernel cuts them up on that way, and the same
 * program on the far end's ingress gets single packets.
 *
 * A tag is of one packet, with its checksums, so all packets of a peer that has tags pass on to the far end, the
 * tunnel device being told that it fills in no checksums, and are tagged there.
 *
 * What has come out of a tunnel whose other end is in this same kernel (containers) is still marked as
 * tunnelled, and no program can take the mark away. The kernel marks nothing twice. A single packet needs
 * no more than the mark it has, with the places of its inner headers, which have not moved; of an
 * aggregate nobody can tell whether it was marked before or after it was joined, so it is cut up as above.
 */
#ifndef IPIPOU_ENCAP_H
#define IPIPOU_ENCAP_H

#include "maps.h"
#include "packet.h"
#include "tag.h"
#include "trains.h"

/* asm-generic/errno.h: bpf_skb_adjust_room() on what is marked as tunnelled. */
#define EALREADY 114

/* What keeps a packet's checksum state, and what an aggregate's outer headers need of the kernel besides. */
#define ENCAP_AGAIN_FLAGS (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET)
#define ENCAP_FLAGS (ENCAP_AGAIN_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L4_UDP)

/* More than fits into an IP packet with either outer header is not one packet (the kernel has no such). */
#define MAX_INNER (0xffff - OUTER6_LENGTH)

/* Bytes summed at a time, the most that the kernel takes; 64 KiB in all. */
#define SUM_CHUNK 512
#define SUM_CHUNKS 128

static __always_inline int refuse_out(struct ipipou_counters *counters, __u32 reason)
{
	if (counters)
		__sync_fetch_and_add(&counters->tx_refused, 1);
	count_reason(reason);
	return TC_ACT_SHOT;
}

/* Sum of `length` bytes of the packet from `at` on; -1 when they are not there. */
JUDGED_ALONE __s64 sum_bytes(struct __sk_buff *skb, __u32 at, __u32 length)
{
	__u32 zero = 0, i;
	struct ipipou_packet *room = bpf_map_lookup_elem(&ipipou_packet, &zero);
	__be32 *chunk;
	__s64 sum = 0;

	if (!skb || !room || length > 0xffff)
		return -1;
	chunk = (void *)room->bytes;
	for (i = 0; i < SUM_CHUNKS && length >= SUM_CHUNK; i++) {
		if (bpf_skb_load_bytes(skb, at, chunk, SUM_CHUNK))
			return -1;
		sum = bpf_csum_diff(0, 0, chunk, SUM_CHUNK, sum);
		at += SUM_CHUNK;
		length -= SUM_CHUNK;
	}
	if (length == 0 || length >= SUM_CHUNK)
		return length ? -1 : sum;
	__builtin_memset(chunk, 0, SUM_CHUNK);
	/* Spelled so that verifiers before 6.8 see that it is 1 to SUM_CHUNK. */
	asm volatile("" : "+r"(length));
	length = ((length - 1) & (SUM_CHUNK - 1)) + 1;
	if (bpf_skb_load_bytes(skb, at, chunk, length))
		return -1;
	return bpf_csum_diff(0, 0, chunk, SUM_CHUNK, sum);
}

/*
 * The first eight bytes of a struct ipipou_peer, read as one, so that a re-pointing in the same moment cannot
 * mix old and new.
 */
union endpoint {
	__u64 word;
	struct {
		__be32 ip;
		__be16 port;
		__u16 inner_mtu;
	};
	struct {
		__u32 place; /* in the map of ends, where the port is 0 */
		__u32 rest;
	};
};

/* An inner packet on its way out, as much as is needed after pointers have gone. */
struct outbound {
	union endpoint remote;
	__u32 length;
	__u32 segment; /* length of each packet of an aggregate, or `length` */
	__u32 headers; /* IP and transport, of an aggregate */
	__u32 header_length;
	__u32 ipv6; /* inside */
	__u8 tos;
	__u8 syn;
	__u8 near; /* it is on the near end */
	__u8 even; /* it is an aggregate of TCP whose segments are all of one length */
	__u32 extra; /* bytes of the tag, or 0 */
	struct tag tag;
	__s64 sum; /* of the tag and the inner packet, or of each of an aggregate, where checksums are on; else -1 */
};

static __always_inline int is_fragment(const struct iphdr *ip)
{
	return (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) != 0;
}

/*
 * Sum of an inner packet of `total` bytes, modulo 0xffff: its header sums up to nothing, and so does, with its pseudo
 * header, a segment that carries a checksum. Others are summed.
 */
static __always_inline __s64 inner_sum(struct __sk_buff *skb, const struct iphdr *ip, void *end,
				       __u32 total)
{
	__u32 header = ip->ihl * 4, length = total - header;
	const struct udphdr *udp = (void *)ip + header;
	int whole = !is_fragment(ip);

	if (whole &&
	    (ip->protocol == IPPROTO_TCP || (ip->protocol == IPPROTO_UDP && (void *)(udp + 1) <= end &&
					     udp->check))) {
		__u64 pseudo = (__u64)ip->saddr + ip->daddr + bpf_htons(ip->protocol) +
			       bpf_htons(length);

		return (__u16)~fold(pseudo);
	}
	return sum_bytes(skb, ETH_HLEN + header, length);
}

/*
 * The same of IPv6, whose header has no checksum. The addresses are in the header and, taken away, in the
 * pseudo header, so what is left are the header's first eight bytes and the rest of the pseudo header.
 */
static __always_inline __s64 inner_sum6(struct __sk_buff *skb, const struct ipv6hdr *ip, void *end,
					__u32 total)
{
	const struct udphdr *udp = (void *)(ip + 1);
	__be16 length = bpf_htons(total - sizeof(*ip));

	if (ip->nexthdr == IPPROTO_TCP || ip->nexthdr == IPPROTO_ICMPV6 ||
	    (ip->nexthdr == IPPROTO_UDP && (void *)(udp + 1) <= end && udp->check)) {
		__u64 pseudo = (__u64)length + bpf_htons(ip->nexthdr);

		return (__u64)*(const __u32 *)ip + length + *(const __u16 *)&ip->nexthdr +
		       (__u16)~fold(pseudo);
	}
	return sum_bytes(skb, ETH_HLEN, total);
}

/* What a UDP header carries; `sum` is of its ports and of its pseudo header, but for the length that is in both. */
static __always_inline __u16 udp_checksum(const struct outbound *out, __u64 sum)
{
	__be16 length = bpf_htons(out->segment + out->extra + sizeof(struct udphdr));
	__u16 check = ~fold(sum + 2 * (__u64)length + out->sum);

	return check ? check : 0xffff;
}

/* Fills in what goes around an inner packet. `sum` < 0: without a UDP checksum. */
static __always_inline void write_outer(struct outer *outer, const struct ipipou_config *config,
					const struct ipipou_peer *peer,
					const struct outbound *out)
{
	union endpoint remote = out->remote;
	__u16 length = out->length + out->extra + OUTER_LENGTH, udp_length = length - sizeof(struct iphdr);

	*(__u8 *)outer = IP_VERSION_AND_LENGTH;
	outer->ip.tos = out->tos & ECN_MASK;
	outer->ip.tot_len = bpf_htons(length);
	/* RFC 6864: what must not be fragmented needs no identification; the kernel sends 0 as well. */
	outer->ip.id = 0;
	outer->ip.frag_off = bpf_htons(IP_DF);
	outer->ip.ttl = config->ttl;
	outer->ip.protocol = IPPROTO_UDP;
	outer->ip.check = 0;
	outer->ip.saddr = peer->local_ip;
	outer->ip.daddr = remote.ip;
	outer->ip.check = header_checksum(&outer->ip);
	outer->udp.source = config->local_port;
	outer->udp.dest = remote.port;
	outer->udp.len = bpf_htons(udp_length);
	outer->udp.check = 0;
	if (out->sum >= 0) {
		__u64 sum = (__u64)peer->local_ip + remote.ip + bpf_htons(IPPROTO_UDP) +
			    outer->udp.source + remote.port;

		outer->udp.check = udp_checksum(out, sum);
	}
}

static __always_inline __u64 sum_of6(const struct ipipou_ip6 *ip)
{
	return (__u64)ip->word[0] + ip->word[1] + ip->word[2] + ip->word[3];
}

/* The same over IPv6. The flow label tells flows apart as the inner packets' headers do (RFC 6438). */
static __always_inline void write_outer6(struct outer6 *outer, const struct ipipou_config *config,
					 const struct ipipou_end6 *end, const struct outbound *out,
					 __u32 flow)
{
	__u32 first = 6 << 28 | (out->tos & ECN_MASK) << 20 | (flow & 0xfffff);

	*(__be32 *)outer = bpf_htonl(first);
	outer->ip.payload_len = bpf_htons(out->length + out->extra + sizeof(struct udphdr));
	outer->ip.nexthdr = IPPROTO_UDP;
	outer->ip.hop_limit = config->hop_limit;
	__builtin_memcpy(&outer->ip.saddr, &end->local_ip, sizeof(outer->ip.saddr));
	__builtin_memcpy(&outer->ip.daddr, &end->remote_ip, sizeof(outer->ip.daddr));
	outer->udp.source = config->local_port;
	outer->udp.dest = end->remote_port;
	outer->udp.len = outer->ip.payload_len;
	outer->udp.check = 0;
	if (out->sum >= 0)
		outer->udp.check =
			udp_checksum(out, sum_of6(&end->local_ip) + sum_of6(&end->remote_ip) +
						  bpf_htons(IPPROTO_UDP) + outer->udp.source +
						  outer->udp.dest);
}

static __always_inline void count_out(struct ipipou_counters *counters, const struct outbound *out)
{
	__u32 packets = 1, bytes = out->length;

	if (out->segment != out->length) {
		__u32 size = out->segment - out->headers;

		if (size && out->length > out->headers)
			packets = (out->length - out->headers + size - 1) / size;
		bytes += (packets - 1) * out->headers;
	}
	__sync_fetch_and_add(&counters->tx_packets, packets);
	__sync_fetch_and_add(&counters->tx_bytes, bytes);
}

/*
 * Hands a packet with its outer headers to the outer device. The kernel looks its route up: it may have
 * changed without anybody's word, and may depend on the source address.
 */
static __always_inline int leave(const struct ipipou_peer *peer)
{
	return bpf_redirect_neigh(peer->outer_ifindex, 0, 0, 0);
}

/* Sends an aggregate by the far end, and for a while what comes after it, to keep the order. */
static __always_inline int cut_up(struct ipipou_counters *counters)
{
	counters->last_cut = bpf_ktime_get_coarse_ns();
	return TC_ACT_OK;
}

/* Whether a single packet may be of a connection whose aggregates are cut up. */
static __always_inline int follows_a_cut(const struct ipipou_counters *counters)
{
	return bpf_ktime_get_coarse_ns() - counters->last_cut < AGGREGATE_MEMORY_NS;
}

/*
 * Makes room for the outer headers, of the family that `ipv6` says; 0 or a negative errno. What is marked as
 * tunnelled and leaves by the other family is told so with headers that are exchanged; decap.h does the same.
 */
static __always_inline long make_room(struct __sk_buff *skb, int ipv6, int inner_ipv6, int extra)
{
	const __u64 flags =
		ENCAP_FLAGS | (ipv6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	const int length = (ipv6 ? OUTER6_LENGTH : OUTER_LENGTH) + extra;
	long failed = bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC, flags);

	if (failed != -EALREADY || skb->gso_size)
		return failed;
	if (ipv6 && !inner_ipv6) {
		failed = bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0);
		return failed ? failed : bpf_skb_adjust_room(skb, OUTER_LENGTH + extra,
							     BPF_ADJ_ROOM_MAC, ENCAP_AGAIN_FLAGS);
	}
	if (!ipv6 && inner_ipv6) {
		failed = bpf_skb_adjust_room(skb, OUTER6_LENGTH + extra, BPF_ADJ_ROOM_MAC,
					     ENCAP_AGAIN_FLAGS);
		return failed ? failed : bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0);
	}
	return bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC, ENCAP_AGAIN_FLAGS);
}

/*
 * Makes the tag of a packet that is to change no more; the reason why it cannot leave, or -1. Where the number that a
 * peer had is no more there it has another by now.
 */
JUDGED_ALONE int add_tag(struct __sk_buff *skb, struct ipipou_peer *peer, struct outbound *out)
{
	struct ipipou_tag_out *by;
	__u32 number;
	__u64 counter;

	if (!skb || !peer || !out || !may_have(IPIPOU_TAGS))
		return IPIPOU_REASON_NO_ROOM;
	number = *(volatile __u32 *)&peer->tags_out;
	by = bpf_map_lookup_elem(&ipipou_tags_out, &number);
	if (!by) {
		number = *(volatile __u32 *)&peer->tags_out;
		by = bpf_map_lookup_elem(&ipipou_tags_out, &number);
	}
	if (!by)
		return IPIPOU_REASON_NO_PEER;
	if (out->length > IPIPOU_TAG_MAX)
		return IPIPOU_REASON_TOO_BIG;
	counter = __sync_fetch_and_add(&by->counter, 1);
	if (counter > 0xffffffff)
		return IPIPOU_REASON_EXHAUSTED;
	out->tag.head = (__u64)bpf_htonl(counter) << 32 | by->head;
	if (!make_tag(skb, ETH_HLEN, out->length, &by->key, &out->tag))
		return IPIPOU_REASON_NO_ROOM;
	out->extra = TAG_LENGTH;
	if (out->sum >= 0)
		out->sum += (out->tag.head & 0xffffffff) + (out->tag.head >> 32) +
			    (out->tag.tag & 0xffffffff) + (out->tag.tag >> 32);
	return -1;
}

/* Writes the tag, if there is one, into the room for it; false when there is none. */
static __always_inline int write_tag(struct __sk_buff *skb, void *room, const struct outbound *out)
{
	struct tag *tag = room;

	if (!may_have(IPIPOU_TAGS) || !out->extra)
		return 1;
	if ((void *)(tag + 1) > (void *)(long)skb->data_end)
		return 0;
	*tag = out->tag;
	return 1;
}

/* Whom a packet could not be given room for: an aggregate may be by the other way. */
static __always_inline int without_room(const struct outbound *out,
					struct ipipou_counters *counters, long failed)
{
	if (failed == -EALREADY && out->near)
		return cut_up(counters);
	return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
}

/* To a peer at an address of IPv6. */
JUDGED_ALONE int wrap6(struct __sk_buff *skb, struct ipipou_config *config,
		       struct ipipou_peer *peer, struct ipipou_counters *counters,
		       struct outbound *out)
{
	struct ipipou_end6 *end;
	struct outer6 *outer;
	__u32 place, flow;
	long failed;

	if (!skb || !config || !peer || !counters || !out || !may_have(IPIPOU_OUTSIDE6))
		return TC_ACT_SHOT;
	place = out->remote.place;
	end = bpf_map_lookup_elem(&ipipou_ends6, &place);
	if (!end)
		return refuse_out(counters, IPIPOU_REASON_NO_PEER);
	flow = bpf_get_hash_recalc(skb);
	failed = make_room(skb, 1, out->ipv6, out->extra);
	if (failed)
		return without_room(out, counters, failed);
	outer = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)(outer + 1) > (void *)(long)skb->data_end)
		return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	if (!write_tag(skb, outer + 1, out))
		return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	write_outer6(outer, config, end, out, flow);
	count_out(counters, out);
	return leave(peer);
}

static __always_inline int wrap(struct __sk_buff *skb, struct ipipou_config *config,
				struct ipipou_peer *peer, struct ipipou_counters *counters,
				struct outbound *out, int ipv6)
{
	struct outer *outer;
	long failed;

	if (out->segment > out->remote.inner_mtu)
		return refuse_out(counters, IPIPOU_REASON_TOO_BIG);
	if (out->syn)
		clamp_mss(skb, ETH_HLEN + out->header_length,
			  mss_of(out->remote.inner_mtu,
				 ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)));
	if (may_have(IPIPOU_TAGS) && peer->tags_out) {
		int failed_by = add_tag(skb, peer, out);

		if (failed_by >= 0)
			return refuse_out(counters, failed_by);
	}
	if (!out->remote.port)
		return wrap6(skb, config, peer, counters, out);
	failed = make_room(skb, 0, ipv6, out->extra);
	if (failed)
		return without_room(out, counters, failed);
	outer = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)(outer + 1) > (void *)(long)skb->data_end)
		return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	if (!write_tag(skb, outer + 1, out))
		return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	write_outer(outer, config, peer, out);
	count_out(counters, out);
	return leave(peer);
}

/* Whether the outer header to a peer carries a UDP checksum. */
static __always_inline int has_checksum(const struct ipipou_config *config,
					const struct outbound *out)
{
	return out->remote.port ? has(config, IPIPOU_UDP_CHECKSUM) : has(config, IPIPOU_UDP_CHECKSUM6);
}

/* What becomes of a packet before it gets outer headers. */
enum way {
	DIRECT,	     /* it gets them here */
	BY_FAR_END,  /* it passes on to the far end */
	AGGREGATED,  /* it cannot be, where it is */
};

static __always_inline enum way way_of(const struct __sk_buff *skb,
				       const struct ipipou_config *config,
				       const struct ipipou_peer *peer,
				       struct ipipou_counters *counters,
				       const struct outbound *out, __u8 protocol)
{
	if (!out->near)
		return skb->gso_size ? AGGREGATED : DIRECT;
	if (peer->tags_out)
		return BY_FAR_END;
	if (!skb->gso_size)
		return follows_a_cut(counters) ? BY_FAR_END : DIRECT;
	if (protocol == IPPROTO_TCP && out->length <= MAX_INNER &&
	    (!has_checksum(config, out) || out->even))
		return DIRECT;
	cut_up(counters);
	return BY_FAR_END;
}

/* What is to be known of the segments of what may be an aggregate. */
static __always_inline void note_segments(const struct __sk_buff *skb, struct outbound *out,
					  const struct tcphdr *tcp, void *end, __u8 protocol)
{
	__u32 size = skb->gso_size;
	int is_tcp = protocol == IPPROTO_TCP && (void *)(tcp + 1) <= end;

	out->segment = out->length;
	if (!size)
		return;
	out->headers = out->header_length + (is_tcp ? tcp->doff * 4 : sizeof(struct udphdr));
	out->segment = size + out->headers;
	out->even = is_tcp && out->length > out->headers && (out->length - out->headers) % size == 0;
}

static __always_inline int refuse_foreign(const struct ipipou_config *config)
{
	return refuse_out(0, has(config, IPIPOU_INSIDE4) ? IPIPOU_REASON_NOT_IPV4
							    : IPIPOU_REASON_NOT_IPV6);
}

/* A packet of IPv6. */
JUDGED_ALONE int encap6(struct __sk_buff *skb, struct ipipou_config *config)
{
	struct ipipou_counters *counters;
	struct outbound out = { .ipv6 = 1, .sum = -1 };
	struct ipipou_peer *peer;
	struct ipv6hdr *ip;
	struct tcphdr *tcp;
	enum way way;
	void *end;
	__u32 index;

	if (!skb || !config)
		return TC_ACT_SHOT;
	if (!has(config, IPIPOU_INSIDE6))
		return refuse_foreign(config);
	if (!readable(skb, ETH_HLEN + sizeof(*ip) + sizeof(*tcp)) &&
	    !readable(skb, ETH_HLEN + sizeof(*ip)))
		return refuse_out(0, IPIPOU_REASON_NOT_IPV6);
	ip = (void *)(long)skb->data + ETH_HLEN;
	tcp = (void *)(ip + 1);
	end = (void *)(long)skb->data_end;
	if ((void *)tcp > end)
		return refuse_out(0, IPIPOU_REASON_NOT_IPV6);
	out.length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	out.header_length = sizeof(*ip);
	out.tos = traffic_class(ip);
	if (ip->version != 6 || out.length != skb->len - ETH_HLEN)
		return refuse_out(0, IPIPOU_REASON_NOT_IPV6);
	if (is_multicast6(&ip->daddr) || is_reserved6(&ip->daddr))
		return refuse_out(0, IPIPOU_REASON_NO_PEER);
	index = owner_of6(config, &ip->daddr);
	if (index == IPIPOU_NO_PEER && !is_link_local6(&ip->daddr))
		index = config->default_peer;
	peer = peer_at(index);
	counters = bpf_map_lookup_elem(&ipipou_counters, &index);
	if (!peer || !counters)
		return refuse_out(0, IPIPOU_REASON_NO_PEER);
	out.remote.word = *(volatile __u64 *)peer;
	if (out.remote.inner_mtu < IPIPOU_IPV6_MIN_MTU)
		return refuse_out(counters, IPIPOU_REASON_NO_IPV6);
	out.near = skb->ifindex != config->far_ifindex;
	note_segments(skb, &out, tcp, end, ip->nexthdr);
	way = way_of(skb, config, peer, counters, &out, ip->nexthdr);
	if (way != DIRECT)
		return way == BY_FAR_END ? TC_ACT_OK : refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	if (out.length > MAX_INNER)
		return refuse_out(counters, IPIPOU_REASON_TOO_BIG);
	out.syn = ip->nexthdr == IPPROTO_TCP && (void *)(tcp + 1) <= end && tcp->syn;
	if (has_checksum(config, &out))
		out.sum = inner_sum6(skb, ip, end, out.segment);
	return wrap(skb, config, peer, counters, &out, 1);
}

/* And one of IPv4. */
JUDGED_ALONE int encap4(struct __sk_buff *skb, struct ipipou_config *config)
{
	struct ipipou_counters *counters;
	struct outbound out = { .sum = -1 };
	struct ipipou_peer *peer;
	struct iphdr *ip;
	struct tcphdr *tcp;
	enum way way;
	void *end;
	__u32 index, header;

	if (!skb || !config)
		return TC_ACT_SHOT;
	if (skb->protocol != bpf_htons(ETH_P_IP) || !has(config, IPIPOU_INSIDE4))
		return refuse_foreign(config);
	if (!readable(skb, ETH_HLEN + sizeof(*ip) + sizeof(*tcp)) &&
	    !readable(skb, ETH_HLEN + sizeof(*ip)))
		return refuse_out(0, IPIPOU_REASON_NOT_IPV4);
	ip = (void *)(long)skb->data + ETH_HLEN;
	end = (void *)(long)skb->data_end;
	if ((void *)(ip + 1) > end)
		return refuse_out(0, IPIPOU_REASON_NOT_IPV4);
	out.length = bpf_ntohs(ip->tot_len);
	header = ip->ihl * 4;
	/* The verifier knows its bound, so it has to be what is used. */
	asm volatile("" : "+r"(header));
	out.header_length = header;
	out.tos = ip->tos;
	if (ip->version != 4 || out.header_length < sizeof(*ip) || out.length < out.header_length ||
	    out.length != skb->len - ETH_HLEN)
		return refuse_out(0, IPIPOU_REASON_NOT_IPV4);
	index = owner_of(config, ip->daddr);
	if (index == IPIPOU_NO_PEER)
		index = config->default_peer;
	peer = peer_at(index);
	counters = bpf_map_lookup_elem(&ipipou_counters, &index);
	if (!peer || !counters)
		return refuse_out(0, IPIPOU_REASON_NO_PEER);
	out.remote.word = *(volatile __u64 *)peer;
	tcp = (void *)ip + header;
	out.near = skb->ifindex != config->far_ifindex;
	note_segments(skb, &out, tcp, end, ip->protocol);
	way = way_of(skb, config, peer, counters, &out, ip->protocol);
	if (way != DIRECT)
		return way == BY_FAR_END ? TC_ACT_OK : refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	if (out.length > MAX_INNER)
		return refuse_out(counters, IPIPOU_REASON_TOO_BIG);
	out.syn = ip->protocol == IPPROTO_TCP && !(ip->frag_off & bpf_htons(IP_OFFSET)) &&
		  (void *)(tcp + 1) <= end && tcp->syn;
	if (has_checksum(config, &out))
		out.sum = inner_sum(skb, ip, end, out.segment);
	return wrap(skb, config, peer, counters, &out, 0);
}

static __always_inline int encap(struct __sk_buff *skb)
{
	struct ipipou_config *config = config_of();

	if (!config)
		return TC_ACT_SHOT;
	if (skb->tc_index == IPIPOU_OUT_OF_TRAIN)
		return skb->ifindex == config->far_ifindex ? out_of_train(skb, config) : TC_ACT_UNSPEC;
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return encap6(skb, config);
	return encap4(skb, config);
}

#endif
