import { inside } from './namespaces.ts';
import { runChecked } from './process.ts';

/** What a network namespace holds; an entry identifies one thing, for people and for comparison. */
export type Inventory = {
  readonly links: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly nftables: readonly string[];
};

/** What the kernel adds and moves by itself, in its own time, wherever a link is up. */
const KERNELS_OWN = /^(fe80:|ff00:)/;

/** Looks at a namespace, or (undefined) at the one that this process is in. */
export async function inventory(namespace?: string): Promise<Inventory> {
  const look = async (argv: readonly string[]): Promise<unknown> => {
    const { stdout } = await runChecked(namespace === undefined ? argv : inside(namespace, argv));
    return stdout.trim() === '' ? [] : JSON.parse(stdout);
  };
  const [links, routes, ruleset] = await Promise.all([
    look(['ip', '-j', '-d', 'addr']),
    look(['ip', '-j', 'route', 'show', 'table', 'all']),
    look(['nft', '-j', '-s', 'list', 'ruleset']),
  ]);
  return {
    links: records(links).map((link) => {
      const kind = record(link['linkinfo'])['info_kind'];
      return words([link['ifname'], kind, 'mtu', link['mtu'], 'alias', link['ifalias']]);
    }),
    addresses: records(links).flatMap((link) =>
      records(link['addr_info'])
        .filter((found) => !KERNELS_OWN.test(String(found['local'])))
        .map((found) => words([link['ifname'], found['local'], found['prefixlen']])),
    ),
    routes: records(routes)
      .filter((route) => !KERNELS_OWN.test(String(route['dst'])))
      .map((route) =>
        words([route['type'], route['dst'], route['gateway'], route['dev'], route['table']]),
      ),
    nftables: records(record(ruleset)['nftables'])
      .filter((entry) => !('metainfo' in entry))
      .map((entry) => JSON.stringify(entry)),
  };
}

/** Entries of `from` that `without` has not, counting duplicates. */
export function surplus(from: readonly string[], without: readonly string[]): readonly string[] {
  const rest = [...without];
  return from.filter((entry) => {
    const index = rest.indexOf(entry);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  // An object's properties may be anything: that is what the type says.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function records(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function words(values: readonly unknown[]): string {
  return values
    .map((value) => (typeof value === 'string' || typeof value === 'number' ? String(value) : '-'))
    .join(' ');
}
