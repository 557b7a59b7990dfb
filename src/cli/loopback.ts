import { parseOuterIp, parsePort, type Endpoint } from '../core/addr.ts';

/** The loopback endpoint that a text spells, as in 127.0.0.1:9586 or [::1]:9586; undefined for anything else. */
export function readLoopback(text: string): Endpoint | undefined {
  const [, bracketed, plain, portText = ''] =
    /^(?:\[([^\]]+)\]|([^:]+)):([0-9]+)$/.exec(text) ?? [];
  const ip = parseOuterIp(bracketed ?? plain ?? '');
  const port = parsePort(portText);
  const loopback = ip !== undefined && (ip.startsWith('127.') || ip === '::1');
  return loopback && port !== undefined ? { ip, port } : undefined;
}
