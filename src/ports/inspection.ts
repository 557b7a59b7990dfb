import type { OuterIp } from '../core/addr.ts';
import type { DeviceFacts, FirewallFacts, PortHolder } from '../core/doctor/facts.ts';

/** What else can be seen of this host around a tunnel. Changes nothing. */
export interface HostInspection {
  device(name: string): Promise<DeviceFacts>;
  /** What the kernel has learnt of the path to an address (outer bytes); undefined where that is nothing. */
  learntMtu(remote: OuterIp, device: string | undefined): Promise<number | undefined>;
  /** Who has a UDP port. */
  holdersOf(port: number): readonly PortHolder[];
  /** Rules of all tools that there are. */
  firewall(): FirewallFacts;
  /** A setting below /proc/sys; undefined where there is none. */
  setting(path: string): string | undefined;
  /** Whether the kernel says that something keeps its clock right; undefined where it does not tell. */
  clockKept(): boolean | undefined;
  close(): void;
}
