import { parseOuterIp } from '../core/addr.ts';
import type { PeerConfig, PeerId } from '../core/config/tunnel-config.ts';
import { planePeer } from '../core/plane-peer.ts';
import { sameValue } from '../core/same-value.ts';
import { sessionKept } from '../core/session/secure/resume.ts';
import { sessionMemory } from '../core/session/step.ts';
import type { PeerChanges } from '../ports/control.ts';
import type { Clock } from '../ports/clock.ts';
import type { DataPlane } from '../ports/data-plane.ts';
import type { Driver } from './driver.ts';
import { requireIntegrity } from './peer-integrity.ts';
import { requireRoom } from './peer-room.ts';
import type { PeerSlot } from './peer-slot.ts';
import { watchedLengths } from './watched-lengths.ts';

/*
 * Peers that come, change and go while the tunnel runs, without touching the others. What is gone leaves
 * the plane first, since what comes may have its addresses; then the plane learns of all that is new. When
 * it refuses, what has left is put back. Only then do sessions end and begin. What a removed peer's memory
 * protects from stays on the disk.
 */

/** Makes the peers of a tunnel those of a list. Rejects as the plane does; then nothing is changed. */
export function syncPeers(
  driver: Driver,
  peers: readonly PeerConfig[],
  clock: Clock,
): Promise<PeerChanges> {
  return driver.settled(async (plane) => {
    requireRoom(plane, peers.length);
    requireIntegrity(plane, peers);
    const wanted = new Set(peers.map(({ id }) => id));
    const gone = [...driver.table.directory.entries()].filter(({ peer }) => !wanted.has(peer.id));
    const changes = changesOf(driver, peers);
    learn(driver, changes);
    await takeOut(driver, plane, gone);
    try {
      await makeKnown(driver, plane, changes.news);
    } catch (error) {
      await putBack(driver, plane, gone);
      throw error;
    }
    for (const slot of gone) driver.drop(slot);
    await begin(driver, changes, clock);
    const { added, changed, news } = changes;
    const kept = peers.length - news.length;
    return { added: added.length, changed: changed.length, kept, removed: gone.length };
  });
}

/** Adds a peer or changes one. */
export async function setPeer(driver: Driver, peer: PeerConfig, clock: Clock): Promise<void> {
  await driver.settled(async (plane) => {
    const { directory } = driver.table;
    requireRoom(plane, directory.size + (directory.get(peer.id) ? 0 : 1));
    requireIntegrity(plane, [peer]);
    const changes = changesOf(driver, [peer]);
    learn(driver, changes);
    await makeKnown(driver, plane, changes.news);
    await begin(driver, changes, clock);
  });
}

/** Whether there was such a peer. */
export function removePeer(driver: Driver, id: PeerId): Promise<boolean> {
  return driver.settled(async (plane) => {
    const slot = driver.table.get(id);
    if (slot === undefined) return false;
    await takeOut(driver, plane, [slot]);
    driver.drop(slot);
    return true;
  });
}

type Changes = {
  readonly added: readonly PeerConfig[];
  readonly changed: readonly { readonly slot: PeerSlot; readonly peer: PeerConfig }[];
  /** Both. */
  readonly news: readonly PeerConfig[];
};

function changesOf(driver: Driver, peers: readonly PeerConfig[]): Changes {
  const added: PeerConfig[] = [];
  const changed: { readonly slot: PeerSlot; readonly peer: PeerConfig }[] = [];
  for (const peer of peers) {
    const slot = driver.table.get(peer.id);
    if (slot === undefined) added.push(peer);
    else if (!sameValue(slot.peer, peer)) changed.push({ slot, peer });
  }
  return { added, changed, news: [...added, ...changed.map(({ peer }) => peer)] };
}

/** What was accepted of those who come, wherever that was. */
function learn(driver: Driver, { added, changed }: Changes): void {
  const others = changed.filter(({ slot, peer }) => !sameProof(slot.peer, peer));
  driver.memories.learn([...added, ...others.map(({ peer }) => peer)]);
}

/** Rejects as the plane does; what it has let go by then is put back. */
async function takeOut(
  driver: Driver,
  plane: DataPlane,
  slots: readonly PeerSlot[],
): Promise<void> {
  if (slots.length === 0) return;
  try {
    await plane.remove(slots.map(({ peer }) => peer.id));
  } catch (error) {
    await putBack(driver, plane, slots);
    throw error;
  }
}

async function makeKnown(
  driver: Driver,
  plane: DataPlane,
  peers: readonly PeerConfig[],
): Promise<void> {
  if (peers.length === 0) return;
  await plane.watch(watchedLengths(peers), driver.initKeys(peers));
  await plane.configure(peers.map(planePeer));
}

/** Gives the plane back whom it has let go, and what it carried of them. */
async function putBack(
  driver: Driver,
  plane: DataPlane,
  slots: readonly PeerSlot[],
): Promise<void> {
  if (slots.length === 0) return;
  try {
    await plane.configure(slots.map(({ peer }) => planePeer(peer)));
  } catch (error) {
    return driver.fail(new Error(`peers that were to stay are lost: ${String(error)}`));
  }
  for (const slot of slots) await driver.readmit(slot);
}

async function begin(driver: Driver, { added, changed }: Changes, clock: Clock): Promise<void> {
  for (const { slot, peer } of changed) await replace(driver, slot, peer, clock);
  const slots = added.map((peer) => driver.add(peer));
  for (const slot of slots) {
    if (!driver.table.isActive(slot.peer)) continue;
    await driver.carryOut(driver.table.begin(slot, clock.now()));
  }
}

/**
 * Gives a peer another config. Where it proves itself as before, its session goes on from what it
 * knows (and sees whether it may still come from there); where not, it is another peer, and whoever was
 * admitted must go.
 */
async function replace(
  driver: Driver,
  slot: PeerSlot,
  peer: PeerConfig,
  clock: Clock,
): Promise<void> {
  const { table } = driver;
  const { state, carried, peer: before } = slot;
  const same = sameProof(slot.peer, peer) && !mustComeElsewhere(slot.peer, peer);
  const renew = slot.peer.auth.integrity !== peer.auth.integrity;
  const memory = state && same ? sessionMemory(table.configOf(slot), state) : undefined;
  if (!same && carried !== undefined) await driver.evict(slot);
  if (!same) driver.memories.forget(slot.peer);
  driver.relist(slot, peer);
  if (state === undefined && !table.isActive(peer)) return;
  // Under another key of this side's there is no session yet.
  const kept = state && sameOwnKey(before, peer) ? sessionKept(state) : undefined;
  const from = same && state ? { memory, adopted: carried, kept, renew } : undefined;
  const memoryOnly = { memory: driver.memories.recall(peer), adopted: undefined };
  await driver.carryOut(table.begin(slot, clock.now(), from ?? memoryOnly));
}

/** Whether a peer must come from where a name leads now that did not count before: nobody knows yet where. */
function mustComeElsewhere(before: PeerConfig, { auth, remoteHost }: PeerConfig): boolean {
  if (!auth.byRemoteIp || remoteHost === undefined) return false;
  if (parseOuterIp(remoteHost) !== undefined) return false;
  return !before.auth.byRemoteIp || before.remoteHost !== remoteHost;
}

function sameOwnKey({ proof: a }: PeerConfig, { proof: b }: PeerConfig): boolean {
  if (a.kind !== 'ed25519' || b.kind !== 'ed25519') return a.kind === b.kind;
  return sameValue(a.privateSeed, b.privateSeed);
}

/** Whether two configs trust the same other side. */
function sameProof({ proof: a }: PeerConfig, { proof: b }: PeerConfig): boolean {
  if (a.kind !== 'ed25519' || b.kind !== 'ed25519') return sameValue(a, b);
  return sameValue(a.peerPublicKey, b.peerPublicKey) && sameValue(a.secret, b.secret);
}
