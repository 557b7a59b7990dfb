import {
  addToIp,
  formatEndpoint,
  innerIpv4FromNumber,
  parseInnerIp,
  type InnerIp,
  type OuterIp,
} from '../../core/addr.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { port } from '../../core/units.ts';

/** 172.28.0.0, the default for the server of tunnel 0, and the same of IPv6. */
const FIRST_INNER = innerIpv4FromNumber(0xac1c0000);
const FIRST_INNER6 = parseInnerIp('fd28::');

/** One tunnel of the demo: its addresses inside, and the config files of both ends. */
export type DemoTunnel = {
  readonly device: string;
  readonly inside: { readonly server: readonly InnerIp[]; readonly client: readonly InnerIp[] };
  readonly server: readonly string[];
  readonly client: readonly string[];
};

/** The tunnel that a number names. The key pair and secret are the ones that everybody knows from the documentation. */
export function demoTunnel(
  number: number,
  plane: TunnelConfig['dataplane'],
  serverAddress: OuterIp,
  { ipv6Inside = false } = {},
): DemoTunnel {
  const firsts = [FIRST_INNER, ...(ipv6Inside && FIRST_INNER6 ? [FIRST_INNER6] : [])];
  // The server's is the even one.
  const server = firsts.map((first) => addToIp(first, 2 * number));
  const client = server.map((ip) => addToIp(ip, 1));
  const remote = { ip: serverAddress, port: port(10_000 + number) };
  return {
    device: `ipipou${number}`,
    inside: { server, client },
    server: [
      'server',
      `number ${number}`,
      'fou-dev eth0',
      `fou-local-port ${remote.port}`,
      `tunl-ip ${server.join(', ')}`,
      'auth-remote-pubkey-b64 eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=',
      'auth-secret topsecret',
      'auth-lifetime 3600',
      'reply-on-auth-ok',
      `dataplane ${plane}`,
      'verb 3',
    ],
    client: [
      'client',
      `number ${number}`,
      'fou-local @eth0',
      `fou-remote ${formatEndpoint(remote)}`,
      `tunl-ip ${client.join(', ')}`,
      'auth-key-b64 RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=',
      'auth-secret topsecret',
      'keepalive 27',
      `dataplane ${plane}`,
      'verb 3',
    ],
  };
}
