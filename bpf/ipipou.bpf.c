/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The programs of the `bpf` data plane, for tc (clsact, direct action); Linux 5.15 or newer.
 *
 *      applications                                   network
 *           |                                            ^
 *       near end   <---- far end                   outer device
 *       egress:         ingress: ipipou_encap      ingress: ipipou_decap_eth,
 *       ipipou_encap    (what was cut up)          or ipipou_decap_raw where there is no link header
 *
 * Before the queue of the socket on the port: ipipou_socket.
 */
#include "arrival.h"
#include "encap.h"

SEC("tc")
int ipipou_encap(struct __sk_buff *skb)
{
	return encap(skb);
}

SEC("tc")
int ipipou_decap_eth(struct __sk_buff *skb)
{
	return decap(skb, ETH_HLEN);
}

SEC("tc")
int ipipou_decap_raw(struct __sk_buff *skb)
{
	return decap(skb, 0);
}

SEC("socket")
int ipipou_socket(struct __sk_buff *skb)
{
	return admit_to_socket(skb);
}

char _license[] SEC("license") = "Dual MIT/GPL";
