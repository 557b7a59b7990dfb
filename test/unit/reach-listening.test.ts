import { expect, test } from 'vitest';
import { parseService } from '../../src/core/config/exposure.ts';
import { leftOut, parseListeners, shadowedBy } from '../../src/core/reach/listening.ts';

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
    { ip: '127.0.0.1', port: 8080, inode: 1 },
    { ip: '0.0.0.0', port: 80, inode: 2 },
  ]);
  expect(parseListeners(TCP6, 'tcp')).toEqual([{ ip: '2001:db8::1', port: 443, inode: 4 }]);
  expect(parseListeners('nonsense\n', 'udp')).toEqual([]);
});

test('a service hides who listens at its port for others than this host', () => {
  const tcp = parseListeners(TCP, 'tcp');
  const tcp6 = parseListeners(TCP6, 'tcp');
  const hides = (text: string, found = tcp): boolean => {
    const service = parseService(text);
    return service !== undefined && shadowedBy(service, { tcp: found, udp: [] }).length > 0;
  };
  expect(hides('tcp/80')).toBe(true);
  expect(hides('198.51.100.7:tcp/80')).toBe(true);
  expect(hides('tcp/8000-8100')).toBe(false);
  expect(hides('tcp/81')).toBe(false);
  expect(hides('udp/80')).toBe(false);
  expect(hides('[2001:db8::7]:tcp/443', tcp6)).toBe(false);
  expect(hides('[2001:db8::1]:tcp/443', tcp6)).toBe(true);
  expect(hides('all')).toBe(false);
});

test('all leaves out what others than this host reach, and says which', () => {
  const tcp = [...parseListeners(TCP, 'tcp'), ...parseListeners(TCP6, 'tcp')];
  const kept = (text: string) => {
    const service = parseService(text);
    return service && leftOut(service, { tcp, udp: parseListeners('', 'udp') });
  };
  expect(kept('all')).toEqual(['tcp/80', 'tcp/443']);
  expect(kept('198.51.100.7:all')).toEqual(['tcp/80']);
  expect(kept('tcp/80')).toEqual([]);
});
