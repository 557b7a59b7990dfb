import { expect } from 'vitest';
import type { Family } from '../../../src/core/addr.ts';
import { ETHERNET } from '../bpf-packets.ts';
import { fateOfEither, INNER_REMOTE6, outerEnds } from '../bpf-packets6.ts';
import { arrive, CONFIG, load, loaded, PEER, unload } from './shared.ts';

/* What the cases share where IPv6 is outside or inside. */

/** The kernel runs no frame that is shorter than its headers. */
export const SHORTEST6 = ETHERNET + 40;
export const BOTH = ['ipv4', 'ipv6'] as const;
export const CONFIG6 = {
  ...CONFIG,
  outside: BOTH,
  inside: BOTH,
  hasHosts6: true,
  defaultPeer: 3,
} as const;

/** Loads the programs with room for IPv6: over it there are maps that tunnels of IPv4 alone leave small. */
export function withIpv6(): void {
  unload();
  load({ outside: true, inside: true });
}

/** One peer, at index 3, over a family; no counts. */
export function admitOver(family: Family): void {
  for (let index = 0; index < loaded().maxPeers; index += 1) {
    loaded().evict(index);
    loaded().clearCounters(index);
  }
  loaded().configure(CONFIG6);
  loaded().setHost(INNER_REMOTE6, 3);
  loaded().admit(3, { ...PEER, ...outerEnds(family) });
}

/** A mapped address as no text of ours can spell it. */
export function mapped(last: number): Uint8Array {
  return Uint8Array.from([...new Uint8Array(10), 0xff, 0xff, 198, 51, 100, last]);
}

export function expectFateOver(outside: Family, bytes: Uint8Array, strangers = true): void {
  const fate = fateOfEither(bytes, { outside, strangers }).kind;
  const { verdict, counted } = arrive(bytes);
  const shot = fate !== 'taken' && fate !== 'untouched' && fate !== 'passed-up';
  expect(verdict).toBe(fate === 'taken' ? 'redirect' : shot ? 'shot' : 'unspec');
  expect(counted).toEqual(fate === 'taken' || fate === 'untouched' ? [] : [fate]);
}
