/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The tag of a packet and the window of its counters: src/core/tag/ says what they are, and the tests compare.
 *
 * The hash of a packet is NH, in two passes whose keys are two words apart, and SipHash over that: NH alone is what
 * costs, at 12 instructions for 8 bytes. It is written by hand, since compilers spill registers here; the packet is
 * copied, since no verifier follows reading it where it is.
 */
#ifndef IPIPOU_TAG_H
#define IPIPOU_TAG_H

#include "maps.h"
#include "packet.h"
#include "siphash.h"

/* Bytes that NH takes at a time; level `header` proves as many. */
#define NH_ROUND 64
#define NH_ROUNDS (IPIPOU_TAG_MAX / NH_ROUND)

#define TAG_LENGTH IPIPOU_TAG_LENGTH
/* The least that is a packet. */
#define TAGGED_MIN (TAG_LENGTH + (int)sizeof(struct iphdr))

/* How often the newest word of a window is tried: each try fails by what another processor took. */
#define WINDOW_TRIES 8

/* On the wire. `head`: type, index and counter. */
struct tag {
	__u64 head;
	__u64 tag;
};

struct nh {
	__u64 x;
	__u64 y;
};

/*
 * Two words of the message at `a` and `b`, and those of the key at `c` and `d`, two words on. The key of the first pass
 * is in two registers, left there by the words before, where it is that of the second.
 */
#define NH_PAIR(a, b, c, d, k0, k1, l0, l1)                                           \
	"r1 = *(u32 *)(%[m] + " #a ")\n r2 = *(u32 *)(%[m] + " #b ")\n"              \
	"w" #k0 " += w1\n w" #k1 " += w2\n r" #k0 " *= r" #k1 "\n %[x] += r" #k0 "\n"  \
	"r" #l0 " = *(u32 *)(%[k] + " #c ")\n r" #l1 " = *(u32 *)(%[k] + " #d ")\n"   \
	"w1 += w" #l0 "\n w2 += w" #l1 "\n r1 *= r2\n %[y] += r1\n"
#define NH_ODD(a, b, c, d) NH_PAIR(a, b, c, d, 3, 0, 4, 5)
#define NH_EVEN(a, b, c, d) NH_PAIR(a, b, c, d, 4, 5, 3, 0)

static __always_inline void nh_round(struct nh *nh, const void *message, const void *key)
{
	__u64 x = nh->x, y = nh->y;

	asm volatile("r3 = *(u32 *)(%[k] + 0)\n r0 = *(u32 *)(%[k] + 4)\n"
		     NH_ODD(0, 4, 8, 12) NH_EVEN(8, 12, 16, 20) NH_ODD(16, 20, 24, 28)
		     NH_EVEN(24, 28, 32, 36) NH_ODD(32, 36, 40, 44) NH_EVEN(40, 44, 48, 52)
		     NH_ODD(48, 52, 56, 60) NH_EVEN(56, 60, 64, 68)
		     : [x] "+r"(x), [y] "+r"(y)
		     : [m] "r"(message), [k] "r"(key)
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");
	nh->x = x;
	nh->y = y;
}

/*
 * Makes the tag behind a head, of a packet of `length` bytes from `at` on; false where there is no such packet.
 */
JUDGED_ALONE int make_tag(struct __sk_buff *skb, __u32 at, __u32 length, struct ipipou_tag_key *key,
			  struct tag *tag)
{
	__u32 zero = 0, covered = length, whole, i;
	struct ipipou_packet *packet = bpf_map_lookup_elem(&ipipou_packet, &zero);
	struct siphash siphash;
	struct nh nh = {};
	__u64 *end;

	if (!may_have(IPIPOU_TAGS) || !skb || !key || !tag || !packet || length < sizeof(struct iphdr) ||
	    length > IPIPOU_TAG_MAX)
		return 0;
	if ((__u8)tag->head == IPIPOU_TAG_HEADER && length > NH_ROUND)
		covered = NH_ROUND;
	whole = covered & ~(NH_ROUND - 1);
	asm volatile("" : "+r"(whole));
	if (whole > IPIPOU_TAG_MAX)
		return 0;
	end = (void *)packet->bytes + whole;
	end[0] = end[1] = end[2] = end[3] = end[4] = end[5] = end[6] = end[7] = 0;
	/* Spelled so that every verifier sees that it is 1 to 2048. */
	asm volatile("" : "+r"(covered));
	covered = ((covered - 1) & (sizeof(packet->bytes) - 1)) + 1;
	if (bpf_skb_load_bytes(skb, at, packet->bytes, covered))
		return 0;
	for (i = 0; i < NH_ROUNDS; i++) {
		if (i * NH_ROUND >= covered)
			break;
		nh_round(&nh, packet->bytes + i * NH_ROUND, key->nh + i * NH_ROUND / sizeof(key->nh[0]));
	}
	siphash_begin(&siphash, key->siphash);
	siphash_word(&siphash, tag->head);
	siphash_word(&siphash, nh.x);
	siphash_word(&siphash, nh.y);
	siphash_word(&siphash, siphash_last(3 * sizeof(__u64) + 7) | length);
	tag->tag = siphash_end(&siphash, 0xff);
	return 1;
}

/* The word of the window that a counter is in; verifiers know no bound of a remainder. */
static __always_inline __u64 *window_word(struct ipipou_tag_in *in, __u32 counter)
{
	__u64 place = (counter >> 5) % IPIPOU_WINDOW_WORDS;

	asm volatile("" : "+r"(place));
	if (place >= IPIPOU_WINDOW_WORDS)
		return 0;
	asm volatile("" : "+r"(place));
	return &in->window[place];
}

/* Whether a counter may be new. It is told so before the tag is looked at, which costs more. */
static __always_inline int may_be_fresh(struct ipipou_tag_in *in, __u32 counter)
{
	__u64 newest = *(volatile __u64 *)&in->newest, *at = window_word(in, counter), word;
	__u32 block = counter >> 5;

	if (!at || !counter || (newest >= IPIPOU_WINDOW_COUNTERS && counter <= newest - IPIPOU_WINDOW_COUNTERS))
		return 0;
	word = *(volatile __u64 *)at;
	if (word >> 32 != block)
		return word >> 32 < block;
	return !(word >> (counter & 31) & 1);
}

/* Takes a counter that is proved; false when it has been taken. Processors may race for it: one has it. */
static __always_inline int take_counter(struct ipipou_tag_in *in, __u32 counter)
{
	__u64 block = counter >> 5, bit = 1ULL << (counter & 31), old, new;
	__u64 *word = window_word(in, counter);
	int i;

	if (!word)
		return 0;
	for (i = 0; i < WINDOW_TRIES; i++) {
		old = *(volatile __u64 *)word;
		if (old >> 32 > block)
			return 0;
		if (old >> 32 == block && (old & bit))
			return 0;
		new = (old >> 32 == block ? old : block << 32) | bit;
		if (__sync_val_compare_and_swap(word, old, new) != old)
			continue;
		/* Who races leaves it a little low; the words still tell what has come. */
		if (counter > *(volatile __u64 *)&in->newest)
			*(volatile __u64 *)&in->newest = counter;
		return 1;
	}
	return 0;
}

#endif
