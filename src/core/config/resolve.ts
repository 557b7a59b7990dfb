import { addToIp } from '../addr.ts';
import { ConfigError, type ConfigProblem } from '../errors.ts';
import { HOOK_NAMES, type Hooks } from '../hook-names.ts';
import {
  DEVICE_PREFIX,
  FIRST_LOCAL_IP_ALT,
  NFT_TABLE,
  QUEUE_LENGTH,
  STATUS_GROUP,
  VERBOSITY,
} from './limits.ts';
import { levelOf } from './log-level.ts';
import { mergeSources, type Merged } from './merge.ts';
import type { ParsedArguments } from './parse-argv.ts';
import { FOREIGN } from './parse-file.ts';
import type { PeerBase } from './peer-view.ts';
import { defaultPeer } from './peers.ts';
import { resolvePeers } from './resolve-peers.ts';
import { checkRules, situate, type Situation } from './rules.ts';
import type { ParsedSource } from './setting.ts';
import type { Filled } from './slots.ts';
import type { LogConfig, PeerConfig, TunnelConfig } from './tunnel-config.ts';
import { findWarnings } from './warnings.ts';

/** What a command line and its files ask for. */
export type Resolved =
  | { readonly action: 'help' }
  | { readonly action: 'version' }
  | { readonly action: 'keygen'; readonly labelled: boolean }
  | {
      /** `reauthenticate`: send one authentication packet for a tunnel that is up, and exit. */
      readonly action: 'run' | 'reauthenticate';
      readonly config: TunnelConfig;
      /** What peers that come later start from. Holds secrets. */
      readonly base: PeerBase;
      readonly log: LogConfig;
      /** Lines for the operator; they name places and options and hold no secrets. */
      readonly warnings: readonly string[];
    };

export type ResolveInput = {
  /** The files of `commandLine.configs`, parsed, in that order. */
  readonly files: readonly ParsedSource[];
  readonly commandLine: ParsedArguments;
};

/**
 * Options to a whole config. Later files win over earlier ones and the command line over files.
 * Throws a ConfigError with every problem found: its exit is `notImplemented` when all of them are
 * sound input that this version does not support, else `arguments`. Help and version are answered
 * whatever else is wrong.
 */
export function resolveConfig({ files, commandLine }: ResolveInput): Resolved {
  if (commandLine.asks === 'help' || commandLine.asks === 'version') {
    return { action: commandLine.asks };
  }
  const sources = [...files, commandLine];
  const merged = mergeSources(sources);
  if (commandLine.asks === 'keygen') {
    refuseProblems(sources, merged, []);
    return { action: 'keygen', labelled: countMore(merged) + (merged.slots.verbosity ?? 0) > 0 };
  }
  const situation = situate(merged, files.at(-1)?.source ?? commandLine.source);
  const peers = resolvePeers(situation);
  refuseProblems(sources, merged, [...checkRules(situation), ...peers.problems]);
  const config = buildConfig(situation, peers.peers, commandLine.configs.at(-1)?.name);
  return {
    action: merged.slots.reauthOnly ? 'reauthenticate' : 'run',
    config,
    base: situation.base,
    log: {
      level: chooseLevel(merged),
      time: merged.slots.logTime ?? true,
      pid: merged.slots.logPid ?? true,
    },
    warnings: findWarnings(situation, peers.warnings, defaultPeer(config) !== undefined),
  };
}

/** Throws if there are problems: in the order of sources and lines, what has no line last. */
function refuseProblems(
  sources: readonly ParsedSource[],
  merged: Merged,
  more: readonly ConfigProblem[],
): void {
  const found = [...merged.problems, ...more];
  const foreign = found.filter(({ key }) => key === FOREIGN);
  // What else is wrong with another program's file would only mislead.
  const problems = foreign.length > 0 ? foreign : found;
  if (problems.length === 0) return;
  const rank = (problem: ConfigProblem) =>
    sources.findLastIndex(({ source }) => source === problem.source);
  const sorted = problems.toSorted(
    (a, b) => rank(a) - rank(b) || (a.line ?? MAX_LINE) - (b.line ?? MAX_LINE),
  );
  throw new ConfigError(sorted);
}

/** Behind every line there is; a number, because differences of infinities are none. */
const MAX_LINE = Number.MAX_SAFE_INTEGER;

/** How often `-v` stands anywhere. */
function countMore({ settings }: Merged): number {
  return settings.filter(({ option }) => option.name === 'v').length;
}

function chooseLevel(merged: Merged): LogConfig['level'] {
  const wanted = (merged.slots.verbosity ?? VERBOSITY) + countMore(merged);
  return levelOf(wanted);
}

function hooksOf(slots: Filled): Hooks {
  const given = HOOK_NAMES.filter((name) => slots[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, slots[name]]));
}

function buildConfig(
  { slots, base, number }: Situation,
  peers: readonly PeerConfig[],
  name: string | undefined,
): TunnelConfig {
  const { role, tunnelIps } = base;
  if (tunnelIps.length === 0) throw new Error('the inner address is there once the rules hold');
  const device = slots.tunnelDevice ?? `${DEVICE_PREFIX}${number}`;
  return {
    name: name ?? device,
    role,
    number,
    dataplane: slots.dataplane ?? 'auto',
    outer: {
      localIps: slots.localIps ?? [],
      family: slots.outerFamily ?? 'auto',
      localPort: base.localPort,
      device: slots.outerDevice,
      localIpAlt: slots.localIpAlt ?? addToIp(FIRST_LOCAL_IP_ALT, number),
      forceLocalIpAlt: slots.forceLocalIpAlt ?? false,
      udpChecksum: slots.udpChecksum,
      fragments: slots.outerFragments,
    },
    inner: { device, ips: tunnelIps, mtu: slots.mtu },
    queue: {
      number: slots.queueNumber ?? number,
      maxLength: slots.queueLength ?? QUEUE_LENGTH,
    },
    hooks: hooksOf(slots),
    statusGroup: statusGroupOf(slots),
    nft: { table: slots.nftTable ?? NFT_TABLE, counters: slots.nftCounters ?? true },
    ...returnPathOf(slots, role, peers),
    ...everythingOf(slots),
    ...inviteOf(slots),
    peers,
  };
}

function statusGroupOf({ statusGroup = STATUS_GROUP }: Filled): string | undefined {
  return statusGroup === 'none' ? undefined : statusGroup;
}

function everythingOf({
  table,
  killSwitch,
  dns,
  masquerade,
}: Filled): Pick<TunnelConfig, 'table' | 'killSwitch' | 'dns' | 'masquerade'> {
  return {
    ...(dns === undefined ? {} : { dns }),
    ...(killSwitch === undefined || killSwitch === 'off' ? {} : { killSwitch }),
    ...(table === undefined || table === 'main' ? {} : { table }),
    ...(masquerade === undefined ? {} : { masquerade }),
  };
}

function inviteOf({ inviteHost: host, invitePort: port }: Filled): Pick<TunnelConfig, 'invite'> {
  return host === undefined && port === undefined ? {} : { invite: { host, port } };
}

/** Who has an address by the tunnel answers from it by the tunnel. */
function returnPathOf(
  { returnPath, returnTable, returnMark }: Filled,
  role: TunnelConfig['role'],
  peers: readonly PeerConfig[],
): Pick<TunnelConfig, 'returnPath'> {
  const asked = role === 'client' && peers.some(({ publicIps }) => publicIps !== undefined);
  if (returnPath !== 'tunnel' && !asked) return {};
  return { returnPath: { table: returnTable, mark: returnMark } };
}
