import { amendExposures } from '../core/config/amend-exposures.ts';
import { dropPeer, editPeer, type PeersEdit } from '../core/config/edit-peers.ts';
import {
  addPeer,
  keyOf,
  refuseMember,
  registerKey,
  type Registration,
  type WrittenEdit,
} from '../core/config/invite-peer.ts';
import { notingRemoval, notingSet, type SectionEdits } from '../core/config/edit-text.ts';
import { resolveText, type Loaded, type Origin } from '../core/config/loaded.ts';
import type { PeerBase } from '../core/config/peer-view.ts';
import type { Resolved } from '../core/config/resolve.ts';
import { needsRestart } from '../core/config/restart.ts';
import { levelOf } from '../core/config/log-level.ts';
import type { FixedConfig, LogConfig, PeerConfig, PeerId } from '../core/config/tunnel-config.ts';
import { ConfigError, IpipouError } from '../core/errors.ts';
import type { ControlRequest } from '../core/management/requests.ts';
import { sameValue } from '../core/same-value.ts';
import type { ControlReply, PeerChanges, PeerStatus } from '../ports/control.ts';
import type { ConfigStore } from '../ports/config-store.ts';
import type { Tell } from '../ports/tell.ts';
import { writeEdits } from './config-saver.ts';
import { boundLines, fitReply } from './management/reply-bounds.ts';

/*
 * The config of a running tunnel. Its peers change by requests of the control socket and by reading
 * files again, one change after the other; what else a file says cannot change and is named in a
 * warning. A change that is refused changes nothing.
 */

/** What of a tunnel is needed to change its peers. */
export type LivePeers = {
  syncPeers(peers: readonly PeerConfig[]): Promise<PeerChanges>;
  setPeer(peer: PeerConfig): Promise<void>;
  removePeer(id: PeerId): Promise<unknown>;
  /** Peers behind `after`, in the tunnel's order, at most `limit`. */
  peerStatuses(after: PeerId | undefined, limit: number): Promise<readonly PeerStatus[]>;
  peerStatus(id: PeerId): Promise<PeerStatus | undefined>;
  reauthenticate(): Promise<void>;
};

/** Peers that are looked at for one page; how many of them a reply holds depends on their size. */
const PAGE = 128;

/** Requests about peers; the others are the tunnel's own. */
type PeerRequest = Exclude<
  ControlRequest,
  { readonly request: 'status' } | { readonly request: 'reauthenticate' }
>;
type ChangeRequest = Extract<
  PeerRequest,
  {
    readonly request:
      'sync' | 'set-peer' | 'add-peer' | 'remove-peer' | 'revoke' | 'set-verb' | 'save';
  }
>;

const NO_EDITS: SectionEdits = new Map();

type Wanted = Extract<Resolved, { readonly action: 'run' | 'reauthenticate' }>;

export type LivePorts = {
  readonly store: ConfigStore;
  readonly tell: Tell;
  /** Has the log take lines up to this level from now on. */
  readonly setLevel: (level: LogConfig['level']) => void;
};

export class LiveConfig {
  readonly #load: () => Promise<Loaded>;
  readonly #tunnel: LivePeers;
  readonly #store: ConfigStore;
  readonly #tell: Tell;
  readonly #setLevel: LivePorts['setLevel'];
  /** What the tunnel was started with, and cannot change, but for the level of its log. */
  #running: FixedConfig;
  #peers: readonly PeerConfig[];
  #base: PeerBase;
  #origin: Origin;
  /** What was changed since the tunnel's own files were read. */
  #edits: SectionEdits = NO_EDITS;
  /** The file that the peers were made those of since, where it is another one. */
  #other: string | undefined;
  /** What was said about the files themselves: once is enough. */
  #told: readonly string[];
  /** Settles when the change in hand is done. */
  #last: Promise<unknown> = Promise.resolve();

  /** `load` reads the tunnel's own files again; `loaded` is what it was started with. */
  constructor(
    load: () => Promise<Loaded>,
    loaded: Loaded,
    tunnel: LivePeers,
    { store, tell, setLevel }: LivePorts,
  ) {
    const { config, base, log: levels } = wantedOf(loaded.resolved);
    const { peers, ...fixed } = config;
    this.#load = load;
    this.#tunnel = tunnel;
    this.#store = store;
    this.#tell = tell;
    this.#setLevel = setLevel;
    this.#running = { config: fixed, log: levels };
    this.#peers = peers;
    this.#base = base;
    this.#origin = loaded.origin;
    this.#told = loaded.warnings;
  }

  /** Never rejects. */
  answer(request: PeerRequest): Promise<ControlReply> {
    if (request.request === 'peers') return replying(() => this.#page(request.after));
    if (request.request === 'peer') return replying(() => this.#one(request.peer));
    if (request.request === 'reload') return this.reload();
    return this.#inTurn(() => this.#change(request));
  }

  async #change(request: ChangeRequest): Promise<ControlReply> {
    if (request.request === 'sync') {
      const { resolved, origin } = resolveText(request.text, request.source, this.#origin);
      const own = this.#origin.files.some(({ source }) => source === request.source);
      const reply = await this.#take(wantedOf(resolved), origin, []);
      this.#edits = NO_EDITS;
      this.#other = own ? undefined : request.source;
      return reply;
    }
    if (request.request === 'save') return this.#save();
    if (request.request === 'set-verb') {
      this.#changeLevel(levelOf(request.verb));
      return { ok: true };
    }
    const { peer } = request;
    if (request.request === 'revoke') return this.#revoke(peer);
    if (request.request === 'add-peer') {
      const edit = addPeer(this.#peers, this.#base, peer, request.options);
      await this.#writeSet(edit);
      this.#tell({ kind: 'peer-set' }, edit.peer);
      const added = edit.peers.find(({ id }) => id === edit.peer);
      return { ok: true, innerIps: added?.innerIps ?? [], warnings: edit.warnings };
    }
    if (request.request === 'set-peer') {
      const options = amendExposures(request.options, peer, this.#peers);
      const edit = editPeer(this.#peers, this.#base, peer, options);
      await this.#apply(edit);
      this.#edits = notingSet(this.#edits, peer as PeerId, options);
      this.#tell({ kind: 'peer-set' }, peer as PeerId);
      return { ok: true, warnings: edit.warnings };
    }
    const edit = dropPeer(this.#peers, this.#base, peer);
    await this.#tunnel.removePeer(edit.removed);
    await this.#apply(edit);
    this.#edits = notingRemoval(this.#edits, edit.removed);
    this.#tell({ kind: 'peer-removed' }, edit.removed);
    return { ok: true };
  }

  /**
   * Puts a client's own key in the place of an invitation's: in the file first, then here. Whether that is so
   * now, also because it was before. Never rejects.
   */
  async register(registration: Registration): Promise<boolean> {
    const { peer, publicKey } = registration;
    const reply = await this.#inTurn(async () => {
      const edit = registerKey(this.#peers, this.#base, registration);
      if (edit !== undefined) {
        await this.#writeSet(edit);
        this.#tell({ kind: 'joined' }, peer);
      }
      const now = this.#peers.find(({ id }) => id === peer);
      return now && keyOf(now) === publicKey
        ? { ok: true }
        : { ok: false, error: 'the invitation was used a moment ago' };
    });
    if (!reply.ok) this.#tell({ kind: 'not-joined', error: reply.error, hint: reply.hint }, peer);
    return reply.ok;
  }

  /** Makes a change of one peer, in the file and here, or in neither. */
  async #write(
    peer: PeerId,
    edits: SectionEdits,
    peers: readonly PeerConfig[],
    apply: () => Promise<void>,
  ): Promise<void> {
    this.#refuseOther();
    const own = new Map([...edits].filter(([id]) => id === peer));
    const written = await this.#hintingAtSave(peer, () =>
      writeEdits(this.#store, this.#origin, own, peers),
    );
    try {
      await apply();
    } catch (error) {
      await written.takeBack();
      throw error;
    }
    this.#edits = new Map([...edits].filter(([id]) => id !== peer));
  }

  /** Says so where a file is written that lacks what was set since of other peers, which may be why it fails. */
  async #hintingAtSave<T>(peer: PeerId, write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      const others = [...this.#edits.keys()].filter((id) => id !== peer);
      if (!(error instanceof ConfigError) || others.length === 0) throw error;
      const who = others.length === 1 ? `peer ${others[0]}` : `${others.length} peers`;
      throw new IpipouError(error.exit, error.message, {
        hint: `what was set since is not in the file yet (${who}): ipipou save ${this.#running.config.name}, then again`,
        cause: error,
      });
    }
  }

  async #writeSet(edit: WrittenEdit): Promise<void> {
    const { peer, options, peers } = edit;
    const edits = notingSet(this.#edits, peer, options);
    await this.#write(peer, edits, peers, () => this.#apply(edit));
  }

  async #revoke(peer: string): Promise<ControlReply> {
    refuseMember(this.#peers, peer);
    const edit = dropPeer(this.#peers, this.#base, peer);
    const { removed, peers } = edit;
    await this.#write(removed, notingRemoval(this.#edits, removed), peers, async () => {
      await this.#tunnel.removePeer(removed);
      await this.#apply(edit);
    });
    this.#tell({ kind: 'peer-removed' }, removed);
    return { ok: true };
  }

  #refuseOther(): void {
    if (this.#other === undefined) return;
    throw new IpipouError(
      'arguments',
      `the peers are those of ${this.#other} since syncconf: nothing is written`,
      { hint: 'copy that file, or ipipou reload' },
    );
  }

  /** Writes what was changed since into the tunnel's file. */
  async #save(): Promise<ControlReply> {
    this.#refuseOther();
    const saved = [...this.#edits.keys()];
    if (saved.length > 0) await writeEdits(this.#store, this.#origin, this.#edits, this.#peers);
    this.#edits = NO_EDITS;
    return { ok: true, saved: saved.length };
  }

  /** Reads the tunnel's own files again; a client authenticates again as well. Never rejects. */
  reload(): Promise<ControlReply> {
    return this.#inTurn(async () => {
      const { resolved, origin, warnings } = await this.#load();
      const news = warnings.filter((warning) => !this.#told.includes(warning));
      const reply = await this.#take(wantedOf(resolved), origin, news);
      this.#told = warnings;
      this.#edits = NO_EDITS;
      this.#other = undefined;
      if (this.#running.config.role === 'client') await this.#tunnel.reauthenticate();
      return reply;
    });
  }

  async #apply({ peers, set }: PeersEdit): Promise<void> {
    for (const peer of set) await this.#tunnel.setPeer(peer);
    this.#peers = peers;
  }

  /** Makes the peers those of another config. */
  async #take(
    { config, base, log, warnings }: Wanted,
    origin: Origin,
    about: readonly string[],
  ): Promise<ControlReply> {
    const changed = needsRestart(this.#running, { config, log });
    refuseOtherTunnel(changed);
    const peers = keepEqual(this.#peers, config.peers);
    const changes = await this.#tunnel.syncPeers(peers);
    this.#peers = peers;
    this.#base = sameValue(base.timers, this.#base.timers)
      ? { ...base, timers: this.#base.timers }
      : base;
    this.#origin = origin;
    this.#changeLevel(log.level);
    this.#tell({ kind: 'config-read', ...changes });
    const said = [
      ...changed.map((option) => `${option}: takes effect after a restart`),
      ...about,
      ...warnings,
    ];
    for (const words of said) this.#tell({ kind: 'config-warning', words });
    return { ok: true, changes, warnings: boundLines(said) };
  }

  /** Told whatever is logged before and after. */
  #changeLevel(level: LogConfig['level']): void {
    const before = this.#running.log.level;
    if (level === before) return;
    this.#running = { ...this.#running, log: { ...this.#running.log, level } };
    this.#setLevel('debug');
    this.#tell({ kind: 'log-level', level, before });
    this.#setLevel(level);
  }

  async #page(after: string | undefined): Promise<ControlReply> {
    // A name that no peer has is behind none of them.
    const peers = await this.#tunnel.peerStatuses(after as PeerId | undefined, PAGE);
    return fitReply(peers, peers.length === PAGE);
  }

  async #one(id: string): Promise<ControlReply> {
    const status = await this.#tunnel.peerStatus(id as PeerId);
    if (status) return { ok: true, peers: [status], more: false };
    return { ok: false, error: `there is no peer ${JSON.stringify(id)}` };
  }

  /** After the changes that were asked for before. */
  #inTurn(change: () => Promise<ControlReply>): Promise<ControlReply> {
    const done = this.#last.then(() => replying(change));
    this.#last = done;
    return done;
  }
}

function wantedOf(resolved: Resolved): Wanted {
  if ('config' in resolved) return resolved;
  throw new IpipouError('arguments', 'the config does not describe a tunnel');
}

/** Options that peers depend on: with others it would be another tunnel. */
function refuseOtherTunnel(changed: readonly string[]): void {
  const names = { server: 'server or client', 'tunl-ip': 'tunl-ip' };
  for (const [option, name] of Object.entries(names)) {
    if (!changed.includes(option)) continue;
    throw new IpipouError('arguments', `${name} can be changed by a restart only`, {
      hint: 'nothing was changed',
    });
  }
}

/** The peers of another config, but those that are the same as the objects which are held already. */
function keepEqual(
  held: readonly PeerConfig[],
  wanted: readonly PeerConfig[],
): readonly PeerConfig[] {
  const byId = new Map(held.map((peer) => [peer.id, peer]));
  return wanted.map((peer) => {
    const before = byId.get(peer.id);
    return before && sameValue(before, peer) ? before : peer;
  });
}

async function replying(work: () => Promise<ControlReply>): Promise<ControlReply> {
  try {
    return await work();
  } catch (error) {
    const known = error instanceof IpipouError ? error : undefined;
    const message = error instanceof Error ? error.message : String(error);
    return {
      ok: false,
      error: boundLines(message.split('\n')).join('\n'),
      exit: known?.exit ?? 'generic',
      hint: known?.hint,
    };
  }
}
