import { expect, test } from 'vitest';
import { programPath } from '../../../src/cli/program-path.ts';

test.each([
  [undefined, '/usr/sbin:/usr/bin:/sbin:/bin'],
  ['', '/usr/sbin:/usr/bin:/sbin:/bin'],
  ['/usr/local/bin:/usr/bin:/bin', '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'],
  ['/opt/x::/usr/sbin', '/opt/x:/usr/sbin:/usr/bin:/sbin:/bin'],
  ['/usr/sbin:/usr/bin:/sbin:/bin', '/usr/sbin:/usr/bin:/sbin:/bin'],
])('PATH %s becomes %s', (given, path) => {
  expect(programPath(given)).toBe(path);
});
