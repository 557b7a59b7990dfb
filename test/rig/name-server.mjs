/*
 * A name server (RFC 1035), as `node name-server.mjs ADDRESS ANSWER`: whatever is asked has the IPv4 address ANSWER and
 * nothing else. Says `ready`, and then each name that it is asked for.
 */
import { createSocket } from 'node:dgram';

const say = (line) => process.stdout.write(`${line}\n`);
const [address = '', answer = ''] = process.argv.slice(2);
const [HEADER, TYPE_A] = [12, 1];

const socket = createSocket('udp4');
socket.on('message', (message, { address: from, port }) => {
  const labels = [];
  let at = HEADER;
  for (; message[at] !== 0; at += 1 + message[at]) {
    labels.push(message.subarray(at + 1, at + 1 + message[at]).toString());
  }
  const type = message.readUInt16BE(at + 1);
  const question = message.subarray(HEADER, at + 5);
  say(`asked ${labels.join('.')}`);
  const known = type === TYPE_A ? 1 : 0;
  const reply = Buffer.alloc(HEADER);
  message.copy(reply, 0, 0, 2);
  // A response, with recursion; one question, and so many answers.
  reply.writeUInt16BE(0x8180, 2);
  reply.writeUInt16BE(1, 4);
  reply.writeUInt16BE(known, 6);
  // Its name is that of the question; class IN, for a second.
  const record = [
    0xc0,
    HEADER,
    0,
    TYPE_A,
    0,
    1,
    0,
    0,
    0,
    1,
    0,
    4,
    ...answer.split('.').map(Number),
  ];
  socket.send(Buffer.concat([reply, question, Buffer.from(known ? record : [])]), port, from);
});
socket.bind(53, address, () => say('ready'));
