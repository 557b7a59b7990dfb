import { overheadOf } from '../../core/wire/overhead.ts';
import { NOTHING, type Contestant, type Probe } from '../contestant.ts';
import { kernelSide } from '../side.ts';
import { INNER_SERVER, type Site } from '../site.ts';
import { lacksLink, refuses } from './requirements.ts';

/*
 * The kernel's own encapsulations, set up with `ip` and nothing else: fixed addresses, no
 * authentication, nobody notices when the other side moves.
 */

const OUTER_MTU = 1500;
const FOU_PORT = 10_000;

/** `type …` of the device and what it needs besides; `to` and `from` are outer addresses. */
type Recipe = {
  readonly name: string;
  readonly title: string;
  readonly overhead: number;
  readonly router: Contestant['router'];
  readonly remark: string;
  readonly link: (from: string, to: string) => string;
  /** Lines before the device is made, and those that undo them. */
  readonly listen?: { readonly add: string; readonly del: string };
  readonly unavailable: Contestant['unavailable'];
  readonly notOverIpv6?: string;
};

function contestant(recipe: Recipe): Contestant {
  const { name, title, overhead, router, remark, unavailable, notOverIpv6 } = recipe;
  const mtu = OUTER_MTU - overhead;
  return {
    ...{ name, title, overhead, router, remark, unavailable, mtu },
    ...(notOverIpv6 === undefined ? {} : { notOverIpv6 }),
    kind: 'plain',
    protects: NOTHING,
    runsIn: 'kernel',
    clients: 1,
    async open(site) {
      const { lab } = site;
      const device = 'bench0';
      const client = router === 'translates' ? site.seenAddress() : site.clientAddress();
      const start = async (namespace: string, from: string, to: string) => {
        await site.ip(namespace, [
          ...(recipe.listen === undefined ? [] : [recipe.listen.add]),
          `link add name ${device} ${recipe.link(from, to)}`,
          ...addresses(site, namespace, device, site.mtu(mtu)),
        ]);
        const undo = recipe.listen === undefined ? [] : [recipe.listen.del];
        return kernelSide(site, namespace, device, [`link del ${device}`, ...undo]);
      };
      return {
        serverAddress: INNER_SERVER,
        startServer: async () => start(lab.server, site.server, client),
        startClient: async () => start(lab.client(), site.clientAddress(), site.server),
      };
    },
  };
}

function addresses(site: Site, namespace: string, device: string, mtu: number): readonly string[] {
  const own = namespace === site.lab.server ? INNER_SERVER : site.innerClient(0);
  // A network rather than a peer: VXLAN and GENEVE are Ethernet.
  return [`addr add ${own}/24 dev ${device}`, `link set ${device} mtu ${mtu} up`];
}

async function lacksFou(probe: Probe, how: string): Promise<string | undefined> {
  return (
    (await lacksLink(probe, 'ipip', 'local 192.0.2.1 remote 192.0.2.2')) ??
    refuses(probe, 'FOU', [`fou add port 5 ${how}`, 'fou del port 5'])
  );
}

/** The kernel's devices of this kind have IPv4 on both sides. */
const OF_IPV4 =
  'its kind of device is of IPv4 alone; that for IPv6 is another, with other overheads';

const ports = `encap-sport ${FOU_PORT} encap-dport ${FOU_PORT}`;

export const fouRecipe = contestant({
  name: 'recipe-fou',
  notOverIpv6: OF_IPV4,
  title: 'ip fou by hand',
  overhead: overheadOf('ipv4'),
  router: 'translates',
  remark: 'FOU and IPIP by `ip`, no UDP checksum, pointed at the NAT by hand',
  listen: { add: `fou add port ${FOU_PORT} ipproto 4`, del: `fou del port ${FOU_PORT}` },
  link: (from, to) => `type ipip local ${from} remote ${to} ttl 64 encap fou ${ports} dev eth0`,
  unavailable: async (probe) => lacksFou(probe, 'ipproto 4'),
});

export const gueRecipe = contestant({
  name: 'recipe-gue',
  notOverIpv6: OF_IPV4,
  title: 'ip gue by hand',
  // IPv4 20, UDP 8, GUE 4.
  overhead: 32,
  router: 'translates',
  remark: 'GUE and IPIP by `ip`, no UDP checksum, pointed at the NAT by hand',
  listen: { add: `fou add port ${FOU_PORT} gue`, del: `fou del port ${FOU_PORT}` },
  link: (from, to) => `type ipip local ${from} remote ${to} ttl 64 encap gue ${ports} dev eth0`,
  unavailable: async (probe) => lacksFou(probe, 'gue'),
});

export const vxlan = contestant({
  name: 'vxlan',
  title: 'VXLAN',
  // IPv4 20, UDP 8, VXLAN 8, Ethernet 14.
  overhead: 50,
  router: 'routes',
  remark: 'Ethernet in UDP; cannot pass a NAT: its router only routes',
  link: (from, to) => `type vxlan id 7 local ${from} remote ${to} dstport 4789 dev eth0`,
  unavailable: async (probe) => lacksLink(probe, 'vxlan', 'id 7 remote 192.0.2.1 dstport 4789'),
});

export const geneve = contestant({
  name: 'geneve',
  title: 'GENEVE',
  // IPv4 20, UDP 8, GENEVE 8, Ethernet 14.
  overhead: 50,
  router: 'routes',
  remark: 'Ethernet in UDP; cannot pass a NAT: its router only routes',
  link: (_, to) => `type geneve id 7 remote ${to}`,
  unavailable: async (probe) => lacksLink(probe, 'geneve', 'id 7 remote 192.0.2.1'),
});

export const ipip = contestant({
  name: 'ipip',
  notOverIpv6: OF_IPV4,
  title: 'IPIP',
  overhead: 20,
  router: 'routes',
  remark: 'no ports: most NATs drop it; its router only routes',
  link: (from, to) => `type ipip local ${from} remote ${to} ttl 64 dev eth0`,
  unavailable: async (probe) => lacksLink(probe, 'ipip', 'local 192.0.2.1 remote 192.0.2.2'),
});

export const gre = contestant({
  name: 'gre',
  notOverIpv6: OF_IPV4,
  title: 'GRE',
  // IPv4 20, GRE 4.
  overhead: 24,
  router: 'routes',
  remark: 'no ports: most NATs drop it; its router only routes',
  link: (from, to) => `type gre local ${from} remote ${to} ttl 64 dev eth0`,
  unavailable: async (probe) => lacksLink(probe, 'gre', 'local 192.0.2.1 remote 192.0.2.2'),
});
