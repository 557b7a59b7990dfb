import type { Family, InnerIp, OuterIp, Prefix } from '../addr.ts';
import type { PublicKey } from '../public-key.ts';
import type { Integrity } from '../tag/types.ts';
import type { Port, Seconds } from '../units.ts';
import type { Exposure } from './exposure.ts';
import type { ConfigReference } from './syntax.ts';
import type { Mark } from './syntax-reach.ts';
import type { DnsServers, KillSwitch, RoutingTable } from './syntax-everything.ts';
import type { PeerId, SessionChoice } from './tunnel-config.ts';

/**
 * What options say, before defaults: several options may fill one slot (`fou-local` and
 * `fou-dev`), and one option several. A slot that no option fills is absent.
 */
export type Slots = {
  readonly help: true;
  readonly version: true;
  readonly keygen: true;
  readonly reauthOnly: true;
  readonly configFile: ConfigReference;
  readonly peer: PeerId;

  readonly role: 'server' | 'client';
  readonly number: number;
  readonly dataplane: 'auto' | 'fou' | 'bpf' | 'tun';

  readonly auth: 'none';
  readonly byRemoteIp: true;
  readonly byRemotePort: true;
  readonly token: Uint8Array;
  readonly privateSeed: Uint8Array;
  readonly peerPublicKey: PublicKey;
  readonly keyType: 'ed25519';
  readonly secret: Uint8Array;
  readonly maxTimeDiscrepancy: Seconds;
  readonly packetTtl: number;
  readonly replyOnAuthOk: true;
  readonly session: SessionChoice;
  readonly integrity: Integrity;

  readonly authLifetime: Seconds;
  readonly connectionIdle: Seconds;
  readonly keepalive: Seconds;
  readonly deadPeerTimeout: Seconds;

  readonly localIps: readonly OuterIp[];
  readonly outerFamily: 'auto' | Family;
  readonly localPort: Port;
  readonly outerDevice: string;
  readonly localIpAlt: OuterIp;
  readonly forceLocalIpAlt: true;
  readonly remoteHost: string;
  readonly remotePort: Port;
  readonly udpChecksum: boolean;
  readonly outerFragments: true;

  readonly tunnelDevice: string;
  readonly innerIps: readonly InnerIp[];
  readonly innerPeerIps: readonly InnerIp[];
  readonly allowedIps: readonly Prefix[];
  readonly mtu: number | 'auto';

  readonly expose: readonly Exposure[];
  readonly publicIps: readonly InnerIp[];
  readonly exposeFrom: readonly Prefix<OuterIp>[];
  readonly returnPath: 'tunnel' | 'route';
  readonly returnTable: number;
  readonly returnMark: Mark;

  readonly table: RoutingTable;
  readonly dns: DnsServers;
  readonly masquerade: true;
  readonly killSwitch: KillSwitch | 'off';
  readonly inviteHost: string;
  readonly invitePort: Port;
  readonly invitedUntil: Seconds;

  readonly queueNumber: number;
  readonly queueLength: number;
  readonly nftTable: string;
  readonly nftCounters: false;

  readonly statusGroup: string;

  readonly 'pre-up': string;
  readonly 'post-up': string;
  readonly 'pre-down': string;
  readonly 'post-down': string;
  readonly 'peer-up': string;
  readonly 'peer-moved': string;
  readonly 'peer-down': string;
  readonly 'mtu-changed': string;
  readonly verify: string;

  readonly verbosity: number;
  readonly moreVerbose: true;
  readonly logTime: false;
  readonly logPid: false;
};

export type SlotName = keyof Slots;

/** Some slots, filled. Absent and undefined are the same. */
export type Filled = { readonly [Name in SlotName]?: Slots[Name] | undefined };
