/*
 * Somebody who has been at a service for long, as `node talker.mjs HOST PORT FROM`: sends a datagram every 200 ms, until it is
 * asked to end (SIGTERM). Says `answered` at the first answer, and at the end how many were sent and answered.
 */
import { createSocket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';

const say = (line) => process.stdout.write(`${line}\n`);
const [host = '', port = '', address = ''] = process.argv.slice(2);
const LAST_ANSWER_MS = 3000;

const counts = { sent: 0, answered: 0 };
const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4' });
socket.on('message', () => {
  if (counts.answered === 0) say('answered');
  counts.answered += 1;
});
socket.bind({ address }, () => {
  const timer = setInterval(() => {
    counts.sent += 1;
    socket.send(String(counts.sent), Number(port), host);
  }, 200);
  process.once('SIGTERM', async () => {
    clearInterval(timer);
    for (let at = 0; at < LAST_ANSWER_MS && counts.answered < counts.sent; at += 50)
      await delay(50);
    say(`${counts.sent} sent, ${counts.answered} answered`);
    socket.close();
  });
});
