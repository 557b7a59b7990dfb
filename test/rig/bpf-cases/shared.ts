import { REASONS, type ProgramConfig, type Reason } from '../../../src/adapters/planes/bpf/abi.ts';
import {
  loadPrograms,
  type LoadOptions,
  type Programs,
} from '../../../src/adapters/planes/bpf/programs.ts';
import { concatBytes, encodeU16be } from '../../../src/core/bytes.ts';
import { ifIndex } from '../../../src/core/units.ts';
import { expect } from 'vitest';
import { QUIET_CONFIG } from '../bpf-pair.ts';
import {
  AUTH_LENGTH,
  ETHERNET,
  fateOf,
  frame,
  INNER_REMOTE,
  LOCAL,
  REMOTE,
  REMOTE_PORT,
} from '../bpf-packets.ts';
import { testRun, type Ran } from '../bpf-test-run.ts';

/* What the cases of the eBPF programs share: the programs with one peer, and how a packet is run through. */

const NEAR_MAC = Uint8Array.of(2, 0, 0, 0, 0, 7);
export const CONFIG: ProgramConfig = {
  ...QUIET_CONFIG,
  near: ifIndex(71),
  far: ifIndex(72),
  nearMac: NEAR_MAC,
  authLengths: [AUTH_LENGTH],
};
export const PEER = {
  remoteIp: REMOTE,
  remotePort: REMOTE_PORT,
  localIp: LOCAL,
  innerMtu: 1400,
  outerDevice: ifIndex(1),
  anySource: false,
  innerIp: INNER_REMOTE,
} as const;
/** The kernel runs no shorter IPv4 frame. */
export const SHORTEST = ETHERNET + 20;
export const TCP_SYN = 0x02;
export const TCP_ACK = 0x10;

let programs: Programs;

export function loaded(): Programs {
  return programs;
}

/** Loads the programs, with budgets that nobody has used. */
export function load(ipv6: LoadOptions['ipv6'] = { outside: false, inside: false }): void {
  programs = loadPrograms({ maxPeers: 8, ipv6, tags: { receive: 16, send: 16 } });
}

export function unload(): void {
  programs[Symbol.dispose]();
}

/** One peer, at index 3, and no counts; budgets are as they were. */
export function reset(): void {
  for (let index = 0; index < programs.maxPeers; index += 1) {
    programs.evict(index);
    programs.clearCounters(index);
  }
  programs.configure(CONFIG);
  programs.admit(3, PEER);
}

/** Runs a frame in; which reasons were counted, and what came of it. */
export function arrive(bytes: Uint8Array): Ran & { readonly counted: readonly Reason[] } {
  const before = programs.reasons();
  const ran = testRun(programs, 'ipipou_decap_eth', bytes);
  const after = programs.reasons();
  return { ...ran, counted: REASONS.filter((reason) => after[reason] !== before[reason]) };
}

export function leave(packet: Uint8Array, type = 0x0800) {
  const before = programs.reasons();
  const ran = testRun(programs, 'ipipou_encap', frame(packet, type));
  const after = programs.reasons();
  const counted = REASONS.filter((reason) => after[reason] !== before[reason]);
  return { ...ran, counted, outer: ran.packet.subarray(ETHERNET) };
}

/** What must be seen of a frame: the verdict, and the reason that is counted. */
export function expectFate(bytes: Uint8Array, strangers = true): void {
  const fate = fateOf(bytes, strangers).kind;
  const { verdict, counted } = arrive(bytes);
  const shot = fate !== 'taken' && fate !== 'untouched' && fate !== 'passed-up';
  expect(verdict).toBe(fate === 'taken' ? 'redirect' : shot ? 'shot' : 'unspec');
  expect(counted).toEqual(fate === 'taken' || fate === 'untouched' ? [] : [fate]);
}

export function expectTaken(bytes: Uint8Array, inner: Uint8Array): void {
  const { verdict, packet, counted } = arrive(bytes);
  expect(counted).toEqual([]);
  expect(verdict).toBe('redirect');
  expect(packet.subarray(0, 6)).toEqual(NEAR_MAC);
  expect(packet.subarray(ETHERNET)).toEqual(inner);
}

/** A SYN's options: MSS after so many NOPs, then a window scale. */
export function synOptions(mss: number, nops: number): Uint8Array {
  const front = new Uint8Array(nops).fill(1);
  const back = new Uint8Array((4 - ((nops + 3) % 4)) % 4);
  return concatBytes([front, Uint8Array.of(2, 4), encodeU16be(mss), Uint8Array.of(3, 3, 7), back]);
}
