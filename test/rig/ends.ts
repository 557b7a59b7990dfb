import {
  hostPrefix,
  type Endpoint,
  type Family,
  type InnerIp,
  type OuterIp,
  type Path,
  type Prefix,
} from '../../src/core/addr.ts';
import { port } from '../../src/core/units.ts';
import { overheadOf } from '../../src/core/wire/overhead.ts';
import { inner, ip } from './addresses.ts';

/** The families of a tunnel between two hosts. */
export type Combination = { readonly outside: Family; readonly inside: Family };

/** All there are, that of old tunnels first. */
export const COMBINATIONS: readonly Combination[] = [
  { outside: 'ipv4', inside: 'ipv4' },
  { outside: 'ipv4', inside: 'ipv6' },
  { outside: 'ipv6', inside: 'ipv4' },
  { outside: 'ipv6', inside: 'ipv6' },
];

/** All but IPv4 in IPv4, of which planes have tests of their own. */
export const WITH_IPV6 = COMBINATIONS.filter(
  ({ outside, inside }) => outside === 'ipv6' || inside === 'ipv6',
);

/** The two ends of a tunnel of one combination, on the cable of two-hosts.ts. */
export type Ends = Combination & {
  /** The endpoints, both on port 10000. */
  readonly a: Endpoint;
  readonly b: Endpoint;
  readonly aToB: Path;
  readonly bToA: Path;
  /** Another outer address that each of them has. */
  readonly otherA: OuterIp;
  readonly otherB: OuterIp;
  /** Addresses inside, of the family that is looked at. */
  readonly innerA: InnerIp;
  readonly innerB: InnerIp;
  /** All that each has inside: IPv6 in IPv4 has IPv4 beside it, IPv6 in IPv6 is alone. */
  readonly allOfA: readonly InnerIp[];
  readonly allOfB: readonly InnerIp[];
  /** Largest inner packet, bytes. */
  readonly mtu: number;
  /** Bytes of an inner header. */
  readonly header: number;
};

/** Outer addresses of the cable: of a, of b, and another of each. */
export const OUTSIDE = {
  ipv4: [ip('10.9.0.1'), ip('10.9.0.2'), ip('10.9.0.3'), ip('10.9.0.4')],
  ipv6: [ip('2001:db8:9::1'), ip('2001:db8:9::2'), ip('2001:db8:9::3'), ip('2001:db8:9::4')],
} as const;

const INSIDE = {
  ipv4: [inner('172.28.0.1'), inner('172.28.0.0')],
  ipv6: [inner('fd28::1'), inner('fd28::2')],
} as const;

const PORT = port(10_000);
const CABLE_MTU = 1500;

export function endsOf({ outside, inside }: Combination): Ends {
  const [ipA, ipB, otherA, otherB] = OUTSIDE[outside];
  const [innerA, innerB] = INSIDE[inside];
  const [a, b] = [ipA, ipB].map((address) => ({ ip: address, port: PORT })) as [Endpoint, Endpoint];
  const beside = inside === 'ipv6' && outside === 'ipv4' ? INSIDE.ipv4 : undefined;
  return {
    ...{ outside, inside, a, b, otherA, otherB, innerA, innerB },
    ...{ aToB: { local: a, remote: b }, bToA: { local: b, remote: a } },
    allOfA: beside === undefined ? [innerA] : [beside[0], innerA],
    allOfB: beside === undefined ? [innerB] : [beside[1], innerB],
    mtu: CABLE_MTU - overheadOf(outside),
    header: inside === 'ipv4' ? 20 : 40,
  };
}

export const IPV4_ENDS = endsOf({ outside: 'ipv4', inside: 'ipv4' });

/** The networks of these addresses alone. */
export function hostPrefixes(ips: readonly InnerIp[]): readonly Prefix[] {
  return ips.map((each) => hostPrefix(each));
}
