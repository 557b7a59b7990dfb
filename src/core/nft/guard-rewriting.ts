import type { Family } from '../addr.ts';
import { objectNames, WORD, type GuardSpec } from './guard-spec.ts';

/*
 * What the guard changes in packets: alternative addresses, and what may not be divided.
 */

/** Where nothing puts fragments together before this hook, they have to be of one address until something does. */
export function inwardRules(spec: GuardSpec, family: Family): string[] {
  const whole = inFragments(spec, family) ? 'ip frag-off & 0x3fff == 0 ' : '';
  return [`${whole}${inwardRule(spec, family)}`];
}

/** A map that has no answer ends its rule: nothing is rewritten then. */
export function inwardRule(spec: GuardSpec, family: Family): string {
  const word = WORD[family];
  const path = `${word} saddr . udp sport . ${word} daddr`;
  const { inwards } = objectNames(spec.port);
  return `udp dport ${spec.port} ${word} daddr set ${path} map @${inwards}`;
}

export function inFragments({ fragments }: GuardSpec, family: Family): boolean {
  return fragments !== undefined && family === 'ipv4';
}

/**
 * The devices take "do not fragment" of inner IPv4 over into the outer header, and refuse what is too big then
 * (ip_tunnel_xmit()): it is taken away before. Outside IPv6 nothing goes in fragments, and it stays. Who wants no "do
 * not fragment" of them has the TTL of what is inside in the outer header (ipip_netlink_parms()), and the same one with all
 * packets is set after. What is sent besides on a peer's path says that it may not be divided, and has its own.
 */
export function divisibleRules(spec: GuardSpec, family: Family): string[] {
  if (spec.fragments === undefined || family !== 'ipv4') return [];
  const { devices, pairs } = objectNames(spec.port);
  const device = `oifname @${devices} meta oifkind { "ipip", "sit" }`;
  const outer = `udp sport ${spec.port} ip daddr . ip saddr @${pairs} ip frag-off 0`;
  return [
    ...(spec.inside.includes('ipv4') ? [`${device} ip frag-off 0x4000 ip frag-off set 0`] : []),
    ...(spec.outside.includes('ipv4') ? [`${outer} ip ttl set ${spec.fragments.ttl}`] : []),
  ];
}

export function outwardRules(spec: GuardSpec, family: Family): string[] {
  const word = WORD[family];
  const path = `${word} saddr . ${word} daddr . udp dport`;
  const { outwards } = objectNames(spec.port);
  return [`udp sport ${spec.port} ${word} saddr set ${path} map @${outwards}`];
}
