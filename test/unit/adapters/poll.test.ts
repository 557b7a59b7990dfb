import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { onReadable, watch } from '../../../src/adapters/ffi/poll.ts';
import { KernelError } from '../../../src/core/errors.ts';

test.each(['/etc/passwd', '/tmp', '/dev/null'])(
  'a descriptor that cannot be waited for is refused, and ends nothing: %s',
  (file) => {
    const fd = openSync(file, 'r');
    try {
      const refusal = { name: 'KernelError', operation: 'epoll_ctl', errno: 'EPERM' };
      expect(() => onReadable(fd, () => undefined)).toThrow(expect.objectContaining(refusal));
      expect(() => watch(fd, () => undefined)).toThrow(expect.objectContaining(refusal));
    } finally {
      closeSync(fd);
    }
  },
);

test('a descriptor that is closed is refused', () => {
  expect(() => watch(999_999, () => undefined)).toThrow(KernelError);
});

test('a pipe is watched', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ipipou-poll-'));
  const fifo = path.join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    const ready = new Promise<number>((resolve) => {
      const handle = onReadable(fd, (status) => {
        handle.close();
        resolve(status);
      });
    });
    writeSync(fd, 'x');
    expect(await ready).toBe(0);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});
