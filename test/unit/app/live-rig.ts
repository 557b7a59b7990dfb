import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { configStore } from '../../../src/adapters/system/config-store.ts';
import { toldTo } from '../../../src/app/told-to.ts';
import { LiveConfig, type LivePeers } from '../../../src/app/live-config.ts';
import { loadConfig } from '../../../src/cli/load-config.ts';
import type { PeerConfig, PeerId } from '../../../src/core/config/tunnel-config.ts';
import type { PeerStatus } from '../../../src/ports/control.ts';
import { seconds } from '../../../src/core/units.ts';

/** Of the test that runs. */
export let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-live-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

export const TOP = 'server\n';
export const A = 'peer a\nauth-token ta\ntunl-peer-ip 10.0.0.1\n';
export const B = 'peer b\nauth-token tb\ntunl-peer-ip 10.0.0.2\n';

/** A tunnel that notes what it is told. */
export class Told implements LivePeers {
  readonly peers = new Map<string, PeerConfig>();
  readonly calls: string[] = [];
  failWith: Error | undefined;

  async syncPeers(peers: readonly PeerConfig[]) {
    this.#call(`sync ${peers.map(({ id }) => id).join(' ')}`);
    const before = [...this.peers.keys()];
    const added = peers.filter(({ id }) => !before.includes(id)).length;
    this.peers.clear();
    for (const peer of peers) this.peers.set(peer.id, peer);
    const removed = before.filter((id) => !this.peers.has(id)).length;
    return { added, changed: 0, removed, kept: peers.length - added };
  }

  async setPeer(peer: PeerConfig) {
    this.#call(`set ${peer.id}`);
    this.peers.set(peer.id, peer);
  }

  async removePeer(id: PeerId) {
    this.#call(`remove ${id}`);
    return this.peers.delete(id);
  }

  async reauthenticate() {
    this.#call('reauthenticate');
  }

  async peerStatuses(after: PeerId | undefined, limit: number) {
    const all = [...this.peers.values()];
    const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
    return all.slice(from, from + limit).map(statusOf);
  }

  async peerStatus(id: PeerId) {
    const peer = this.peers.get(id);
    return peer && statusOf(peer);
  }

  #call(what: string): void {
    if (this.failWith) throw this.failWith;
    this.calls.push(what);
  }
}

export function statusOf({ id, innerIps, allowedIps }: PeerConfig): PeerStatus {
  const prefixes = allowedIps === 'any' ? [] : allowedIps.map(({ ip }) => `${ip}/32`);
  return {
    ...{ id, innerIps, allowedIps: prefixes, phase: 'listening', keepalive: seconds(0) },
    ...{ remote: undefined, localAlt: undefined, mtu: undefined, path: undefined },
    ...{ authenticatedAt: undefined, lastHeardAt: undefined, rememberedUntil: undefined },
    ...{ traffic: undefined, refused: {}, authPacketsSent: 0, repliesVerified: 0 },
    ...{ requestsAccepted: 0, troubles: [] },
  };
}

/** A running tunnel of a file with that text. */
export async function live(text: string, ...more: readonly string[]) {
  const file = path.join(folder, 't.conf');
  writeFileSync(file, text, { mode: 0o600 });
  const argv = ['--config', file, ...more];
  const loaded = await loadConfig(argv);
  if (!('config' in loaded.resolved)) throw new Error('nothing to run');
  const tunnel = new Told();
  for (const peer of loaded.resolved.config.peers) tunnel.peers.set(peer.id, peer);
  const logged: string[] = [];
  const levels: string[] = [];
  const config = new LiveConfig(() => loadConfig(argv), loaded, tunnel, {
    store: configStore,
    setLevel: (level) => void levels.push(level),
    tell: toldTo((level, event, fields) => {
      logged.push(`${level} ${event} ${JSON.stringify(fields)}`);
    }),
  });
  const rewrite = (next: string): void => writeFileSync(file, next);
  const read = (): string => readFileSync(file, 'utf8');
  const peers = (id: string): PeerConfig | undefined => tunnel.peers.get(id);
  return { config, tunnel, levels, logged, file, rewrite, read, peers };
}
