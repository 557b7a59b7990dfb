import { setImmediate as nextTurn } from 'node:timers/promises';
import { familyOf, ofFamily, type Path } from '../../../core/addr.ts';
import type { PeerId } from '../../../ports/data-plane.ts';
import { slices } from '../slices.ts';
import type { ProgramPeer } from './abi.ts';
import { PEERS_AT_ONCE } from './limits.ts';
import type { PeerEntries } from './peer-entries.ts';
import type { Fixed } from './fixed.ts';
import { tagOf, type Peer, type PeerTable } from './peer-table.ts';
import type { Programs } from './programs.ts';
import type { HeldTags } from './tag-maps.ts';

/** Where a peer is admitted, its index in the maps that say so, and what its packets are tagged by. */
export type Inherited = {
  readonly path: Path;
  readonly index: number;
  readonly tags: HeldTags | undefined;
};

/** Who is admitted where, in maps of an earlier run or of too little room. */
export type Inheritance = {
  readonly entries: PeerEntries;
  readonly paths: ReadonlyMap<PeerId, Inherited>;
};

/**
 * Which of the known peers other maps have admitted; they are known by their tags and addresses. A
 * slice at a time, as `inherit`.
 */
export async function recognize(
  entries: PeerEntries,
  { programs, peers }: { readonly programs: Programs; readonly peers: PeerTable },
  { config, outside }: Pick<Fixed, 'config' | 'outside'>,
): Promise<Inheritance> {
  const byTag = new Map<number, Peer>();
  for (const peer of peers.all()) byTag.set(tagOf(peer), peer);
  const paths = new Map<PeerId, Inherited>();
  const held = new Map<number, HeldTags>();
  if (programs.tags.haveRoom) {
    for (const tags of programs.tags.found()) held.set(tags.number, tags);
  }
  const found = entries.paths(config.outer.localPort);
  for (const slice of slices(found, PEERS_AT_ONCE)) {
    for (const { path, index } of slice) {
      const slot = entries.peer(index);
      const peer = byTag.get(slot?.tag ?? 0);
      const same = peer && slot && slot.innerIp === ofFamily(peer.innerIps, 'ipv4');
      const tags = held.get(slot?.tagsOut ?? 0);
      // Who has tags and lost them is not to be heard without.
      const whole = slot?.tagsOut === 0 || tags !== undefined;
      if (same && sameWay(slot, path) && outside.includes(familyOf(path.remote.ip)) && whole) {
        paths.set(peer.id, { path, index, tags });
      }
    }
    await nextTurn();
  }
  return { entries, paths };
}

function sameWay(slot: ProgramPeer, { local, remote }: Path): boolean {
  return (
    slot.remoteIp === remote.ip && slot.remotePort === remote.port && slot.localIp === local.ip
  );
}
