import { createSocket } from 'node:dgram';
import { familyOf } from '../../core/addr.ts';
import type { OpenExchange } from '../../ports/exchange.ts';

/** A connected socket of Node's: the kernel then tells of closed ports, and keeps others out. */
export const openExchange: OpenExchange = ({ ip, port }, on) => {
  const socket = createSocket(familyOf(ip) === 'ipv4' ? 'udp4' : 'udp6');
  const waiting: Uint8Array[] = [];
  let connected = false;
  let closed = false;
  const send = (payload: Uint8Array): void =>
    socket.send(payload, (error) => {
      if (error && !closed) on.error(error);
    });
  socket.on('error', (error) => {
    if (!closed) on.error(error);
  });
  socket.on('message', (message) => on.packet(Uint8Array.from(message)));
  socket.connect(port, ip, (error?: Error) => {
    if (error && !closed) on.error(error);
    if (error) return;
    connected = true;
    if (!closed) for (const payload of waiting.splice(0)) send(payload);
  });
  return {
    send(payload) {
      if (connected) send(payload);
      else waiting.push(payload);
    },
    close() {
      closed = true;
      socket.close();
    },
  };
};
