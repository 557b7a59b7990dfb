// Sends and receives in the network namespace it is started in, as its parent (transfer.ts) says over IPC. One process
// for all transfers of a namespace: in an emulated guest it is starting one that costs.
import { createHash, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

const sha256 = () => createHash('sha256');

/** Of what each stream carried, in an order that both sides have. */
function digestOfAll(digests) {
  const hash = sha256();
  for (const each of digests.toSorted()) hash.update(each);
  return hash.digest('hex');
}

async function listening(server, port, at, ready) {
  server.listen(port, at);
  await once(server, 'listening');
  ready();
}

/** Works by name: what each is given, `ready` and `go` (resolves when its parent says so); all resolve to a hash. */
const works = {
  async receiveTcp({ at, port, paused }, { ready, go }) {
    const server = net.createServer();
    await listening(server, port, at, ready);
    const [connection] = await once(server, 'connection');
    server.close();
    const closed = once(connection, 'close');
    if (paused) await go;
    const hash = sha256();
    connection.on('data', (data) => hash.update(data));
    await closed;
    return hash.digest('hex');
  },

  async sendTcp({ to, port, bytes }) {
    const data = randomBytes(bytes);
    const socket = net.connect(port, to);
    await once(socket, 'connect');
    for (let at = 0, size = 1; at < data.length; at += size, size = (size * 7 + 1) % 70_001) {
      socket.write(data.subarray(at, at + size));
    }
    socket.end();
    socket.resume();
    await once(socket, 'close');
    return sha256().update(data).digest('hex');
  },

  async receiveStreams({ at, port, streams }, { ready }) {
    const server = net.createServer();
    const digests = [];
    const all = new Promise((resolve, reject) => {
      server.on('connection', (socket) => {
        const hash = sha256();
        socket.on('data', (data) => hash.update(data));
        socket.on('error', reject);
        socket.on('close', () => {
          if (digests.push(hash.digest('hex')) === streams) resolve();
        });
      });
    });
    await listening(server, port, at, ready);
    await all;
    server.close();
    return digestOfAll(digests);
  },

  async sendStreams({ to, port, streams, bytes }) {
    const each = Array.from({ length: streams }, async () => {
      const data = randomBytes(bytes);
      const socket = net.connect(port, to);
      socket.resume();
      socket.end(data);
      await once(socket, 'close');
      return sha256().update(data).digest('hex');
    });
    return digestOfAll(await Promise.all(each));
  },

  async receiveUdp({ at, port }, { ready }) {
    const socket = dgram.createSocket(at.includes(':') ? 'udp6' : 'udp4');
    const hash = sha256();
    const last = new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (data, from) => {
        if (data.length === 0) return resolve();
        hash.update(data);
        socket.send(String(data.length), from.port, from.address);
      });
    });
    socket.bind(port, at, ready);
    await last;
    socket.close();
    return hash.digest('hex');
  },

  async sendUdp({ modules, to, port, family, sizes }) {
    const libc = await import(`${modules}/adapters/ffi/libc.js`);
    const { onReadable } = await import(`${modules}/adapters/ffi/poll.js`);
    const { encodeSockaddr } = await import(`${modules}/core/wire/sockaddr.js`);
    const address = encodeSockaddr({ ip: to, port });
    // linux/udp.h: SOL_UDP, UDP_SEGMENT.
    const [SOL_UDP, UDP_SEGMENT] = [17, 103];
    const fd = libc.socket(family, 2 | 0o4000, 0);
    const buffer = new Uint8Array(new ArrayBuffer(65_536));
    const hash = sha256();
    const bytes = { sent: 0, answered: 0 };
    let wake = () => {};
    const watch = onReadable(fd, () => {
      for (let got; (got = libc.recv(fd, buffer, buffer.length, 0)) >= 0;) {
        bytes.answered += Number(Buffer.from(buffer.subarray(0, got)).toString());
      }
      wake();
    });
    try {
      for (const [size, count] of sizes) {
        const data = randomBytes(size * count - (count > 1 ? size >> 1 : 0));
        const segment = new Uint8Array(Int32Array.of(count > 1 ? size : 0).buffer);
        libc.setsockopt(fd, SOL_UDP, UDP_SEGMENT, segment, 4);
        const took = libc.sendto(fd, data, data.length, 0, address, address.length);
        if (took !== data.length) throw new Error(`sendto: errno ${libc.errno()}`);
        hash.update(data);
        bytes.sent += data.length;
        while (bytes.answered < bytes.sent) await new Promise((resolve) => (wake = resolve));
      }
      libc.sendto(fd, buffer, 0, 0, address, address.length);
    } finally {
      watch.close();
      libc.close(fd);
    }
    return hash.digest('hex');
  },
};

const going = new Map();

process.on('message', async ({ id, work, argument, go }) => {
  if (go) {
    going.get(id)();
    return;
  }
  const told = new Promise((resolve) => going.set(id, resolve));
  const ready = () => process.send({ id, ready: true });
  try {
    process.send({ id, digest: await works[work](argument, { ready, go: told }) });
  } catch (error) {
    process.send({ id, error: String(error) });
  }
  going.delete(id);
});
process.on('disconnect', () => process.exit());
