/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Cookies of session 2 (docs/PROTOCOL.md): the answer to a first message that nobody has time to look at, made here, where it
 * costs little more than refusing. The packet itself goes back by the device that it came by, to whoever sent it, shorter
 * than it was. So a flood of forged first messages keeps nobody from his cookie, and who comes back with one has a budget
 * of his own.
 */
#ifndef IPIPOU_COOKIE_H
#define IPIPOU_COOKIE_H

#include "mac1.h"
#include "maps.h"
#include "packet.h"
#include "siphash.h"

#define COOKIE_BEGIN 0x000000f3
#define COOKIE_LENGTH 56
/* Nanoseconds for which a source is given the same cookie. */
#define COOKIE_PERIOD 120000000000ULL
/* Where in ipipou_packet the answer is made, behind the first message. */
#define ANSWER_AT 256
#define ANSWER_WORDS (ANSWER_AT / 8)

struct hash128 {
	__u64 low;
	__u64 high;
};

static __always_inline void siphash_end128(struct siphash *v, struct hash128 *hash)
{
	hash->low = siphash_end(v, 0xee);
	v->b ^= 0xdd;
	hash->high = siphash_end(v, 0);
}

static __always_inline void siphash_begin128(struct siphash *v, const __u64 *key)
{
	siphash_begin(v, key);
	v->b ^= 0xee;
}

static __always_inline __u64 cookie_period(const struct ipipou_config *config)
{
	return (bpf_ktime_get_coarse_ns() - config->cookie_epoch) / COOKIE_PERIOD;
}

/* What a source is told in a period. */
static __always_inline void cookie_of(const struct ipipou_config *config, const struct stray *stray,
				      __u64 period, struct hash128 *cookie)
{
	const __be32 *ip = stray->source.word;
	struct siphash siphash;

	siphash_begin128(&siphash, config->cookie_secret);
	siphash_word(&siphash, period);
	siphash_word(&siphash, stray->ipv6 ? (__u64)ip[1] << 32 | ip[0] : 0);
	siphash_word(&siphash, stray->ipv6 ? (__u64)ip[3] << 32 | ip[2] : (__u64)ip[0] << 32 | 0xffff0000);
	siphash_word(&siphash, siphash_last(26) | stray->source_port);
	siphash_end128(&siphash, cookie);
}

/* Whether the first message in ipipou_packet has a mac2 of this cookie, whose room is used: there is little on the stack. */
static __always_inline int has_mac2(const __u64 *word, struct hash128 *cookie)
{
	struct siphash siphash;
	__u32 i;

	siphash_begin128(&siphash, &cookie->low);
	for (i = 0; i < MAC2_WORDS; i++)
		siphash_word(&siphash, word[i]);
	siphash_word(&siphash, siphash_last(MAC2_AT));
	siphash_end128(&siphash, cookie);
	return word[MAC2_WORDS] == cookie->low && word[MAC2_WORDS + 1] == cookie->high;
}

/*
 * Whether a first message that init_of() has just seen has the cookie of its source of so many periods ago. One at a time,
 * since there is little room on the stack.
 */
JUDGED_ALONE int is_proved(struct ipipou_config *config, struct stray *stray, __u32 ago)
{
	struct ipipou_packet *packet;
	struct hash128 cookie;
	__u32 zero = 0;
	__u64 *word;

	if (!config || !stray || !may_have(IPIPOU_MAC1))
		return 0;
	packet = bpf_map_lookup_elem(&ipipou_packet, &zero);
	if (!packet)
		return 0;
	word = (void *)packet->bytes;
	if (!word[MAC2_WORDS] && !word[MAC2_WORDS + 1])
		return 0;
	cookie_of(config, stray, cookie_period(config) - ago, &cookie);
	return has_mac2(word, &cookie);
}

/* Makes the COOKIE that answers the first message in ipipou_packet, at ANSWER_AT. */
JUDGED_ALONE int make_cookie(struct ipipou_config *config, struct stray *stray)
{
	struct ipipou_packet *packet;
	struct hash128 cookie, hash;
	struct siphash siphash;
	__u64 *word, *answer;
	__u32 zero = 0, i;

	if (!config || !stray || !may_have(IPIPOU_MAC1))
		return -1;
	packet = bpf_map_lookup_elem(&ipipou_packet, &zero);
	if (!packet)
		return -1;
	word = (void *)packet->bytes;
	answer = word + ANSWER_WORDS;
	answer[0] = (word[0] & 0xffffffff00000000) | COOKIE_BEGIN;
	answer[1] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	answer[2] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	cookie_of(config, stray, cookie_period(config), &cookie);
	siphash_begin128(&siphash, config->cookie_key);
	siphash_word(&siphash, answer[1]);
	siphash_word(&siphash, answer[2]);
	siphash_word(&siphash, word[MAC1_WORDS]);
	siphash_word(&siphash, word[MAC1_WORDS + 1]);
	siphash_word(&siphash, siphash_last(32));
	siphash_end128(&siphash, &hash);
	answer[3] = cookie.low ^ hash.low;
	answer[4] = cookie.high ^ hash.high;
	siphash_begin128(&siphash, config->cookie_key + 2);
	for (i = 0; i < 5; i++)
		siphash_word(&siphash, answer[i]);
	siphash_word(&siphash, word[MAC1_WORDS]);
	siphash_word(&siphash, word[MAC1_WORDS + 1]);
	siphash_word(&siphash, siphash_last(56));
	siphash_end128(&siphash, &hash);
	answer[5] = hash.low;
	answer[6] = hash.high;
	return 0;
}

static __always_inline __u64 sum_words(const __u32 *words, __u32 count)
{
	__u64 sum = 0;
	__u32 i;

	for (i = 0; i < count; i++)
		sum += words[i];
	return sum;
}

/*
 * The checksum of an answer. Where the kernel has yet to fill that of the packet in (its sender is in this very kernel), it
 * will fill the answer's in as well, from the sum of addresses that it expects there.
 */
static __always_inline __u16 answer_checksum(__u16 before, __u64 addresses, __be16 length,
					     const struct udphdr *udp, const __u8 *payload)
{
	__u64 pseudo = addresses + bpf_htons(IPPROTO_UDP);
	__u16 sum;

	if (before && before == fold(pseudo + length))
		return fold(pseudo + udp->len);
	sum = ~fold(pseudo + udp->len + sum_words((const __u32 *)udp, 2) +
		    sum_words((const __u32 *)payload, COOKIE_LENGTH / 4));
	return sum ? sum : 0xffff;
}

static __always_inline void turn_round(struct udphdr *udp)
{
	__be16 port = udp->source;

	udp->source = udp->dest;
	udp->dest = port;
	udp->len = bpf_htons(sizeof(*udp) + COOKIE_LENGTH);
	udp->check = 0;
}

static __always_inline long answer4(struct __sk_buff *skb, const struct ipipou_config *config,
				    const __u8 *payload, __u32 link)
{
	struct outer outer;
	__be16 length;
	__be32 ip;
	__u16 before;

	if (bpf_skb_load_bytes(skb, link, &outer, sizeof(outer)))
		return -1;
	before = outer.udp.check;
	length = outer.udp.len;
	ip = outer.ip.saddr;
	outer.ip.saddr = outer.ip.daddr;
	outer.ip.daddr = ip;
	outer.ip.tos = 0;
	outer.ip.id = 0;
	outer.ip.frag_off = bpf_htons(IP_DF);
	outer.ip.ttl = config->ttl;
	outer.ip.tot_len = bpf_htons(sizeof(outer) + COOKIE_LENGTH);
	outer.ip.check = 0;
	outer.ip.check = header_checksum(&outer.ip);
	turn_round(&outer.udp);
	outer.udp.check = answer_checksum(before, (__u64)outer.ip.saddr + outer.ip.daddr, length,
					  &outer.udp, payload);
	if (bpf_skb_change_tail(skb, link + sizeof(outer) + COOKIE_LENGTH, 0))
		return -1;
	return bpf_skb_store_bytes(skb, link, &outer, sizeof(outer), 0);
}

static __always_inline long answer6(struct __sk_buff *skb, const struct ipipou_config *config,
				    const __u8 *payload, __u32 link)
{
	struct in6_addr address;
	struct outer6 outer;
	__be16 length;
	__u16 before;

	if (bpf_skb_load_bytes(skb, link, &outer, sizeof(outer)))
		return -1;
	before = outer.udp.check;
	length = outer.udp.len;
	address = outer.ip.saddr;
	outer.ip.saddr = outer.ip.daddr;
	outer.ip.daddr = address;
	*(__be32 *)&outer.ip = bpf_htonl(0x60000000);
	outer.ip.hop_limit = config->hop_limit;
	outer.ip.payload_len = bpf_htons(sizeof(outer.udp) + COOKIE_LENGTH);
	turn_round(&outer.udp);
	outer.udp.check = answer_checksum(before, sum_words((const __u32 *)&outer.ip.saddr, 8), length,
					  &outer.udp, payload);
	if (bpf_skb_change_tail(skb, link + sizeof(outer) + COOKIE_LENGTH, 0))
		return -1;
	return bpf_skb_store_bytes(skb, link, &outer, sizeof(outer), 0);
}

/* Sends a packet back as the COOKIE that make_cookie() has made: what tc is to do, or -1. */
JUDGED_ALONE int send_back(struct __sk_buff *skb, struct ipipou_config *config, struct stray *stray)
{
	__u32 zero = 0, link, headers;
	struct ipipou_packet *packet;
	struct ethhdr ethernet;
	__u8 mac[ETH_ALEN];
	const __u8 *payload;

	if (!skb || !config || !stray || !may_have(IPIPOU_MAC1))
		return -1;
	packet = bpf_map_lookup_elem(&ipipou_packet, &zero);
	if (!packet)
		return -1;
	payload = packet->bytes + ANSWER_AT;
	headers = stray->ipv6 ? OUTER6_LENGTH : OUTER_LENGTH;
	link = stray->payload_at - headers;
	/* Nobody of ours sends options of IP. */
	if (link != 0 && link != ETH_HLEN)
		return -1;
	if (stray->ipv6 ? answer6(skb, config, payload, link) : answer4(skb, config, payload, link))
		return -1;
	if (bpf_skb_store_bytes(skb, link + headers, payload, COOKIE_LENGTH, 0))
		return -1;
	if (link) {
		if (bpf_skb_load_bytes(skb, 0, &ethernet, sizeof(ethernet)))
			return -1;
		__builtin_memcpy(mac, ethernet.h_dest, ETH_ALEN);
		__builtin_memcpy(ethernet.h_dest, ethernet.h_source, ETH_ALEN);
		__builtin_memcpy(ethernet.h_source, mac, ETH_ALEN);
		if (bpf_skb_store_bytes(skb, 0, &ethernet, sizeof(ethernet), 0))
			return -1;
	}
	return bpf_redirect(skb->ifindex, 0);
}

#endif
