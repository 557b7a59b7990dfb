import { parseOuterIp, type Endpoint } from '../../core/addr.ts';
import type { PeerConfig } from '../../core/config/tunnel-config.ts';
import { KEPT, killScript } from '../../core/nft/kill-rules.ts';
import { ownTableName } from '../../core/nft/own-table.ts';
import type { KillSwitchGuard, ReachContext } from '../../ports/reach.ts';
import { openNft, type Nft } from '../nft/nft.ts';
import { OwnTable } from './own-table.ts';
import { readRecord, writeRecord } from './record.ts';

type Peer = Pick<PeerConfig, 'remoteHost' | 'remotePort'>;

/** Nothing leaves this host but by the tunnel, from before its first packet until it is taken down in order. */
export class KillSwitch implements KillSwitchGuard {
  readonly #context: ReachContext;
  readonly #nft: Nft = openNft();
  readonly #table: OwnTable;

  private constructor(context: ReachContext) {
    this.#context = context;
    const name = ownTableName('kill', context.config.inner.device);
    this.#table = new OwnTable(name, this.#nft, context.tell);
  }

  /** Throws as nft does; what was there before is there still then. */
  static open(context: ReachContext, peers: readonly Peer[]): KillSwitch {
    const guard = new KillSwitch(context);
    const before = readRecord(context.journal).killSwitch;
    try {
      writeRecord(context.journal, { killSwitch: true });
      guard.allow(peers);
    } catch (error) {
      guard.#close();
      if (!before) writeRecord(context.journal, { killSwitch: false });
      throw error;
    }
    context.tell({ kind: 'kill-switch', state: 'on' });
    return guard;
  }

  allow(peers: readonly Peer[]): void {
    const { device } = this.#context.config.inner;
    const mode = this.#context.config.killSwitch ?? 'strict';
    const table = this.#table.name;
    const servers = peers.flatMap(endpointOf);
    this.#table.put(() => killScript({ table, device, mode, servers }));
  }

  facts(): readonly string[] {
    return [`kill switch: ${this.#kept()} packets were kept from leaving beside the tunnel`];
  }

  #kept(): number {
    const { nft, table } = { nft: this.#nft, table: this.#table.name };
    // Somebody may have taken it away just now.
    if (!nft.tables('inet').includes(table)) return 0;
    const counter = nft
      .list('inet', table)
      .find(({ kind, fields }) => kind === 'counter' && fields['name'] === KEPT);
    const packets = counter?.fields['packets'];
    return typeof packets === 'number' ? packets : 0;
  }

  remove(): void {
    try {
      this.#table.remove();
      writeRecord(this.#context.journal, { killSwitch: false });
      this.#context.tell({ kind: 'kill-switch', state: 'off' });
    } finally {
      this.#close();
    }
  }

  leave(): void {
    this.#context.tell({ kind: 'kill-switch', state: 'stays' });
    this.#close();
  }

  #close(): void {
    this.#table.close();
    this.#nft.close();
  }
}

/** Takes away what a run that is dead has left. */
export function cleanKillSwitch(context: ReachContext): void {
  if (!readRecord(context.journal).killSwitch) return;
  using nft = openNft();
  new OwnTable(ownTableName('kill', context.config.inner.device), nft, context.tell).remove();
  writeRecord(context.journal, { killSwitch: false });
}

/** A name would have to be looked up, in clear: the config has none (core/config/rules.ts). */
function endpointOf({ remoteHost, remotePort: port }: Peer): readonly Endpoint[] {
  const ip = remoteHost === undefined ? undefined : parseOuterIp(remoteHost);
  return ip === undefined || port === undefined ? [] : [{ ip, port }];
}
