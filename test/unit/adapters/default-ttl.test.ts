import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { defaultTtl } from '../../../src/adapters/system/default-ttl.ts';

const folder = mkdtempSync(join(tmpdir(), 'ipipou-ttl-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('defaultTtl', () => {
  it.each([
    ['128\n', 128],
    ['1\n', 1],
    ['255\n', 255],
    ['0\n', 64],
    ['256\n', 64],
    ['', 64],
    ['many\n', 64],
  ])('reads %j as %i', (text, expected) => {
    const file = join(folder, 'ip_default_ttl');
    writeFileSync(file, text);
    expect(defaultTtl(file)).toBe(expected);
  });

  it('is 64 where the kernel does not say', () => {
    expect(defaultTtl(join(folder, 'missing'))).toBe(64);
  });
});
