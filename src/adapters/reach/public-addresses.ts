import { bitsOf, familyOf, prefixHolds, prefixOf, type Ip } from '../../core/addr.ts';
import { IpipouError } from '../../core/errors.ts';
import { NETLINK_ROUTE } from '../../core/netlink/message.ts';
import {
  decodeProxy,
  encodeDelProxy,
  encodeGetProxies,
  encodeNewProxy,
  RTM_NEWNEIGH,
  type ProxyEntry,
} from '../../core/netlink/proxy.ts';
import type { PublicAddress } from '../../core/reach/services.ts';
import { millis } from '../../core/units.ts';
import type { ReachContext } from '../../ports/reach.ts';
import { readAnswer, unless } from '../netlink/answers.ts';
import { openRouteNetlink, type RouteNetlink } from '../netlink/route.ts';
import { openNetlink, type NetlinkSocket } from '../netlink/socket.ts';
import { Serial } from '../planes/serial.ts';
import { readRecord, writeRecord, type ProxyRecord } from './record.ts';
import { answerNeighbours } from './settings.ts';

/*
 * A server's part of its peers' public addresses: those that are of a network which this host is on are asked for there
 * (ARP, NDP), and it answers in their name. Those that are routed to it need nothing. How they go on is the
 * planes' work: they are among the peer's allowed-ips.
 */

/** The kernel tells nobody that such an entry has gone: one looks. */
const LOOK_EVERY = millis(10_000);

type Sockets = { readonly route: RouteNetlink; readonly neighbours: NetlinkSocket };

export class PublicAddresses {
  readonly #context: ReachContext;
  /** Opened when first needed: most tunnels have none. */
  #opened: Sockets | undefined;
  readonly #serial = new Serial();
  #timer: NodeJS.Timeout | undefined;

  constructor(context: ReachContext) {
    this.#context = context;
  }

  get #sockets(): Sockets {
    this.#opened ??= {
      route: openRouteNetlink(),
      neighbours: openNetlink({ family: NETLINK_ROUTE, subject: 'proxy entries' }),
    };
    return this.#opened;
  }

  /** Throws an IpipouError for an address that cannot be a peer's. */
  async check(addresses: readonly PublicAddress[]): Promise<void> {
    if (addresses.length === 0) return;
    const own = await this.#sockets.route.addresses();
    const mine = addresses.find(({ ip }) => own.some((address) => address.ip === ip));
    if (mine === undefined) return;
    throw new IpipouError('address', `public-ip ${mine.ip}: it is an address of this host`, {
      hint: `take it off its device, or: expose ${mine.ip}:all`,
    });
  }

  /** Makes these, and no others, answered for. */
  set(addresses: readonly PublicAddress[]): Promise<void> {
    return this.#serial.run(async () => {
      const wanted = await this.#proxiesFor(addresses.map(({ ip }) => ip));
      const { proxies: before } = readRecord(this.#context.journal);
      if (wanted.length === 0 && before.length === 0 && this.#timer === undefined) return;
      const gone = before.filter((old) => !wanted.some((one) => same(one, old)));
      writeRecord(this.#context.journal, { proxies: [...gone, ...wanted] });
      await this.#remove(gone);
      await this.#add(wanted);
      writeRecord(this.#context.journal, { proxies: wanted });
      clearInterval(this.#timer);
      this.#timer = undefined;
      if (wanted.length > 0) {
        this.#timer = setInterval(() => void this.#look(), LOOK_EVERY).unref();
      }
    });
  }

  async close(): Promise<void> {
    try {
      await this.set([]);
    } finally {
      clearInterval(this.#timer);
      this.#opened?.neighbours.close();
      this.#opened?.route.close();
      this.#opened = undefined;
    }
  }

  async #proxiesFor(ips: readonly Ip[]): Promise<readonly ProxyRecord[]> {
    if (ips.length === 0) return [];
    const [addresses, links] = [
      await this.#sockets.route.addresses(),
      await this.#sockets.route.links(),
    ];
    return ips.flatMap((ip) => {
      const beside = addresses.find(
        (address) =>
          familyOf(address.ip) === familyOf(ip) &&
          address.prefix < bitsOf(familyOf(ip)) &&
          prefixHolds(prefixOf(address.ip, address.prefix), ip),
      );
      const device = links.find(({ index }) => index === beside?.index)?.name;
      return device === undefined ? [] : [{ ip, device }];
    });
  }

  /** Of these those that are missing are made; whether any was. */
  async #add(proxies: readonly ProxyRecord[]): Promise<boolean> {
    if (proxies.length === 0) return false;
    const there = await this.#there();
    let added = false;
    for (const { ip, device } of proxies) {
      const link = await this.#sockets.route.linkByName(device);
      if (link === undefined) continue;
      if (familyOf(ip) === 'ipv6') answerNeighbours(device, this.#context);
      if (there.some((one) => one.ip === ip && one.index === link.index)) continue;
      const subject = `${ip} on ${device}`;
      await this.#sockets.neighbours.request({
        ...encodeNewProxy({ index: link.index, ip }),
        subject,
      });
      added = true;
    }
    return added;
  }

  async #remove(proxies: readonly ProxyRecord[]): Promise<void> {
    for (const { ip, device } of proxies) {
      const link = await this.#sockets.route.linkByName(device);
      if (link === undefined) continue;
      const call = { ...encodeDelProxy({ index: link.index, ip }), subject: `${ip} on ${device}` };
      await unless(['ENOENT'], undefined, this.#sockets.neighbours.request(call));
    }
  }

  async #there(): Promise<readonly ProxyEntry[]> {
    const found = (['ipv4', 'ipv6'] as const).map(async (family) => {
      const dump = this.#sockets.neighbours.dump(encodeGetProxies(family));
      return unless(['EOPNOTSUPP', 'EAFNOSUPPORT'], [], dump);
    });
    return (await Promise.all(found))
      .flat()
      .filter(({ type }) => type === RTM_NEWNEIGH)
      .map((message) => readAnswer(decodeProxy, message, 'RTM_GETNEIGH', 'generic'));
  }

  async #look(): Promise<void> {
    const { journal, tell } = this.#context;
    const what = 'proxy entries of public addresses';
    try {
      const added = await this.#serial.run(async () => this.#add(readRecord(journal).proxies));
      if (added) tell({ kind: 'disturbed', what, repaired: true });
    } catch {
      tell({ kind: 'disturbed', what, repaired: false });
    }
  }
}

function same(a: ProxyRecord, b: ProxyRecord): boolean {
  return a.ip === b.ip && a.device === b.device;
}
