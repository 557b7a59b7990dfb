/** Commands (of sh) that have this host ask a tunnel's name servers. The device's name is in $DEVICE: it may be any. */
import type { DnsServers } from '../config/syntax-everything.ts';

/** Who is told: systemd-resolved by its resolvectl(1), or resolvconf(8). */
export type DnsManager = 'resolved' | 'resolvconf';

/**
 * Of resolvconf's interface-order the tunnels' place, which is before network devices. openresolv does not know that name:
 * there -m 0 has it go first, and -x alone, which Debian's resolvconf takes and ignores.
 */
const RESOLVCONF_NAME = '"tun.$DEVICE"';

/** The first that answers is used. */
export const DNS_MANAGERS: readonly { readonly manager: DnsManager; readonly probe: string }[] = [
  { manager: 'resolved', probe: 'resolvectl dns' },
  { manager: 'resolvconf', probe: 'command -v resolvconf' },
];

/** Replaces what the same device had. */
export function dnsCommand(manager: DnsManager, { servers, domains }: DnsServers): string {
  if (manager === 'resolvconf') {
    const search = domains.filter((domain) => !domain.startsWith('~'));
    const lines = [
      ...servers.map((ip) => `nameserver ${ip}`),
      ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    ];
    return `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} | resolvconf -a ${RESOLVCONF_NAME} -m 0 -x`;
  }
  // Without a domain of its own a link is asked for everything (`~.`).
  const routed = domains.length === 0 ? ['~.'] : domains;
  return [
    `resolvectl dns "$DEVICE" ${servers.join(' ')}`,
    `resolvectl domain "$DEVICE" ${routed.map((domain) => `'${domain}'`).join(' ')}`,
    `resolvectl default-route "$DEVICE" ${domains.length === 0 ? 'yes' : 'no'}`,
  ].join(' && ');
}

export function dnsUndoCommand(manager: DnsManager): string {
  if (manager === 'resolvconf') return `resolvconf -d ${RESOLVCONF_NAME}`;
  // What systemd-resolved knows of a device goes with it.
  return 'test ! -e "/sys/class/net/$DEVICE" || resolvectl revert "$DEVICE"';
}
