import { familyOf, formatPrefix, type Prefix } from '../../core/addr.ts';
import { prefixList } from '../../core/config/syntax-peers.ts';
import { isUnicast } from '../../core/config/syntax.ts';
import { wrongValue } from './values.ts';

/** Bits that must be left for addresses: the server's, and a client's. */
const LEAST_BITS = { ipv4: 30, ipv6: 126 } as const;

/** `--inner`: a network inside the tunnel, or one of each family, IPv4 first. */
export function readInside(text: string): readonly Prefix[] {
  const expected =
    'a network as in 172.28.0.0/24, or one of each family with a comma between, with room for two hosts';
  const reading = prefixList.read(text);
  if (!reading.ok) throw wrongValue('inner', text, expected);
  const networks = reading.value.toSorted((a, b) => order(a) - order(b));
  const families = networks.map(({ ip }) => familyOf(ip));
  const sound = networks.every(
    (network) => network.length <= LEAST_BITS[familyOf(network.ip)] && isUnicast(network.ip),
  );
  if (!sound || new Set(families).size !== families.length) {
    const which = networks.map((network) => formatPrefix(network)).join(', ');
    throw wrongValue('inner', which, expected);
  }
  return networks;
}

function order({ ip }: Prefix): number {
  return familyOf(ip) === 'ipv4' ? 0 : 1;
}
