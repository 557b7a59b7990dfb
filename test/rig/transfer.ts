import { expect } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { Program } from '../../src/adapters/lab/process.ts';
import { familyOf, type Ip } from '../../src/core/addr.ts';
import { addressFamily } from '../../src/core/wire/sockaddr.ts';
import { PROJECT } from '../vm/rig/project.ts';

const node = (namespace: string, script: string): Program =>
  new Program(inside(namespace, [process.execPath, '--input-type=module', '-e', script]));

const PRELUDE = `
  import { createHash, randomBytes } from 'node:crypto';
  import net from 'node:net';
  import dgram from 'node:dgram';
  const hash = createHash('sha256');
  const say = () => console.log(hash.digest('hex'));
`;

/** A TCP server that hashes what it is sent; with `paused` it does not read before SIGUSR2. */
export async function tcpReceiver(
  namespace: string,
  at: Ip,
  options: { readonly paused?: boolean; readonly port?: number } = {},
): Promise<Program> {
  const { paused = false, port = 5001 } = options;
  const receiver = node(
    namespace,
    `${PRELUDE}
    let go = ${String(!paused)};
    let socket;
    const read = () => socket?.on('data', (data) => hash.update(data));
    // A socket that nobody reads keeps no process alive.
    const alive = go ? undefined : setInterval(() => undefined, 1000);
    process.on('SIGUSR2', () => { go = true; clearInterval(alive); read(); });
    const server = net.createServer((connection) => {
      server.close();
      socket = connection;
      connection.on('end', () => { say(); connection.end(); });
      if (go) read();
    });
    server.listen(${port}, '${at}', () => console.log('ready'));`,
  );
  await receiver.waitFor(/ready/);
  return receiver;
}

/** Sends random bytes to a receiver, in pieces of odd sizes; prints their hash when all is taken. */
export function tcpSender(namespace: string, to: Ip, bytes: number, port = 5001): Program {
  return node(
    namespace,
    `${PRELUDE}
    const data = randomBytes(${bytes});
    const socket = net.connect(${port}, '${to}', () => {
      for (let at = 0, size = 1; at < data.length; at += size, size = (size * 7 + 1) % 70001) {
        socket.write(data.subarray(at, at + size));
      }
      socket.end();
    });
    hash.update(data);
    say();
    socket.resume();`,
  );
}

/** Asserts that what a sender sent is what a receiver got. */
export async function expectSame(sender: Program, receiver: Program): Promise<void> {
  const sent = await sender.finished;
  expect(sent, sent.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^[0-9a-f]{64}\n$/) as unknown,
  });
  expect((await receiver.finished).stdout).toBe(`ready\n${sent.stdout}`);
}

/** One TCP transfer from one namespace to the other. */
export async function expectTcp(from: string, to: string, at: Ip, bytes: number): Promise<void> {
  await using receiver = await tcpReceiver(to, at);
  await using sender = tcpSender(from, at, bytes);
  await expectSame(sender, receiver);
}

/** So many TCP connections at one time, each with random bytes of its own; what arrived is what was sent. */
export async function expectStreams(
  from: string,
  to: string,
  at: Ip,
  { streams, bytes }: { readonly streams: number; readonly bytes: number },
): Promise<void> {
  // What each stream carried, in an order that both sides have.
  const finish = `
    const digests = [];
    const done = (digest) => {
      if (digests.push(digest) < ${streams}) return;
      for (const each of digests.toSorted()) hash.update(each);
      say();
    };`;
  await using receiver = node(
    to,
    `${PRELUDE}${finish}
    const server = net.createServer((socket) => {
      const own = createHash('sha256');
      socket.on('data', (data) => own.update(data));
      socket.on('end', () => { socket.end(); done(own.digest('hex')); if (digests.length === ${streams}) server.close(); });
    });
    server.listen(5003, '${at}', ${streams}, () => console.log('ready'));`,
  );
  await receiver.waitFor(/ready/);
  await using sender = node(
    from,
    `${PRELUDE}${finish}
    for (let count = 0; count < ${streams}; count += 1) {
      const data = randomBytes(${bytes});
      const socket = net.connect(5003, '${at}', () => socket.end(data));
      socket.resume();
      socket.on('close', () => done(createHash('sha256').update(data).digest('hex')));
    }`,
  );
  await expectSame(sender, receiver);
}

/**
 * UDP datagrams of all sizes up to `largest`, some in bursts of one size (which the kernel may hand over
 * as one, UDP_SEGMENT; none without `bursts`: devices of the stock kernel lose such), each answered by its
 * length. Both sides' hashes must agree.
 */
export async function expectUdp(
  from: string,
  to: string,
  at: Ip,
  largest: number,
  { bursts = true } = {},
): Promise<void> {
  await using receiver = node(
    to,
    `${PRELUDE}
    const socket = dgram.createSocket('${familyOf(at) === 'ipv4' ? 'udp4' : 'udp6'}', (data, { port, address }) => {
      if (data.length === 0) { say(); socket.close(); return; }
      hash.update(data);
      socket.send(String(data.length), port, address);
    });
    socket.bind(5002, '${at}', () => console.log('ready'));`,
  );
  await receiver.waitFor(/ready/);
  await using sender = node(
    from,
    `${PRELUDE}
    import { once } from 'node:events';
    const libc = await import('file://${PROJECT}/.cache/modules/adapters/ffi/libc.js');
    const { encodeSockaddr } = await import('file://${PROJECT}/.cache/modules/core/wire/sockaddr.js');
    const to = encodeSockaddr({ ip: '${at}', port: 5002 });
    // linux/udp.h: SOL_UDP, UDP_SEGMENT.
    const fd = libc.socket(${addressFamily(familyOf(at))}, 2 | 0o4000, 0);
    const { onReadable } = await import('file://${PROJECT}/.cache/modules/adapters/ffi/poll.js');
    const buffer = new Uint8Array(new ArrayBuffer(65536));
    let answered = 0;
    let wake = () => {};
    const watch = onReadable(fd, () => {
      for (let got; (got = libc.recv(fd, buffer, buffer.length, 0)) >= 0; ) {
        answered += Number(Buffer.from(buffer.subarray(0, got)).toString());
      }
      wake();
    });
    let sent = 0;
    const send = async (size, count) => {
      const data = randomBytes(size * count - (count > 1 ? size >> 1 : 0));
      libc.setsockopt(fd, 17, 103, new Uint8Array(Int32Array.of(count > 1 ? size : 0).buffer), 4);
      if (libc.sendto(fd, data, data.length, 0, to, to.length) !== data.length) throw new Error(libc.errno());
      hash.update(data);
      sent += data.length;
      while (answered < sent) await new Promise((resolve) => { wake = resolve; });
    };
    for (let size = 1; size <= ${largest}; size += 37) await send(size, 1);
    for (const size of ${bursts ? `[64, 333, ${largest >> 1}, ${largest}]` : '[]'}) await send(size, Math.min(40, Math.floor(60000 / size)));
    libc.sendto(fd, buffer, 0, 0, to, to.length);
    watch.close();
    libc.close(fd);
    say();`,
  );
  await expectSame(sender, receiver);
}
