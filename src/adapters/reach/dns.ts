import { asError, IpipouError } from '../../core/errors.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { DNS_MANAGERS, dnsCommand, dnsUndoCommand, type DnsManager } from '../../core/reach/dns.ts';
import { millis } from '../../core/units.ts';
import type { ReachContext } from '../../ports/reach.ts';
import { watchRoutes } from '../netlink/monitor.ts';
import { openRouteNetlink } from '../netlink/route.ts';
import { Serial } from '../planes/serial.ts';
import { hookRunner } from '../system/hook-runner.ts';
import { readRecord, writeRecord } from './record.ts';

/** How long one of their commands may take. */
const PATIENCE = millis(20_000);

/** Has this host ask the tunnel's name servers while the tunnel is there. */
export class Dns {
  readonly #context: ReachContext;
  readonly #manager: DnsManager;
  readonly #serial = new Serial();
  #watch: { close(): void } | undefined;
  /** The device that systemd-resolved was told of: it forgets one that goes. */
  #toldOf: number | undefined;

  private constructor(context: ReachContext, manager: DnsManager) {
    this.#context = context;
    this.#manager = manager;
  }

  /** Undone again where it fails. */
  static async open(context: ReachContext): Promise<Dns> {
    const dns = new Dns(context, await findManager());
    try {
      await dns.#begin();
    } catch (error) {
      await dns.close().catch(() => undefined);
      throw error;
    }
    return dns;
  }

  async #begin(): Promise<void> {
    const { journal, config, tell } = this.#context;
    if (readRecord(journal).dns !== this.#manager) await cleanDns(this.#context);
    writeRecord(journal, { dns: this.#manager });
    this.#watch = watchRoutes((event) => {
      if (event.kind !== 'link' || event.name !== config.inner.device || !event.up) return;
      if (event.change === 'delete') return;
      this.#serial
        .run(() => this.#apply(event.index))
        .catch((error: unknown) => tell({ kind: 'dns-not-set', error: asError(error).message }));
    });
    using route = openRouteNetlink();
    const link = await route.linkByName(config.inner.device);
    if (this.#manager === 'resolvconf' || link?.up === true)
      await this.#serial.run(() => this.#apply(link?.index));
    tell({ kind: 'dns-set', by: NAMES[this.#manager], servers: config.dns?.servers.join() ?? '' });
  }

  async #apply(index: number | undefined): Promise<void> {
    const { dns, inner } = this.#context.config;
    if (dns === undefined || (this.#toldOf !== undefined && this.#toldOf === index)) return;
    await run(dnsCommand(this.#manager, dns), inner.device);
    this.#toldOf = index;
  }

  facts(): readonly string[] {
    const { servers = [], domains = [] } = this.#context.config.dns ?? {};
    return [`name servers by ${NAMES[this.#manager]}: ${[...servers, ...domains].join(', ')}`];
  }

  async close(): Promise<void> {
    this.#watch?.close();
    await this.#serial.run(() => cleanDns(this.#context));
  }
}

const NAMES: Readonly<Record<DnsManager, string>> = {
  resolved: 'systemd-resolved',
  resolvconf: 'resolvconf',
};

/** Before anything is changed: rejects where nobody can be told of the tunnel's name servers. */
export async function requireDns({ dns }: Pick<TunnelConfig, 'dns'>): Promise<void> {
  if (dns !== undefined) await findManager();
}

async function findManager(): Promise<DnsManager> {
  for (const { manager, probe } of DNS_MANAGERS) {
    const { failure } = await hookRunner.run(probe, {}, PATIENCE);
    if (failure === undefined) return manager;
  }
  throw new IpipouError(
    'generic',
    'dns: neither systemd-resolved runs here, nor is there resolvconf',
    {
      hint: 'apt-get install systemd-resolved (or resolvconf), or leave dns out and write /etc/resolv.conf yourself',
    },
  );
}

/** Takes away what a run that is dead has left. */
export async function cleanDns({ journal, config }: ReachContext): Promise<void> {
  const { dns } = readRecord(journal);
  if (dns === undefined) return;
  await run(dnsUndoCommand(dns), config.inner.device);
  writeRecord(journal, { dns: undefined });
}

async function run(command: string, device: string): Promise<void> {
  const { failure, said } = await hookRunner.run(command, { DEVICE: device }, PATIENCE);
  if (failure === undefined) return;
  throw new IpipouError('generic', `dns: ${command}: ${failure}${said === '' ? '' : `: ${said}`}`);
}
