// A visitor of a web server, as `node expose-visitor.mjs HOST PORT OWN-ADDRESS SECONDS CONCURRENCY`: one connection a request,
// so many at a time. Prints as JSON how many were answered a second, and how long the middle one took, in milliseconds.
import { connect } from 'node:net';

const [host, port, localAddress, seconds, concurrency] = process.argv.slice(2);
const end = performance.now() + Number(seconds) * 1000;
const times = [];

function ask() {
  return new Promise((resolve) => {
    const from = performance.now();
    let answered = false;
    const socket = connect({ host, port: Number(port), localAddress });
    socket.setTimeout(2000, () => socket.destroy());
    socket.on('connect', () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.on('data', () => (answered = true));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (answered) times.push(performance.now() - from);
      resolve(undefined);
    });
  });
}

async function visit() {
  while (performance.now() < end) await ask();
}

await Promise.all(Array.from({ length: Number(concurrency) }, visit));
const sorted = times.toSorted((a, b) => a - b);
const median = sorted[Math.floor(sorted.length / 2)] ?? null;
process.stdout.write(`${JSON.stringify({ perSecond: times.length / Number(seconds), median })}\n`);
