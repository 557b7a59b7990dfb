import type { OuterIp } from '../../core/addr.ts';

/** Ports that a remapping deals out, so many at a time. */
const REMAP_FIRST_PORT = 40_000;
const REMAP_PORTS = 100;

/** A client, and the public address that it appears with. */
export type Translation = { readonly address: OuterIp; readonly to: OuterIp };

/** The router's rules, as nft commands for its chain `nat`, after so many remappings (`Topology.remapNat`). */
export function natRules(
  clients: readonly Translation[],
  remaps: number,
  random: boolean,
): readonly string[] {
  const first = REMAP_FIRST_PORT + (remaps - 1) * REMAP_PORTS;
  const ports = remaps === 0 ? '' : `:${first}-${first + REMAP_PORTS - 1}`;
  // A router that restarts forgets connections of every kind.
  const remapped = remaps === 0 ? 'meta l4proto udp' : 'meta l4proto { tcp, udp }';
  const flags = random ? ' random' : '';
  return clients.flatMap(({ address, to }) => {
    const match = `oifname "wan" ip saddr ${address}`;
    return [
      `add rule ip lab nat ${match} ${remapped} counter snat to ${to}${ports}${flags}`,
      `add rule ip lab nat ${match} counter snat to ${to}`,
    ];
  });
}
