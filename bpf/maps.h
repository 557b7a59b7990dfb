/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The maps. Their names begin with the project's: whoever adopts running programs knows them by it.
 * `peers` and `counters` are arrays, which cost a bounds check where a hash costs 20 ns; the loader
 * sizes them, and the hashes, for the peers of the config (sizes here are for one). What is for IPv6 stays
 * that small where the tunnel has none.
 */
#ifndef IPIPOU_MAPS_H
#define IPIPOU_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_config);
} ipipou_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_peer);
} ipipou_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_counters);
} ipipou_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipipou_path);
	__type(value, __u32);
} ipipou_paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __be32);
	__type(value, __u32);
} ipipou_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipipou_prefix);
	__type(value, __u32);
} ipipou_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, IPIPOU_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} ipipou_reasons SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, IPIPOU_MAX_SOURCES);
	__type(key, struct ipipou_source);
	__type(value, struct ipipou_bucket);
} ipipou_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, IPIPOU_MAX_FORMERS);
	__type(key, __be32);
	__type(value, struct ipipou_bucket);
} ipipou_formers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct ipipou_hint);
} ipipou_hints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_common);
} ipipou_common SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_end6);
} ipipou_ends6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipipou_path6);
	__type(value, __u32);
} ipipou_paths6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipipou_ip6);
	__type(value, __u32);
} ipipou_hosts6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct ipipou_prefix6);
	__type(value, __u32);
} ipipou_prefix6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct ipipou_source6);
	__type(value, struct ipipou_bucket);
} ipipou_sources6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct ipipou_net6);
	__type(value, struct ipipou_bucket);
} ipipou_formers6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_tag_in);
} ipipou_tags_in SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_tag_out);
} ipipou_tags_out SEC(".maps");

/* Who has a number of the above, without its last bit. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ipipou_owners SEC(".maps");

/* Budgets for cookies, of sources by a hash. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IPIPOU_COOKIE_PLACES);
	__type(key, __u32);
	__type(value, struct ipipou_bucket);
} ipipou_places SEC(".maps");

/* The library makes whole pages of it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ipipou_roamed SEC(".maps");

/* Room to work on a packet (a tag, a sum, a cookie), one for each processor: no program of ours interrupts another. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ipipou_packet);
} ipipou_packet SEC(".maps");

static __always_inline void count_reason(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&ipipou_reasons, &reason);

	if (count)
		*count += 1;
}

/*
 * Flags of the config that may be set as long as these programs run. User space says which before it loads them, and
 * nobody can change it then: what is behind others the verifier neither walks through nor keeps.
 */
const volatile __u32 ipipou_possible SEC(".rodata.possible") = ~0;

static __always_inline int may_have(__u32 flag)
{
	return (ipipou_possible & flag) != 0;
}

static __always_inline int has(const struct ipipou_config *config, __u32 flag)
{
	return may_have(flag) && (config->flags & flag);
}

static __always_inline struct ipipou_config *config_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ipipou_config, &zero);
}

/* The peer at an index, if one is admitted there. */
static __always_inline struct ipipou_peer *peer_at(__u32 index)
{
	struct ipipou_peer *peer = bpf_map_lookup_elem(&ipipou_peers, &index);

	return peer && (peer->flags & IPIPOU_PEER_ADMITTED) ? peer : 0;
}

/* Who has an inner address: IPIPOU_NO_PEER for nobody. */
static __always_inline __u32 owner_of(const struct ipipou_config *config, __be32 ip)
{
	__u32 *index;

	if (config->flags & IPIPOU_HAS_HOSTS) {
		index = bpf_map_lookup_elem(&ipipou_hosts, &ip);
		if (index)
			return *index;
	}
	if (config->flags & IPIPOU_HAS_PREFIXES) {
		struct ipipou_prefix key = { .length = 32, .ip = ip };

		index = bpf_map_lookup_elem(&ipipou_prefixes, &key);
		if (index)
			return *index;
	}
	return IPIPOU_NO_PEER;
}

/* The same of an address of IPv6. */
static __always_inline __u32 owner_of6(const struct ipipou_config *config, const void *ip)
{
	struct ipipou_prefix6 key = { .length = 128 };
	__u32 *index;

	__builtin_memcpy(&key.ip, ip, sizeof(key.ip));
	if (config->flags & IPIPOU_HAS_HOSTS6) {
		index = bpf_map_lookup_elem(&ipipou_hosts6, &key.ip);
		if (index)
			return *index;
	}
	if (config->flags & IPIPOU_HAS_PREFIXES6) {
		index = bpf_map_lookup_elem(&ipipou_prefix6, &key);
		if (index)
			return *index;
	}
	return IPIPOU_NO_PEER;
}

#endif
