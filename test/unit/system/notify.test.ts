import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bind, close, recv, socket } from '../../../src/adapters/ffi/libc.ts';
import { createNotify, encodeUnixAddress } from '../../../src/adapters/system/notify.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-sock-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('sd_notify', () => {
  test('socket addresses: a path ends with a zero, an abstract name begins with one', () => {
    expect(encodeUnixAddress('/a')).toEqual(Buffer.from([1, 0, 0x2f, 0x61, 0]));
    expect(encodeUnixAddress('@ab')).toEqual(Buffer.from([1, 0, 0, 0x61, 0x62]));
    expect(encodeUnixAddress('')).toBeUndefined();
    expect(encodeUnixAddress(`/${'x'.repeat(107)}`)).toBeUndefined();
  });

  test.each(['path', 'abstract'])('tells the manager on a socket with a %s', (kind) => {
    const name =
      kind === 'path' ? path.join(folder, 'notify') : `@ipipou-test-${process.pid}-${Date.now()}`;
    const address = encodeUnixAddress(name);
    if (!address) throw new Error(name);
    const fd = socket(1, 2 | 0o4000 | 0o2000000, 0); // AF_UNIX, SOCK_DGRAM
    try {
      expect(bind(fd, address, address.length)).toBe(0);
      const notify = createNotify(name);
      notify.ready('up\nand running');
      notify.stopping();
      const heard = [0, 1].map(() => {
        const buffer = Buffer.alloc(500);
        return buffer.toString('utf8', 0, recv(fd, buffer, buffer.length, 0));
      });
      expect(heard).toEqual([
        `READY=1\nMAINPID=${process.pid}\nSTATUS=up and running`,
        'STOPPING=1\nSTATUS=taking the tunnel down',
      ]);
    } finally {
      close(fd);
    }
  });

  test('says nothing where nobody listens', () => {
    createNotify(undefined).ready('x');
    createNotify(path.join(folder, 'gone')).status('x');
    expect(existsSync(path.join(folder, 'gone'))).toBe(false);
  });
});
