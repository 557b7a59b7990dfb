import type { Topology } from '../../src/adapters/lab/topology.ts';

/**
 * What a tunnel is made of in a namespace, one thing a line: what kernels of all versions show alike and
 * chance has no part in (no numbers of devices, hardware addresses, or tags of programs).
 */
export async function kernelObjects(lab: Topology, namespace: string): Promise<readonly string[]> {
  const look = async (...argv: readonly string[]): Promise<readonly Entry[]> => {
    const shown = await lab.exec(namespace, argv);
    return shown.stdout.trim() === '' ? [] : (JSON.parse(shown.stdout) as Entry[]);
  };
  const routes = ['-j', 'route', 'show', 'table', 'all'];
  const [allLinks, addresses, qdiscs, rules, ipv4, ipv6, nft] = await Promise.all([
    look('ip', '-j', '-d', 'link'),
    look('ip', '-j', 'addr'),
    look('tc', '-j', 'qdisc'),
    look('ip', '-j', 'rule'),
    look('ip', '-4', ...routes),
    look('ip', '-6', ...routes),
    lab.exec(namespace, ['nft', '-s', 'list', 'ruleset']),
  ]);
  const links = allLinks.filter(({ ifname }) => !FALLBACKS.has(String(ifname)));
  const filters = links.flatMap(({ ifname }) =>
    ['ingress', 'egress'].map(async (hook) => {
      const found = await look('tc', '-j', 'filter', 'show', 'dev', String(ifname), hook);
      return found.map((filter) => line(`filter ${String(ifname)} ${hook}`, filter, OF_FILTERS));
    }),
  );
  return [
    ...links.map((link) =>
      line('link', { ...link, ...(link['linkinfo'] as Entry | undefined) }, OF_LINKS),
    ),
    ...addresses.flatMap(({ ifname, addr_info: found }) =>
      (found as readonly Entry[])
        .filter(({ scope }) => scope !== 'link')
        .map((address) => line(`address ${String(ifname)}`, address, OF_ADDRESSES)),
    ),
    ...qdiscs
      .filter(({ dev }) => !FALLBACKS.has(String(dev)))
      .map((qdisc) => line('qdisc', qdisc, ['dev', 'kind', 'parent'])),
    ...(await Promise.all(filters)).flat(),
    ...rules.map((rule) => line('rule', rule, ['priority', 'src', 'table'])),
    ...[...ipv4, ...ipv6]
      .filter(({ dst }) => !/^(fe80:|ff00:|multicast)/.test(String(dst)))
      .map((route) => line('route', route, OF_ROUTES)),
    // Sources that have been seen lately are no rules.
    ...nft.stdout
      .replaceAll(/(flags dynamic[^{}]*?)\s*elements = \{[^}]*\}/g, '$1')
      .split('\n')
      .filter((text) => text !== ''),
  ];
}

/** Devices that every namespace has from when a module of the kernel is loaded. */
const FALLBACKS = new Set(['tunl0', 'sit0', 'ip6tnl0']);

type Entry = Readonly<Record<string, unknown>>;

const OF_LINKS = ['ifname', 'info_kind', 'flags', 'mtu', 'qdisc', 'ifalias', 'group'].concat(
  ...['inet6_addr_gen_mode', 'txqlen', 'link_type'],
);
const OF_ADDRESSES = ['local', 'address', 'prefixlen', 'scope'];
const OF_FILTERS = ['kind', 'pref', 'chain', 'protocol', 'options.handle', 'options.bpf_name'];
const OF_ROUTES = ['type', 'dst', 'gateway', 'dev', 'table', 'protocol', 'scope', 'prefsrc'].concat(
  ...['metric', 'metrics', 'pref'],
);

function line(what: string, entry: Entry, keys: readonly string[]): string {
  const words = keys.flatMap((key) => {
    const [first = '', second] = key.split('.');
    const outer = entry[first];
    const value = second === undefined ? outer : (outer as Entry | undefined)?.[second];
    return value === undefined ? [] : [`${key} ${JSON.stringify(value)}`];
  });
  return [what, ...words].join(' ').replaceAll(/"|:\[[0-9]+\]/g, '');
}
