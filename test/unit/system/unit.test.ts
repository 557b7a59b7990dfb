import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('the service may write what it writes, with all else read-only', () => {
  const unit = readFileSync(new URL('../../../systemd/ipipou@.service', import.meta.url), 'utf8');
  expect(unit).toContain('ProtectSystem=strict\n');
  const writable = [...unit.matchAll(/^ReadWritePaths=(.*)$/gm)].flatMap(([, paths = '']) =>
    paths.split(' '),
  );
  // Of `dns` by resolvconf the last three. What is not there does not matter.
  const resolvconf = ['-/run/resolvconf', '-/etc/resolvconf', '-/etc/resolv.conf'];
  expect(writable).toEqual(['-/proc/sys/net', '-/etc/ipipou', ...resolvconf]);
});
