import { askDaemon } from '../../app/management/ask-daemon.ts';
import { createLocator } from '../../app/locator.ts';
import type { OuterIp } from '../../core/addr.ts';
import { packetSeconds, schemeOf } from '../../core/auth/schemes.ts';
import { outerFamilies } from '../../core/config/families.ts';
import type { PeerConfig, TunnelConfig } from '../../core/config/tunnel-config.ts';
import type { TroubleOf } from '../../core/events/trouble.ts';
import { troubleWords } from '../../core/events/trouble-words.ts';
import { IpipouError } from '../../core/errors.ts';
import type { Log } from '../../ports/log.ts';
import type { Machine } from '../machine.ts';
import { reasonOf } from '../print-error.ts';

/**
 * `reauth-only`: one authentication packet for a tunnel that is up. Its daemon sends it if it
 * lives; else it goes out here, from the tunnel's own port. Rejects with exit `sendAuth`.
 */
export async function reauthenticateOnce(
  config: TunnelConfig,
  machine: Machine,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const entry = machine.runs.find(config.inner.device);
  if (entry?.state !== undefined) {
    await askDaemon(entry, machine, { request: 'reauthenticate' }, 'sendAuth');
    log('info', 'the daemon authenticates again', { pid: entry.record.process.pid });
    return;
  }
  await sendDirectly(config, machine, log, signal);
}

/** To every server, though some cannot be reached; then it rejects as the first of those did. */
async function sendDirectly(
  config: TunnelConfig,
  machine: Machine,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const failures: unknown[] = [];
  for (const peer of config.peers) {
    await sendTo(peer, config, machine, log, signal).catch((error: unknown) => {
      failures.push(error);
      if (config.peers.length > 1) log('error', reasonOf(error), { peer: peer.id });
    });
  }
  if (failures.length > 0) throw failures[0];
}

async function sendTo(
  { proof, auth, remoteHost, remotePort }: PeerConfig,
  config: TunnelConfig,
  machine: Machine,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const { outer } = config;
  if (remoteHost === undefined || remotePort === undefined) {
    throw new IpipouError('arguments', 'reauth-only needs fou-remote');
  }
  const remotes = await machine.resolver
    .resolve(remoteHost, outerFamilies(outer), signal)
    .catch((error) => {
      throw new IpipouError('sendAuth', `${remoteHost} does not resolve: ${String(error)}`);
    });
  const { remote, local } = await firstWay(remotes, config, machine);
  const crypto = machine.sessionCrypto(proof);
  const time = packetSeconds(machine.clock.now().unix);
  const payload = schemeOf(proof).build(crypto, time);
  if (payload === undefined) {
    throw new IpipouError('arguments', 'there is nothing to authenticate with', {
      hint: 'set auth-key-b64',
    });
  }
  const path = {
    local: { ip: local, port: outer.localPort },
    remote: { ip: remote, port: remotePort },
  };
  machine.sendOnce({ path, payload, ttl: auth.packetTtl }, outer.device);
  log('info', 'authentication sent', { remote, port: remotePort, bytes: payload.length });
}

/** The first address that there is a way to, and where packets to it leave from; rejects for what keeps from the first. */
async function firstWay(
  remotes: readonly OuterIp[],
  config: TunnelConfig,
  machine: Machine,
): Promise<{ readonly remote: OuterIp; readonly local: OuterIp }> {
  const host = machine.openHost();
  let trouble: TroubleOf<'no-route'> | undefined;
  try {
    const locate = createLocator(config, host);
    for (const remote of remotes) {
      const way = await locate(remote);
      if (way.kind === 'way') return { remote, local: way.local };
      trouble ??= { kind: 'no-route', remote, why: way };
    }
  } finally {
    host.close();
  }
  throw new IpipouError('sendAuth', trouble ? troubleWords(trouble) : 'the server has no address');
}
