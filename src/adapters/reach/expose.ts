import type { Ip } from '../../core/addr.ts';
import { overlap, type Exposure } from '../../core/config/exposure.ts';
import { KernelError } from '../../core/errors.ts';
import { deviceOfTable, ownTableName } from '../../core/nft/own-table.ts';
import { countedService, countersOf, countersOfAddress } from '../../core/nft/expose-counters.ts';
import { exposeScript, staleObjects } from '../../core/nft/expose-rules.ts';
import { leftOut, shadowedBy } from '../../core/reach/listening.ts';
import {
  familiesOf,
  publicAddressesOf,
  servicesOf,
  type ExposingPeer,
  type PublicAddress,
  type Service,
} from '../../core/reach/services.ts';
import type { ExposureCounts, ReachContext } from '../../ports/reach.ts';
import { openNft, type Nft } from '../nft/nft.ts';
import { listeners } from './listeners.ts';
import { OwnTable } from './own-table.ts';
import { readRecord, writeRecord } from './record.ts';
import { forward, notForwarding, switchedOn } from './settings.ts';
import { giveBack, share, switchedOnByOthers } from './shared-settings.ts';

type Counted = { readonly packets: number; readonly bytes: number };

const NONE: Counted = { packets: 0, bytes: 0 };

/** The services that a server exposes: a table of nftables, and forwarding. */
export class Exposing {
  readonly #context: ReachContext;
  readonly #name: string;
  #nft: Nft | undefined;
  #table: OwnTable | undefined;
  #services: readonly Service[] = [];
  #addresses: readonly PublicAddress[] = [];

  constructor(context: ReachContext) {
    this.#context = context;
    this.#name = ownTableName('expose', context.config.inner.device);
  }

  /** Makes these peers' services what is exposed. Throws as nft does, and nothing has changed then. */
  set(peers: readonly ExposingPeer[]): void {
    const { tell } = this.#context;
    const services = servicesOf(peers);
    const before = new Set(this.#services.map(keyOf));
    const after = new Set(services.map(keyOf));
    const addresses = publicAddressesOf(peers);
    if (services.length + addresses.length > 0) this.#put(services, addresses);
    else if (readRecord(this.#context.journal).exposes) this.#remove();
    this.#tellOf(addresses);
    this.#addresses = addresses;
    const gone = this.#services.filter((service) => !after.has(keyOf(service)));
    this.#services = services;
    const elsewhere = services.length > 0 ? this.#elsewhere() : [];
    for (const { peer, text } of gone) tell({ kind: 'unexposed', service: text }, peer);
    for (const service of services) {
      if (before.has(keyOf(service))) continue;
      tell({ kind: 'exposed', service: service.text }, service.peer);
      const listening = listeners();
      for (const listener of shadowedBy(service.exposure, listening)) {
        tell({ kind: 'shadowed', service: service.text, listener }, service.peer);
      }
      const kept = leftOut(service.exposure, listening);
      if (kept.length > 0)
        tell({ kind: 'left-out', service: service.text, ports: kept }, service.peer);
      for (const { device, exposure } of elsewhere) {
        if (!overlap(exposure, service.exposure)) continue;
        tell({ kind: 'exposed-twice', service: service.text, device }, service.peer);
      }
    }
  }

  #tellOf(addresses: readonly PublicAddress[]): void {
    const { tell } = this.#context;
    const [before, after] = [this.#addresses, addresses].map(
      (list) => new Map(list.map(({ peer, ip }) => [`${peer} ${ip}`, { peer, ip }])),
    );
    for (const [key, { peer, ip }] of before ?? [])
      if (!after?.has(key)) tell({ kind: 'unexposed', service: nameOfAddress(ip) }, peer);
    for (const [key, { peer, ip }] of after ?? [])
      if (!before?.has(key)) tell({ kind: 'exposed', service: nameOfAddress(ip) }, peer);
  }

  counts(): readonly ExposureCounts[] {
    const nft = this.#nft;
    if (nft === undefined || this.#services.length + this.#addresses.length === 0) return [];
    const counted = new Map<string, Counted>();
    for (const { kind, fields } of this.#listed(nft)) {
      const { name, packets, bytes } = fields;
      if (kind !== 'counter' || typeof name !== 'string') continue;
      counted.set(name, { packets: numberOf(packets), bytes: numberOf(bytes) });
    }
    const listening = listeners();
    const ofAddresses = this.#addresses.map((address) => {
      const names = countersOfAddress(address);
      return {
        ...{ peer: address.peer, service: nameOfAddress(address.ip), refused: 0 },
        connections: (counted.get(names.connections) ?? NONE).packets,
        ...(counted.get(names.bytes) ?? NONE),
        ...{ shadows: false, leavesOut: [] },
      };
    });
    const ofServices = this.#services.map((service) => {
      const names = countersOf(service);
      const { packets, bytes } = counted.get(names.bytes) ?? NONE;
      return {
        peer: service.peer,
        service: service.text,
        connections: (counted.get(names.connections) ?? NONE).packets,
        refused: (counted.get(names.refused) ?? NONE).packets,
        packets,
        bytes,
        shadows: shadowedBy(service.exposure, listening).length > 0,
        leavesOut: leftOut(service.exposure, listening),
      };
    });
    return [...ofAddresses, ...ofServices];
  }

  /** Nothing while somebody has flushed the table and it is not put back yet. */
  #listed(nft: Nft): ReturnType<Nft['list']> {
    try {
      return nft.list('inet', this.#name);
    } catch (error) {
      if (error instanceof KernelError && error.errno === 'ENOENT') return [];
      throw error;
    }
  }

  /** Takes everything back, also what an earlier run has left. */
  close(): void {
    try {
      if (readRecord(this.#context.journal).exposes) this.#remove();
    } finally {
      this.#table?.close();
      this.#nft?.close();
      this.#nft = undefined;
    }
  }

  #put(services: readonly Service[], addresses: readonly PublicAddress[]): void {
    const { journal, config } = this.#context;
    const { nft, table } = this.#open();
    const anew = !readRecord(journal).exposes;
    writeRecord(journal, { exposes: true });
    const { device, ips: innerIps } = config.inner;
    const { localPort } = config.outer;
    const script = (closed: ReturnType<typeof switchedOn>) => (): string => {
      const stale = staleObjects(nft.objects('inet', this.#name), services, addresses);
      return exposeScript({
        ...{ table: this.#name, device, innerIps, localPort },
        ...{ services, addresses, closed, stale },
      });
    };
    const families = familiesOf(services, addresses);
    share(families, nft, this.#context);
    // What this host has not forwarded before it must not forward for a moment, whichever tunnel has it forward.
    const closed = new Set(
      config.masquerade
        ? []
        : [
            ...switchedOn(this.#context),
            ...switchedOnByOthers(nft, this.#context),
            ...notForwarding(families),
          ],
    );
    try {
      table.put(script([...closed]));
    } catch (error) {
      if (anew) {
        this.#giveBack(nft);
        writeRecord(journal, { exposes: false });
      }
      throw error;
    }
    forward(families, this.#context);
  }

  #remove(): void {
    const { journal } = this.#context;
    const { nft, table } = this.#open();
    this.#giveBack(nft);
    table.remove();
    writeRecord(journal, { exposes: false });
  }

  #giveBack(nft: Nft): void {
    if (!readRecord(this.#context.journal).masquerades) giveBack(nft, this.#context);
  }

  /** Tables of other tunnels. */
  #others(nft: Nft): readonly string[] {
    return nft
      .tables('inet')
      .filter((name) => name !== this.#name && deviceOfTable('expose', name) !== undefined);
  }

  /** What other tunnels of this host expose. */
  #elsewhere(): readonly { readonly device: string; readonly exposure: Exposure }[] {
    const { nft } = this.#open();
    return this.#others(nft).flatMap((table) =>
      nft.objects('inet', table).flatMap(({ name }) => {
        const exposure = countedService(name);
        const device = deviceOfTable('expose', table);
        return exposure === undefined || device === undefined ? [] : [{ device, exposure }];
      }),
    );
  }

  #open(): { readonly nft: Nft; readonly table: OwnTable } {
    this.#nft ??= openNft();
    this.#table ??= new OwnTable(this.#name, this.#nft, this.#context.tell);
    return { nft: this.#nft, table: this.#table };
  }
}

/** As the log and `show` have it. */
function nameOfAddress(ip: Ip): string {
  return `public-ip ${ip}`;
}

function keyOf({ peer, text, ways }: Service): string {
  const targets = ways.map(({ target }) => target).join();
  return `${peer} ${text} ${targets}`;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
