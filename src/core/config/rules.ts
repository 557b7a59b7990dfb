import { addToIp, familyOf, parseOuterIp, type InnerIp } from '../addr.ts';
import type { ConfigProblem } from '../errors.ts';
import { port } from '../units.ts';
import { HOOK_NAMES } from '../hook-names.ts';
import { expandHook } from '../hooks.ts';
import { authOf, timersOf } from './build-peer.ts';
import { carries, familyName, outerFamilies } from './families.ts';
import {
  DEVICE_PREFIX,
  FIRST_INNER_IP,
  FIRST_LOCAL_PORT,
  NUMBER_FROM_QUEUE_MAX,
} from './limits.ts';
import type { Merged } from './merge.ts';
import { checkRoles, missing } from './peer-rules.ts';
import { inheritedOf, type PeerBase, type PeerView } from './peer-view.ts';
import { problemAt } from './setting.ts';
import type { Filled, SlotName } from './slots.ts';
import { IPV6_MIN_MTU } from '../wire/ipv6.ts';

/** What the rules look at: the merged settings, and what depends on several of them. */
export type Situation = Merged & {
  readonly number: number;
  readonly base: PeerBase;
  /** Where an option that is missing should be given: the last file, else the command line. */
  readonly place: PeerView['place'];
  /** Where the role itself is given wrong, what follows from it would only mislead. */
  readonly roleIsSound: boolean;
};

export function situate(merged: Merged, lastSource: string): Situation {
  const { slots } = merged;
  const role = slots.role ?? (isServerInAllButName(merged) ? 'server' : 'client');
  const number = chooseNumber(slots);
  const inherited = inheritedOf(slots);
  const tunnelIps =
    slots.innerIps ?? (role === 'server' ? [addToIp(FIRST_INNER_IP, 2 * number)] : []);
  return {
    ...merged,
    number,
    base: {
      role,
      localPort: slots.localPort ?? port(FIRST_LOCAL_PORT + number),
      tunnelIps,
      outerFamilies: outerFamilies({
        family: slots.outerFamily ?? 'auto',
        localIps: slots.localIps ?? [],
      }),
      inherited,
      defaultTakesAny: slots.allowedIps === undefined,
      auth: authOf({}, inherited),
      timers: timersOf(slots, role),
    },
    place: { source: lastSource, line: undefined },
    roleIsSound: !merged.problems.some(({ key }) => key === 'client' || key === 'server'),
  };
}

/**
 * Whether a config without `client` or `server` can only be meant for a server: it sets what only a
 * server has, nothing that only a client has, and no other side to go to. As a client it would be
 * refused, so taking it for the server can never turn a sound client into one.
 */
function isServerInAllButName({ slots, settings }: Merged): boolean {
  const sets = (role: 'client' | 'server') => settings.some(({ option }) => option.role === role);
  return slots.remoteHost === undefined && sets('server') && !sets('client');
}

/** `number`; where that is 0, a queue number from 1 to 999 counts as it. */
function chooseNumber({ number = 0, queueNumber = 0 }: Filled): number {
  const follows = number === 0 && queueNumber <= NUMBER_FROM_QUEUE_MAX;
  return follows ? queueNumber : number;
}

/** Everything that is wrong with the tunnel itself though each option by itself is right. */
export function checkRules(at: Situation): readonly ConfigProblem[] {
  if (!at.roleIsSound) return [];
  return [...checkRoles(at.settings, at.base.role), ...checkAddresses(at)];
}

function checkAddresses(at: Situation): readonly ConfigProblem[] {
  const { origins, slots } = at;
  const found: ConfigProblem[] = [];
  const refuseAt = (slot: SlotName, expected: string) => {
    const origin = origins.get(slot);
    if (origin) found.push(problemAt(origin, expected));
  };
  if (at.base.tunnelIps.length === 0) {
    found.push(
      ...missing(at, ['tunl-ip'], 'an address: the one that the server calls tunl-peer-ip'),
    );
  }
  if (slots.tunnelDevice !== undefined && slots.tunnelDevice === slots.outerDevice) {
    refuseAt('tunnelDevice', 'another device than `fou-dev`');
  }
  if (slots.dataplane === 'fou' && (slots.integrity ?? 'none') !== 'none') {
    refuseAt(
      'integrity',
      'none with `dataplane fou`, whose kernel cannot test tags; bpf and tun can',
    );
  }
  if (slots.outerFragments) {
    if (typeof slots.mtu !== 'number') {
      refuseAt('outerFragments', '`mtu N` with it, the size of packets inside, as in mtu 1500');
    }
    if (slots.dataplane === 'bpf') {
      refuseAt(
        'outerFragments',
        'another plane than `dataplane bpf`, whose programs can neither make fragments nor put them together; fou and tun can',
      );
    }
  }
  if (slots.localIpAlt !== undefined && slots.localIps?.includes(slots.localIpAlt)) {
    refuseAt('localIpAlt', 'another address than `fou-local-ip`');
  }
  const device = slots.tunnelDevice ?? `${DEVICE_PREFIX}${at.number}`;
  for (const hook of HOOK_NAMES) {
    const command = slots[hook];
    if (command !== undefined && expandHook(command, device) === undefined) {
      refuseAt(
        hook,
        '%i (the device, of letters, digits and . _ - only) or %% after a percent sign',
      );
    }
  }
  if (at.sections.length > 0) {
    for (const slot of ['table', 'killSwitch'] as const)
      refuseAt(slot, 'no sections `peer` in this file: it is for a client with one server');
  }
  if (slots.table !== undefined && slots.table === slots.returnTable) {
    refuseAt('returnTable', 'another table than that of `table`');
  }
  const { killSwitch = 'off', remoteHost } = slots;
  if (killSwitch !== 'off' && remoteHost !== undefined && parseOuterIp(remoteHost) === undefined) {
    refuseAt(
      'killSwitch',
      'an address for fou-remote: to find a name, packets would have to leave',
    );
  }
  const { outerFamily = 'auto', localIps = [] } = slots;
  if (outerFamily !== 'auto' && localIps.some((ip) => familyOf(ip) !== outerFamily)) {
    refuseAt('localIps', `no other than ${familyName(outerFamily)}: fou-family says so`);
  }
  if (typeof slots.mtu === 'number' && slots.mtu < IPV6_MIN_MTU && hasIpv6(at.base.tunnelIps)) {
    refuseAt(
      'mtu',
      `${IPV6_MIN_MTU} or more: IPv6 inside needs it, and tunl-ip has an IPv6 address`,
    );
  }
  return found;
}

function hasIpv6(addresses: readonly InnerIp[]): boolean {
  return carries({ ips: addresses }, 'ipv6');
}
