import { readFileSync } from 'node:fs';
import { TAG_KEY_LENGTH, type TagLevel } from '../../../src/core/tag/types.ts';

type Case = {
  readonly level: TagLevel;
  readonly index: number;
  readonly counter: number;
  readonly length: number;
  readonly seed: number;
  readonly key: string;
  readonly packet: string;
  readonly tag: string;
};

export type TagVector = {
  readonly name: string;
  readonly header: { readonly level: TagLevel; readonly index: number; readonly counter: number };
  readonly key: Uint8Array;
  readonly packet: Uint8Array;
  /** The 16 bytes before the packet. */
  readonly tag: Uint8Array;
};

/** What test/fixtures/tag.json says, which names its maker. */
export function tagVectors(): readonly TagVector[] {
  const file = new URL('../../fixtures/tag.json', import.meta.url);
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { readonly cases: readonly Case[] };
  return cases.map(({ level, index, counter, length, seed, key, packet, tag }) => {
    const random = randomBytes(seed, TAG_KEY_LENGTH + length);
    return {
      name: `${level}, ${length} bytes, index ${index}, counter ${counter}`,
      header: { level, index, counter },
      key: key === 'seed' ? random.slice(0, TAG_KEY_LENGTH) : same(key, TAG_KEY_LENGTH),
      packet: packet === 'seed' ? random.slice(TAG_KEY_LENGTH) : same(packet, length),
      tag: Uint8Array.from(Buffer.from(tag, 'hex')),
    };
  });
}

export function randomBytes(seed: number, length: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

function same(byte: string, length: number): Uint8Array {
  return new Uint8Array(length).fill(Number.parseInt(byte, 16));
}
