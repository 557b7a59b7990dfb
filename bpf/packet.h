/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Headers, checksums, and what both directions do to an inner packet. */
#ifndef IPIPOU_PACKET_H
#define IPIPOU_PACKET_H

#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* linux/if_packet.h */
#define PACKET_HOST 0

/* net/ip.h, net/inet_ecn.h, net/dsfield.h */
#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff
#define ECN_MASK 3
#define ECN_NOT_ECT 0
#define ECN_ECT_1 1
#define ECN_ECT_0 2
#define ECN_CE 3

#define IP_VERSION_AND_LENGTH 0x45

/*
 * A function that the verifier judges once, by itself, whoever calls it: for any arguments, so pointers
 * may be null. Others it walks through again for every state in which they are called; with loops
 * in them that is most of the time that loading takes.
 */
#define JUDGED_ALONE __noinline

/* What goes around an inner packet. */
struct outer {
	struct iphdr ip;
	struct udphdr udp;
};

/* The same over IPv6. */
struct outer6 {
	struct ipv6hdr ip;
	struct udphdr udp;
};

/*
 * Aggregates go another way than single packets, all on the way in and some on the way out: for so long
 * after one, a peer's packets all go its way, to keep their order.
 */
#define AGGREGATE_MEMORY_NS 20000000

#define OUTER_LENGTH ((int)sizeof(struct outer))
#define OUTER6_LENGTH ((int)sizeof(struct outer6))

/* linux/ipv6.h: what a header of IPv6 has more than one of IPv4. */
#define IPV6_EXTRA ((int)(sizeof(struct ipv6hdr) - sizeof(struct iphdr)))

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Replaces a 16-bit word under an internet checksum (RFC 1624, equation 3). */
static __always_inline void checksum_replace(__sum16 *check, __u16 from, __u16 to)
{
	*check = ~fold((__u64)(__u16)~*check + (__u16)~from + to);
}

/* Checksum of a header without options whose checksum field is 0. */
static __always_inline __u16 header_checksum(const struct iphdr *ip)
{
	const __u32 *words = (const __u32 *)ip;

	return ~fold((__u64)words[0] + words[1] + words[2] + words[3] + words[4]);
}

/* Changes the two ECN bits. */
static __always_inline void set_ecn(struct iphdr *ip, __u8 ecn)
{
	__u8 tos = (ip->tos & ~ECN_MASK) | ecn;
	__u16 from = *(__u16 *)ip;

	ip->tos = tos;
	checksum_replace(&ip->check, from, *(__u16 *)ip);
}

static __always_inline __u8 traffic_class(const struct ipv6hdr *ip)
{
	return bpf_ntohs(*(const __be16 *)ip) >> 4;
}

/* Changes the two ECN bits; nothing sums this header up. */
static __always_inline void set_ecn6(struct ipv6hdr *ip, __u8 ecn)
{
	__be16 *first = (__be16 *)ip;

	*first = (*first & ~bpf_htons(ECN_MASK << 4)) | bpf_htons(ecn << 4);
}

static __always_inline int is_multicast6(const void *ip)
{
	return *(const __u8 *)ip == 0xff;
}

static __always_inline int is_link_local6(const void *ip)
{
	return (*(const __be16 *)ip & bpf_htons(0xffc0)) == bpf_htons(0xfe80);
}

/*
 * Whether an address is of those that begin with 64 zeros and 0 or ffff: an IPv4 address in the clothes of
 * IPv6 (RFC 4291, 2.5.5), the loopback address, or none. Nothing that comes over a network may have one.
 */
static __always_inline int is_reserved6(const void *ip)
{
	const __be32 *word = ip;

	return !word[0] && !word[1] && (!word[2] || word[2] == bpf_htonl(0xffff));
}

/* Whether an address can be a host's beyond a link. */
static __always_inline int is_host6(const void *ip)
{
	return !is_multicast6(ip) && !is_link_local6(ip) && !is_reserved6(ip);
}

/*
 * Makes room bytes from the start of the packet readable directly; false when the packet is shorter.
 * Callers look at data_end again in any case.
 */
static __always_inline int readable(struct __sk_buff *skb, __u32 room)
{
	void *data = (void *)(long)skb->data;

	if (data + room <= (void *)(long)skb->data_end)
		return 1;
	return skb->len >= room && bpf_skb_pull_data(skb, room) == 0;
}

/* Options of a SYN that are looked at; the MSS is the first one that all common systems send. */
#define TCP_MAX_OPTIONS 8
#define TCPOPT_EOL 0
#define TCPOPT_NOP 1
#define TCPOPT_MSS 2
#define TCPOLEN_MSS 4

struct tcp_option {
	__u8 kind;
	__u8 length;
	__be16 mss;
};

/* Lowers the MSS that the option at `at` announces; the kernel's helpers mend the checksum. */
static __always_inline void lower_mss(struct __sk_buff *skb, __u32 check_at, __u32 at, __u16 limit,
				      __be16 mss, int odd)
{
	__be16 lower = bpf_htons(limit);
	__u16 from = mss, to = lower;

	if (bpf_ntohs(mss) <= limit)
		return;
	if (odd) {
		from = __builtin_bswap16(from);
		to = __builtin_bswap16(to);
	}
	bpf_skb_store_bytes(skb, at + offsetof(struct tcp_option, mss), &lower, sizeof(lower), 0);
	bpf_l4_csum_replace(skb, check_at, from, to, sizeof(to));
}

/* What an inner MTU has room for beyond the headers of IP and TCP. */
static __always_inline __u32 mss_of(__u32 inner_mtu, __u32 ip_header)
{
	return inner_mtu - ip_header - sizeof(struct tcphdr);
}

/*
 * Lowers the MSS option of a SYN to a limit. `tcp_at` is where the TCP header is in the packet. Changes
 * nothing where there is no such option. Direct pointers are void after.
 */
JUDGED_ALONE int clamp_mss(struct __sk_buff *skb, __u32 tcp_at, __u32 limit)
{
	struct tcphdr tcp;
	__u32 at, end, i;

	if (!skb || limit > 0xffff)
		return 0;
	if (bpf_skb_load_bytes(skb, tcp_at, &tcp, sizeof(tcp)))
		return 0;
	at = tcp_at + sizeof(tcp);
	end = tcp_at + tcp.doff * 4;
	for (i = 0; i < TCP_MAX_OPTIONS; i++) {
		struct tcp_option option;

		if (at + sizeof(option) > end || bpf_skb_load_bytes(skb, at, &option, sizeof(option)))
			return 0;
		if (option.kind == TCPOPT_NOP) {
			at++;
			continue;
		}
		if (option.kind == TCPOPT_MSS && option.length == TCPOLEN_MSS) {
			lower_mss(skb, tcp_at + offsetof(struct tcphdr, check), at, limit, option.mss,
				  (at - tcp_at) & 1);
			return 1;
		}
		if (option.kind == TCPOPT_EOL || option.length < 2)
			return 0;
		at += option.length;
	}
	return 0;
}

#endif
