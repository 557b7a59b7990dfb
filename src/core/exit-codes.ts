/** Exit codes of the command, one table; the numbers are those of the first implementation. */
export const EXIT = {
  ok: 0,
  generic: 1,
  arguments: 2,
  notEstablished: 3,
  troubled: 4,
  modprobe: 10,
  queue: 20,
  nftables: 40,
  address: 51,
  link: 52,
  fou: 53,
  createTunnel: 100,
  updateTunnel: 101,
  sendAuth: 120,
  notImplemented: 127,
  cleanUp: 200,
} as const;

export type ExitName = keyof typeof EXIT;
export type ExitCode = (typeof EXIT)[ExitName];
