import { parseOuterIp, parsePort, type Endpoint } from '../../core/addr.ts';

/** A UDP flow that a router translates. */
export type NatMapping = {
  /** The client behind the router. */
  readonly inside: Endpoint;
  /** What the other side takes it for. */
  readonly outside: Endpoint;
  readonly remote: Endpoint;
};

/**
 * The mappings in what `conntrack -L -o xml` prints: of each flow the `original` direction
 * (inside to remote) and the `reply` direction (remote to outside). Flows without ports are left out.
 */
export function parseNatMappings(xml: string): readonly NatMapping[] {
  return [...xml.matchAll(/<flow>(.*?)<\/flow>/gs)].flatMap(([, flow = '']) => {
    const inside = endpoint(flow, 'original', 'src', 'sport');
    const remote = endpoint(flow, 'original', 'dst', 'dport');
    const outside = endpoint(flow, 'reply', 'dst', 'dport');
    return inside && outside && remote ? [{ inside, outside, remote }] : [];
  });
}

function endpoint(
  flow: string,
  direction: string,
  ipTag: string,
  portTag: string,
): Endpoint | undefined {
  const meta = new RegExp(`<meta direction="${direction}">(.*?)</meta>`, 's').exec(flow)?.[1] ?? '';
  const ip = parseOuterIp(text(meta, ipTag));
  const port = parsePort(text(meta, portTag));
  return ip && port ? { ip, port } : undefined;
}

function text(xml: string, tag: string): string {
  return new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1] ?? '';
}
