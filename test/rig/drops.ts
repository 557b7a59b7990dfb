import type { Topology } from '../../src/adapters/lab/topology.ts';

/** What a namespace has counted as dropped, by name: its IPv4, its devices, its nftables. */
export async function drops(
  lab: Topology,
  namespace: string,
): Promise<ReadonlyMap<string, number>> {
  const counted = new Map<string, number>();
  const snmp = await lab.exec(namespace, ['cat', '/proc/net/snmp', '/proc/net/netstat']);
  const lines = snmp.stdout.split('\n');
  for (const [index, line] of lines.entries()) {
    const names = line.split(' ');
    const values = lines[index + 1]?.split(' ') ?? [];
    if (index % 2 === 1 || names[0] !== values[0]) continue;
    for (const [place, name] of names.entries()) {
      if (!/Discard|Drop|NoRoute|Err|Unreach|Filter/.test(name)) continue;
      counted.set(`${namespace} ${name}`, Number(values[place]));
    }
  }
  const links = await lab.exec(namespace, ['ip', '-j', '-s', 'link']);
  type Side = Readonly<Record<string, number>>;
  type Counted = { ifname: string; stats64: { rx: Side; tx: Side } };
  for (const { ifname, stats64 } of JSON.parse(links.stdout) as readonly Counted[]) {
    for (const [side, counts] of Object.entries(stats64)) {
      for (const [name, count] of Object.entries(counts)) {
        if (/^(bytes|packets|multicast)$/.test(name)) continue;
        counted.set(`${namespace} ${ifname} ${side} ${name}`, count);
      }
    }
  }
  const rules = await lab.exec(namespace, ['nft', 'list', 'ruleset']);
  for (const [, what = '', count] of rules.stdout.matchAll(/(\S+) counter packets (\d+) bytes/g)) {
    counted.set(`${namespace} ${what}`, Number(count));
  }
  for (const [, what = '', count] of rules.stdout.matchAll(
    /counter (\S+) \{\s+packets (\d+) bytes/g,
  )) {
    counted.set(`${namespace} ${what}`, Number(count));
  }
  return counted;
}
