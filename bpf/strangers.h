/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What goes up to the port's socket, and how much of it. */
#ifndef IPIPOU_STRANGERS_H
#define IPIPOU_STRANGERS_H

#include "maps.h"
#include "packet.h"

/*
 * Takes a packet's worth from a bucket; false when there is none. Processors that race for one bucket
 * may each take the same worth, so the true rate is up to the named one times their number.
 */
static __always_inline int bucket_take(__u64 *bucket, const struct ipipou_rate *rate, __u64 now)
{
	__u64 full = *bucket;

	if (full < now)
		full = now;
	if (full - now + rate->interval > rate->burst)
		return 0;
	*bucket = full + rate->interval;
	return 1;
}

static __always_inline int may_authenticate(const struct ipipou_config *config, __u32 length)
{
	__u32 at = length >> 3;

	/* The verifier knows the bound of what is compared, so that has to be what is used. */
	asm volatile("" : "+r"(at));
	return at < IPIPOU_AUTH_BYTES && config->auth_lengths[at] >> (length & 7) & 1;
}

static __always_inline int refuse_in(__u32 reason)
{
	count_reason(reason);
	return TC_ACT_SHOT;
}

static __always_inline int pass_up(void)
{
	count_reason(IPIPOU_REASON_PASSED_UP);
	return TC_ACT_UNSPEC;
}

/* Whether a source is within its own budget; a new one is. */
static __always_inline int source_within(const struct ipipou_config *config, __be32 source,
					 __u64 now)
{
	struct ipipou_stranger *stranger = bpf_map_lookup_elem(&ipipou_stranger, &source);
	struct ipipou_stranger first = {};

	if (stranger)
		return bucket_take(&stranger->bucket, &config->rate_stranger_source, now);
	first.bucket = now + config->rate_stranger_source.interval;
	bpf_map_update_elem(&ipipou_stranger, &source, &first, BPF_ANY);
	return 1;
}

/*
 * What becomes of a packet to the port that is from no admitted path. The cheapest test comes first,
 * and one source's excess does not use up the budget of all.
 */
JUDGED_ALONE int stranger(struct ipipou_config *config, __be32 source, __u32 length,
			  int looks_like_data)
{
	struct ipipou_common *common;
	__u32 zero = 0;
	__u64 now;

	if (!config)
		return TC_ACT_SHOT;
	if (!(config->flags & IPIPOU_STRANGERS))
		return refuse_in(IPIPOU_REASON_STRANGER_CLOSED);
	common = bpf_map_lookup_elem(&ipipou_common, &zero);
	if (!common)
		return TC_ACT_SHOT;
	if (!may_authenticate(config, length)) {
		if (!looks_like_data)
			return refuse_in(IPIPOU_REASON_STRANGER_LENGTH);
		now = bpf_ktime_get_ns();
		if (!bucket_take(&common->bucket_data, &config->rate_stranger_data, now))
			return refuse_in(IPIPOU_REASON_STRANGER_DATA);
		return pass_up();
	}
	now = bpf_ktime_get_ns();
	if (common->bucket_all > now + config->rate_stranger_all.burst)
		return refuse_in(IPIPOU_REASON_STRANGER_ALL);
	if (!source_within(config, source, now))
		return refuse_in(IPIPOU_REASON_STRANGER_SOURCE);
	if (!bucket_take(&common->bucket_all, &config->rate_stranger_all, now))
		return refuse_in(IPIPOU_REASON_STRANGER_ALL);
	return pass_up();
}

#endif
