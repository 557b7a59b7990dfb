/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). Words of packets are read as they are, so
 * this and what builds on it is for machines with the low byte first: on others user space asks for none of it.
 */
#ifndef IPIPOU_SIPHASH_H
#define IPIPOU_SIPHASH_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct siphash {
	__u64 a;
	__u64 b;
	__u64 c;
	__u64 d;
};

static __always_inline __u64 rotated(__u64 value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static __always_inline void siphash_round(struct siphash *v)
{
	v->a += v->b;
	v->b = rotated(v->b, 13) ^ v->a;
	v->a = rotated(v->a, 32);
	v->c += v->d;
	v->d = rotated(v->d, 16) ^ v->c;
	v->a += v->d;
	v->d = rotated(v->d, 21) ^ v->a;
	v->c += v->b;
	v->b = rotated(v->b, 17) ^ v->c;
	v->c = rotated(v->c, 32);
}

static __always_inline void siphash_begin(struct siphash *v, const __u64 *key)
{
	v->a = key[0] ^ 0x736f6d6570736575;
	v->b = key[1] ^ 0x646f72616e646f6d;
	v->c = key[0] ^ 0x6c7967656e657261;
	v->d = key[1] ^ 0x7465646279746573;
}

static __always_inline void siphash_word(struct siphash *v, __u64 word)
{
	v->d ^= word;
	siphash_round(v);
	siphash_round(v);
	v->a ^= word;
}

/* What a message of `length` bytes whose last word is whole ends with. */
static __always_inline __u64 siphash_last(__u32 length)
{
	return (__u64)length << 56;
}

static __always_inline __u64 siphash_end(struct siphash *v, __u8 mark)
{
	v->c ^= mark;
	siphash_round(v);
	siphash_round(v);
	siphash_round(v);
	siphash_round(v);
	return v->a ^ v->b ^ v->c ^ v->d;
}

#endif
