/*
 * Visitors of a service, all at once, as `node visitor.mjs tcp|udp HOST PORT SECONDS FROM…`: each from an address of its
 * own. Prints a line a visitor: its address, and what the service took it for; `no answer` in its place otherwise.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { request } from 'node:http';

const say = (line) => process.stdout.write(`${line}\n`);
const [protocol = '', host = '', port = '', seconds = '', ...addresses] = process.argv.slice(2);
const timeout = Number(seconds) * 1000;
const BYTES = 200_000;

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** What goes there and back is the same by its hash, both ways. */
function overTcp(localAddress) {
  return new Promise((resolve) => {
    const body = randomBytes(BYTES);
    const options = { host, port, localAddress, method: 'POST', agent: false, timeout };
    const asked = request(options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const whole = sha256(Buffer.concat(chunks)) === sha256(body);
        const came = response.headers['x-sha256'] === sha256(body);
        resolve(whole && came ? response.headers['x-from'] : 'damaged');
      });
    });
    asked.on('timeout', () => asked.destroy(new Error('late')));
    asked.on('error', () => resolve('no answer'));
    asked.end(body);
  });
}

function overUdp(address) {
  return new Promise((resolve) => {
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4' });
    const word = randomBytes(8).toString('hex');
    const end = (what) => {
      clearTimeout(timer);
      clearInterval(again);
      socket.close();
      resolve(what);
    };
    const send = () => socket.send(word, Number(port), host);
    const timer = setTimeout(() => end('no answer'), timeout);
    const again = setInterval(send, 500);
    socket.on('error', () => end('no answer'));
    socket.on('message', (message, { address: from, port: back }) => {
      const [seen = '', echo] = String(message).split(' ');
      end(echo === word && from === host && back === Number(port) ? seen : 'damaged');
    });
    socket.bind({ address }, send);
  });
}

const visit = protocol === 'tcp' ? overTcp : overUdp;
const results = await Promise.all(addresses.map(async (from) => `${from} ${await visit(from)}`));
say(results.join('\n'));
