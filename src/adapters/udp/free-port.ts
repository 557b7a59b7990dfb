import { createSocket } from 'node:dgram';
import { isErrno } from '../system/files.ts';

/** Whether no program of this host has a UDP port, in any family that there is. */
export async function isFreePort(port: number): Promise<boolean> {
  for (const type of ['udp4', 'udp6'] as const) {
    if (!(await canBind(type, port))) return false;
  }
  return true;
}

function canBind(type: 'udp4' | 'udp6', port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' });
    socket.on('error', (error) => {
      socket.close();
      // Any other failure is that of a family which is not there.
      resolve(!isErrno(error, 'EADDRINUSE') && !isErrno(error, 'EACCES'));
    });
    socket.bind({ port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
