/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Out: from the tunnel device to an outer device. Theory of operation:
 *
 * On the tunnel device's egress an inner packet gets its outer headers and leaves by the peer's outer
 * device. Aggregates (GSO) get them once; the kernel cuts them up behind, as late as the device allows.
 *
 * With UDP checksums that is not possible: the kernel has no way for a program to have the checksum
 * of each segment filled in. Nor is it with aggregates of datagrams (UDP_SEGMENT): a receiver in this
 * same kernel could not take them apart. Such aggregates pass on to the far end of the pair; the tunnel
 * device has segmentation off, so the kernel cuts them up on that way, and the same program on the far
 * end's ingress gets single packets.
 *
 * A single packet's checksum costs no pass over the data where the inner one is known or will be
 * filled in by the device (local checksum offload of Documentation/networking/checksum-offloads.rst):
 * a segment and its own checksum sum up to what its pseudo header says.
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
#include "trains.h"

#define AF_INET 2

/* asm-generic/errno.h: bpf_skb_adjust_room() on what is marked as tunnelled. */
#define EALREADY 114

/* What an aggregate's outer headers need of the kernel, and what keeps its checksum state. */
#define ENCAP_FLAGS                                                                                \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |   \
	 BPF_F_ADJ_ROOM_NO_CSUM_RESET)

#define ENCAP_AGAIN_FLAGS (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET)

/* Bytes summed at a time; at most 64 KiB in all. */
#define SUM_CHUNK 256
#define SUM_CHUNKS 256

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
	__u8 chunk[SUM_CHUNK] = {};
	__s64 sum = 0;
	__u32 i;

	if (!skb || length > 0xffff)
		return -1;
	for (i = 0; i < SUM_CHUNKS && length >= SUM_CHUNK; i++) {
		if (bpf_skb_load_bytes(skb, at, chunk, SUM_CHUNK))
			return -1;
		sum = bpf_csum_diff(0, 0, (__be32 *)chunk, SUM_CHUNK, sum);
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
	return bpf_csum_diff(0, 0, (__be32 *)chunk, SUM_CHUNK, sum);
}

/* An inner packet on its way out, as much as is needed after pointers have gone. */
struct outbound {
	__u32 length;
	__u32 segment; /* length of each packet of an aggregate, or `length` */
	__u32 headers; /* IP and transport, of an aggregate */
	__u8 tos;
	__u8 syn;
	__u32 header_length;
	__s64 sum; /* of the inner packet, where checksums are on */
};

static __always_inline int is_fragment(const struct iphdr *ip)
{
	return (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) != 0;
}

/*
 * Sum of an inner packet, modulo 0xffff: its header sums up to nothing, and so does, with its pseudo
 * header, a segment that carries a checksum. Others are summed.
 */
static __always_inline __s64 inner_sum(struct __sk_buff *skb, const struct iphdr *ip, void *end)
{
	__u32 header = ip->ihl * 4, length = bpf_ntohs(ip->tot_len) - header;
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

/* The beginning of a struct ipipou_peer. */
union endpoint {
	__u64 word;
	struct {
		__be32 ip;
		__be16 port;
		__u16 inner_mtu;
	};
};

/* Fills in what goes around an inner packet. `sum` < 0: without a UDP checksum. */
static __always_inline void write_outer(struct outer *outer, const struct ipipou_config *config,
					const struct ipipou_peer *peer, union endpoint remote,
					const struct outbound *out)
{
	__u16 length = out->length + OUTER_LENGTH, udp_length = length - sizeof(struct iphdr);

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
			    2 * (__u64)outer->udp.len + outer->udp.source + remote.port + out->sum;
		__u16 check = ~fold(sum);

		outer->udp.check = check ? check : 0xffff;
	}
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

/* Makes room for the outer headers; 0 or a negative errno. */
static __always_inline long make_room(struct __sk_buff *skb)
{
	long failed = bpf_skb_adjust_room(skb, OUTER_LENGTH, BPF_ADJ_ROOM_MAC, ENCAP_FLAGS);

	if (failed != -EALREADY || skb->gso_size)
		return failed;
	return bpf_skb_adjust_room(skb, OUTER_LENGTH, BPF_ADJ_ROOM_MAC, ENCAP_AGAIN_FLAGS);
}

static __always_inline int wrap(struct __sk_buff *skb, const struct ipipou_config *config,
				const struct ipipou_peer *peer, struct ipipou_counters *counters,
				struct outbound *out)
{
	/* One read, so that a re-pointing in the same moment cannot mix old and new. */
	union endpoint remote = { .word = *(volatile __u64 *)peer };
	struct outer *outer;
	long failed;

	if (out->segment > remote.inner_mtu)
		return refuse_out(counters, IPIPOU_REASON_TOO_BIG);
	if (out->syn)
		clamp_mss(skb, ETH_HLEN + out->header_length, remote.inner_mtu);
	failed = make_room(skb);
	if (failed == -EALREADY && skb->ifindex != config->far_ifindex)
		return cut_up(counters);
	if (failed)
		return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	outer = (void *)(long)skb->data + ETH_HLEN;
	if ((void *)(outer + 1) > (void *)(long)skb->data_end)
		return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	write_outer(outer, config, peer, remote, out);
	count_out(counters, out);
	return leave(peer);
}

static __always_inline int encap(struct __sk_buff *skb)
{
	struct ipipou_config *config = config_of();
	struct ipipou_counters *counters;
	struct ipipou_peer *peer;
	struct outbound out = {};
	struct iphdr *ip;
	struct tcphdr *tcp;
	void *end;
	__u32 index;

	if (!config)
		return TC_ACT_SHOT;
	if (skb->tc_index == IPIPOU_OUT_OF_TRAIN)
		return skb->ifindex == config->far_ifindex ? out_of_train(skb, config) : TC_ACT_UNSPEC;
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return refuse_out(0, IPIPOU_REASON_NOT_IPV4);
	if (!readable(skb, ETH_HLEN + sizeof(*ip) + sizeof(*tcp)) &&
	    !readable(skb, ETH_HLEN + sizeof(*ip)))
		return refuse_out(0, IPIPOU_REASON_NOT_IPV4);
	ip = (void *)(long)skb->data + ETH_HLEN;
	end = (void *)(long)skb->data_end;
	if ((void *)(ip + 1) > end)
		return refuse_out(0, IPIPOU_REASON_NOT_IPV4);
	out.length = bpf_ntohs(ip->tot_len);
	out.header_length = ip->ihl * 4;
	out.tos = ip->tos;
	if (ip->version != 4 || out.header_length < sizeof(*ip) || out.length < out.header_length ||
	    out.length != skb->len - ETH_HLEN || out.length > 0xffff - OUTER_LENGTH)
		return refuse_out(0, IPIPOU_REASON_NOT_IPV4);
	index = owner_of(config, ip->daddr);
	if (index == IPIPOU_NO_PEER)
		index = config->default_peer;
	peer = peer_at(index);
	counters = bpf_map_lookup_elem(&ipipou_counters, &index);
	if (!peer || !counters)
		return refuse_out(0, IPIPOU_REASON_NO_PEER);
	if (skb->ifindex == config->far_ifindex) {
		if (skb->gso_size)
			return refuse_out(counters, IPIPOU_REASON_NO_ROOM);
	} else if (skb->gso_size) {
		if ((config->flags & IPIPOU_UDP_CHECKSUM) || ip->protocol != IPPROTO_TCP)
			return cut_up(counters);
	} else if (follows_a_cut(counters)) {
		return TC_ACT_OK;
	}
	out.segment = out.length;
	tcp = (void *)ip + out.header_length;
	if (skb->gso_size) {
		out.headers = out.header_length + (ip->protocol == IPPROTO_TCP && (void *)(tcp + 1) <= end
							   ? tcp->doff * 4
							   : sizeof(struct udphdr));
		out.segment = skb->gso_size + out.headers;
	}
	out.syn = ip->protocol == IPPROTO_TCP && !(ip->frag_off & bpf_htons(IP_OFFSET)) &&
		  (void *)(tcp + 1) <= end && tcp->syn;
	out.sum = -1;
	if (config->flags & IPIPOU_UDP_CHECKSUM)
		out.sum = inner_sum(skb, ip, end);
	return wrap(skb, config, peer, counters, &out);
}

#endif
