import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { defaultTtl } from '../../../src/adapters/system/default-ttl.ts';

const folder = mkdtempSync(join(tmpdir(), 'ipipou-ttl-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([
  { family: 'ipv4', file: 'ipv4/ip_default_ttl' },
  { family: 'ipv6', file: 'ipv6/conf/default/hop_limit' },
] as const)('defaultTtl of $family', ({ family, file }) => {
  it.each([
    ['128\n', 128],
    ['1\n', 1],
    ['255\n', 255],
    ['0\n', 64],
    ['256\n', 64],
    ['', 64],
    ['many\n', 64],
  ])('reads %j as %i', (text, expected) => {
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    expect(defaultTtl(family, folder)).toBe(expected);
  });

  it('is 64 where the kernel does not say', () => {
    expect(defaultTtl(family, join(folder, 'missing'))).toBe(64);
  });
});
