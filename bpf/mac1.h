/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The first message of session 2, and whether it is meant for this server: its mac1 is SipHash-2-4-128 over all before
 * it, under a key that whoever knows the server's public key can make. It costs less to test than to hand up.
 */
#ifndef IPIPOU_MAC1_H
#define IPIPOU_MAC1_H

#include "maps.h"
#include "packet.h"
#include "siphash.h"

/* Its first four bytes (type, version, zeros), read as they are. */
#define INIT_BEGIN 0x000002f1
#define MAC1_WORDS (IPIPOU_MAC1_AT / 8)
#define MAC2_AT (IPIPOU_INIT_LENGTH - 16)
#define MAC2_WORDS (MAC2_AT / 8)

enum init {
	NO_INIT,     /* or one that cannot be tested here */
	MEANT_INIT,
	FORGED_INIT,
};

/* A packet to the port that is from no admitted path. */
struct stray {
	struct ipipou_ip6 source; /* of IPv4 in the first word, as the destination */
	struct ipipou_ip6 destination;
	__u32 ipv6;
	__be16 source_port;
	__u16 reserved;
	__u32 payload_at; /* in the packet */
	__u32 length;	  /* of the payload */
	__u32 looks_like_data;
	__u32 unusual; /* what no sender has reason to send over IPv6 */
	__u32 refused; /* a reason and one, where it has been told that it is refused if it is to this host */
};

/* What a payload of `length` bytes from `at` on is. */
JUDGED_ALONE int init_of(struct __sk_buff *skb, struct ipipou_config *config, __u32 at, __u32 length)
{
	__u32 zero = 0, i;
	struct ipipou_packet *packet;
	struct siphash siphash;
	__u64 *word, low, high;

	if (!skb || !config || !has(config, IPIPOU_MAC1) || length != IPIPOU_INIT_LENGTH)
		return NO_INIT;
	packet = bpf_map_lookup_elem(&ipipou_packet, &zero);
	if (!packet || bpf_skb_load_bytes(skb, at, packet->bytes, IPIPOU_INIT_LENGTH))
		return NO_INIT;
	word = (void *)packet->bytes;
	if ((__u32)word[0] != INIT_BEGIN)
		return NO_INIT;
	siphash_begin(&siphash, config->mac1_key);
	siphash.b ^= 0xee;
	for (i = 0; i < MAC1_WORDS; i++)
		siphash_word(&siphash, word[i]);
	siphash_word(&siphash, siphash_last(IPIPOU_MAC1_AT));
	low = siphash_end(&siphash, 0xee);
	/* The second half: what is marked is another word, and nothing else was changed in between. */
	siphash.b ^= 0xdd;
	high = siphash_end(&siphash, 0);
	return word[MAC1_WORDS] == low && word[MAC1_WORDS + 1] == high ? MEANT_INIT : FORGED_INIT;
}

#endif
