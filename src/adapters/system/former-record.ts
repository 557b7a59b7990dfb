import type { InnerIp, OuterIp } from '../../core/addr.ts';
import type {
  InnerConfig,
  OuterConfig,
  PeerConfig,
  TunnelConfig,
} from '../../core/config/tunnel-config.ts';
import type { RunRecord } from '../../ports/run-store.ts';

/** A record as version 0.2 wrote it, with one address of each kind, as this one does. */
export function fromFormerRecord(record: RunRecord): RunRecord {
  const config: FormerConfig = record.config;
  if (config.inner.ips !== undefined) return record;
  const { ip, ...inner } = config.inner;
  const { localIp, ...outer } = config.outer;
  const peers = (config.peers ?? []).map(({ innerIp, ...peer }) => ({
    ...peer,
    innerIps: listOf(innerIp),
  }));
  return {
    ...record,
    config: {
      ...record.config,
      inner: { ...inner, ips: listOf(ip) },
      outer: { ...outer, localIps: listOf(localIp), family: 'auto' },
      peers,
    },
  };
}

type FormerConfig = Omit<TunnelConfig, 'inner' | 'outer' | 'peers'> & {
  readonly inner: Omit<InnerConfig, 'ips'> & {
    readonly ips?: readonly InnerIp[];
    readonly ip?: InnerIp;
  };
  readonly outer: OuterConfig & { readonly localIp?: OuterIp };
  readonly peers?: readonly (PeerConfig & { readonly innerIp?: InnerIp })[];
};

function listOf<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}
