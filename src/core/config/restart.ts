import type { LogConfig } from './resolve.ts';
import type { TunnelConfig } from './tunnel-config.ts';

/** A config without its peers: what a running tunnel cannot change. */
export type FixedConfig = { readonly config: Omit<TunnelConfig, 'peers'>; readonly log: LogConfig };

type Part = (fixed: FixedConfig) => string | number | boolean | undefined;

/** The options that say each part. */
const PARTS: readonly (readonly [option: string, part: Part])[] = [
  ['server', ({ config }) => config.role],
  ['number', ({ config }) => config.number],
  ['dataplane', ({ config }) => config.dataplane],
  ['fou-local-ip', ({ config }) => config.outer.localIp],
  ['fou-local-port', ({ config }) => config.outer.localPort],
  ['fou-dev', ({ config }) => config.outer.device],
  ['fou-local-ip-alt', ({ config }) => config.outer.localIpAlt],
  ['force-fou-local-ip-alt', ({ config }) => config.outer.forceLocalIpAlt],
  ['encap-csum', ({ config }) => config.outer.udpChecksum],
  ['tunl-dev', ({ config }) => config.inner.device],
  ['tunl-ip', ({ config }) => config.inner.ip],
  ['mtu', ({ config }) => config.inner.mtu],
  ['queue-number', ({ config }) => config.queue.number],
  ['nfq-max-len', ({ config }) => config.queue.maxLength],
  ['nft-table', ({ config }) => config.nft.table],
  ['no-nft-counter', ({ config }) => config.nft.counters],
  ['verb', ({ log }) => log.level],
  ['no-log-time', ({ log }) => log.time],
  ['no-log-pid', ({ log }) => log.pid],
];

/** The options whose effect is another now, and that only a restart gives it to the tunnel. */
export function needsRestart(running: FixedConfig, wanted: FixedConfig): readonly string[] {
  return PARTS.filter(([, part]) => part(running) !== part(wanted)).map(([option]) => option);
}
