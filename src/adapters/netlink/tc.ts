import { NETLINK_ROUTE } from '../../core/netlink/message.ts';
import {
  decodeFilter,
  decodeQdisc,
  encodeDelBpfFilter,
  encodeDelClsact,
  encodeGetFilters,
  encodeGetQdiscs,
  encodeNewClsact,
  encodeReplaceBpfFilter,
  RTM_DELQDISC,
  RTM_DELTFILTER,
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
  RTNLGRP_TC,
  type BpfFilterSpec,
  type Direction,
  type Filter,
  type FilterPlace,
} from '../../core/netlink/tc.ts';
import type { IfIndex } from '../../core/units.ts';
import { readAnswer, unless } from './answers.ts';
import { openNetlink, type NetlinkEvent, type NetlinkSocket } from './socket.ts';

export type { BpfFilterSpec, Direction, Filter, FilterPlace } from '../../core/netlink/tc.ts';

/**
 * Hooks for packets on the devices of one network namespace. What is refused rejects with KernelError
 * (exit `link`). Removing what is gone already is no failure.
 */
export interface TrafficControl extends Disposable {
  /** Gives a device the clsact qdisc; false when it has one, or its sibling `ingress`. */
  addClsact(index: IfIndex): Promise<boolean>;
  /** The qdisc of a device that filters can hang on. */
  hooks(index: IfIndex): Promise<'clsact' | 'ingress' | undefined>;
  removeClsact(index: IfIndex): Promise<void>;
  /** Filters of one hook; none where the device is gone. */
  filters(index: IfIndex, direction: Direction): Promise<readonly Filter[]>;
  /** Adds a filter, or puts another program in its place without letting a packet by. */
  replaceFilter(spec: BpfFilterSpec): Promise<void>;
  removeFilter(place: FilterPlace): Promise<void>;
  close(): void;
}

/** Of a dump or a removal: there is no such device, qdisc, priority or filter. */
const GONE = ['ENODEV', 'ENOENT', 'EINVAL'];

/** Opens traffic control in the network namespace of the calling thread. */
export function openTrafficControl(): TrafficControl {
  return new TrafficControlClient(
    openNetlink({ family: NETLINK_ROUTE, subject: 'traffic control', exit: 'link' }),
  );
}

class TrafficControlClient implements TrafficControl {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  async addClsact(index: IfIndex): Promise<boolean> {
    const add = this.#socket.request({ ...encodeNewClsact(index), subject: subjectOf(index) });
    return unless(
      ['EEXIST'],
      false,
      add.then(() => true),
    );
  }

  async hooks(index: IfIndex): Promise<'clsact' | 'ingress' | undefined> {
    const messages = await this.#socket.dump(encodeGetQdiscs());
    for (const message of messages) {
      if (message.type !== RTM_NEWQDISC) continue;
      const qdisc = readAnswer(decodeQdisc, message, 'RTM_GETQDISC', 'link');
      const { kind } = qdisc;
      if (qdisc.index === index && (kind === 'clsact' || kind === 'ingress')) return kind;
    }
    return undefined;
  }

  async removeClsact(index: IfIndex): Promise<void> {
    const request = { ...encodeDelClsact(index), subject: subjectOf(index) };
    await unless(GONE, undefined, this.#socket.request(request));
  }

  async filters(index: IfIndex, direction: Direction): Promise<readonly Filter[]> {
    const dump = this.#socket.dump({
      ...encodeGetFilters(index, direction),
      subject: subjectOf(index),
    });
    const messages = await unless(GONE, [], dump);
    return messages
      .filter((message) => message.type === RTM_NEWTFILTER)
      .map((message) => readAnswer(decodeFilter, message, 'RTM_GETTFILTER', 'link'))
      .filter((filter) => filter.handle !== 0);
  }

  async replaceFilter(spec: BpfFilterSpec): Promise<void> {
    const subject = `filter ${spec.name} on link ${spec.index}`;
    await this.#socket.request({ ...encodeReplaceBpfFilter(spec), subject });
  }

  async removeFilter(place: FilterPlace): Promise<void> {
    const subject = `filter of priority ${place.priority} on link ${place.index}`;
    await unless(GONE, undefined, this.#socket.request({ ...encodeDelBpfFilter(place), subject }));
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function subjectOf(index: IfIndex): string {
  return `traffic control of link ${index}`;
}

/** Tells of every removal of a filter or of a qdisc that filters hang on; `undefined` when some may have been missed. */
export function watchTrafficControl(callback: (index: IfIndex | undefined) => void): Disposable & {
  close(): void;
} {
  return openNetlink({
    family: NETLINK_ROUTE,
    groups: [RTNLGRP_TC],
    subject: 'traffic control monitor',
    onEvent: (event) => {
      const index = readEvent(event);
      if (index !== 'nothing') callback(index);
    },
  });
}

function readEvent(event: NetlinkEvent): IfIndex | undefined | 'nothing' {
  if (event.kind === 'overrun') return undefined;
  const { type, payload } = event.message;
  if (type !== RTM_DELTFILTER && type !== RTM_DELQDISC) return 'nothing';
  // Both begin alike, and which device it is about is all that is asked.
  const decoded = decodeQdisc(payload);
  return decoded.ok ? decoded.value.index : undefined;
}
