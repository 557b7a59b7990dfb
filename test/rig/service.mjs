/*
 * A service at home, as `node service.mjs PORT [UDP-PORT]`: HTTP that sends a body back and says whose it was, and UDP
 * that does the same. Says `ready` when it listens.
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';

const say = (line) => process.stdout.write(`${line}\n`);
const [port = '', udpPort] = process.argv.slice(2);

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    const from = request.socket.remoteAddress?.replace(/^::ffff:/, '');
    say(`from ${from}`);
    response.setHeader('x-from', from ?? '');
    response.setHeader('x-sha256', createHash('sha256').update(body).digest('hex'));
    response.setHeader('connection', 'close');
    response.end(body);
  });
});
server.listen({ host: '::', port: Number(port) }, () => {
  if (udpPort === undefined) {
    say('ready');
    return;
  }
  const socket = createSocket({ type: 'udp6' });
  socket.on('message', (message, { address, port: back }) => {
    socket.send(`${address.replace(/^::ffff:/, '')} ${message}`, back, address);
  });
  socket.bind(Number(udpPort), '::', () => say('ready'));
});
