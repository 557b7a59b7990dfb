import { expect, test } from 'vitest';
import { parseExposure } from '../../src/core/config/exposure.ts';
import { isShadowed, parseListeners } from '../../src/core/reach/listening.ts';

/** /proc/net/tcp of Linux 6.18: `nc -l 127.0.0.1 8080`, a web server at 0.0.0.0:80, a connection. */
const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 017100CB:01BB 0A3364C6:C001 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
`;
const TCP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: B80D0120000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
`;

test('sockets that wait for anybody', () => {
  expect(parseListeners(TCP, 'tcp')).toEqual([
    { ip: '127.0.0.1', port: 8080 },
    { ip: '0.0.0.0', port: 80 },
  ]);
  expect(parseListeners(TCP6, 'tcp')).toEqual([{ ip: '2001:db8::1', port: 443 }]);
  expect(parseListeners('nonsense\n', 'udp')).toEqual([]);
});

test('a service hides who listens at its port for others than this host', () => {
  const [own, web] = parseListeners(TCP, 'tcp');
  const hides = (text: string, listener = web): boolean => {
    const service = parseExposure(text);
    return service !== undefined && listener !== undefined && isShadowed(listener, service);
  };
  expect(hides('tcp/80')).toBe(true);
  expect(hides('198.51.100.7:tcp/80')).toBe(true);
  expect(hides('tcp/8000-8100', own)).toBe(false);
  expect(hides('tcp/81')).toBe(false);
  const [named] = parseListeners(TCP6, 'tcp');
  expect(hides('[2001:db8::7]:tcp/443', named)).toBe(false);
  expect(hides('[2001:db8::1]:tcp/443', named)).toBe(true);
});
