/**
 * What the kernel multicasts about changes of nftables rules (linux/netfilter/nf_tables.h of 6.1,
 * group NFNLGRP_NFTABLES). Every message is a struct nfgenmsg and attributes. The messages of one
 * transaction come in a row and are closed by NFT_MSG_NEWGEN, which alone says who made it. Elements
 * that packets add to dynamic sets, and elements that time out, are not announced.
 */
import { refuse, succeed, type Decoded } from '../result.ts';
import { attributeReader } from './attribute-reader.ts';
import type { NetlinkMessage } from './message.ts';

export const NFNLGRP_NFTABLES = 7;
export const NFNL_SUBSYS_NFTABLES = 10;

const NFGENMSG_LENGTH = 4;

// enum nf_tables_msg_types
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_DELCHAIN = 5;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_DELRULE = 8;
const NFT_MSG_NEWSET = 9;
const NFT_MSG_DELSET = 11;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_DELSETELEM = 14;
const NFT_MSG_NEWGEN = 15;
const NFT_MSG_NEWOBJ = 18;
const NFT_MSG_DELOBJ = 20;

/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE and NFTA_OBJ_TABLE. */
const NFTA_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_RULE_CHAIN = 2;
/** NFTA_SET_NAME and NFTA_SET_ELEM_LIST_SET. */
const NFTA_SET_NAME = 2;

// enum nft_gen_attributes
const NFTA_GEN_PROC_PID = 2;

/** NFPROTO_* by nft's own names. */
const FAMILIES: ReadonlyMap<number, NftFamily> = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [3, 'arp'],
  [5, 'netdev'],
  [7, 'bridge'],
  [10, 'ip6'],
]);

export type NftFamily = 'inet' | 'ip' | 'arp' | 'netdev' | 'bridge' | 'ip6';

/** `object` is a named counter, quota, limit and the like. */
export type NftObject = 'table' | 'chain' | 'rule' | 'set' | 'element' | 'object';

export type NftChange = {
  readonly change: 'add' | 'delete';
  readonly object: NftObject;
  readonly family: NftFamily | undefined;
  readonly table: string;
  /** Of a chain or a rule. */
  readonly chain: string | undefined;
  /** Of a set or an element. */
  readonly set: string | undefined;
};

export type NftEvent =
  | (NftChange & {
      /**
       * Process that made the change, as the initial PID namespace numbers it: not this process's
       * own `process.pid` inside a container.
       */
      readonly processId: number;
      /** Port of the netlink socket that made the change: unique in the network namespace. */
      readonly portId: number;
    })
  /** Events were lost, or could not be read: anything may have changed. */
  | { readonly change: 'unknown' };

const CHANGES: ReadonlyMap<number, Pick<NftChange, 'change' | 'object'>> = new Map([
  [NFT_MSG_NEWTABLE, { change: 'add', object: 'table' }],
  [NFT_MSG_DELTABLE, { change: 'delete', object: 'table' }],
  [NFT_MSG_NEWCHAIN, { change: 'add', object: 'chain' }],
  [NFT_MSG_DELCHAIN, { change: 'delete', object: 'chain' }],
  [NFT_MSG_NEWRULE, { change: 'add', object: 'rule' }],
  [NFT_MSG_DELRULE, { change: 'delete', object: 'rule' }],
  [NFT_MSG_NEWSET, { change: 'add', object: 'set' }],
  [NFT_MSG_DELSET, { change: 'delete', object: 'set' }],
  [NFT_MSG_NEWSETELEM, { change: 'add', object: 'element' }],
  [NFT_MSG_DELSETELEM, { change: 'delete', object: 'element' }],
  [NFT_MSG_NEWOBJ, { change: 'add', object: 'object' }],
  [NFT_MSG_DELOBJ, { change: 'delete', object: 'object' }],
]);

export type NftMessage =
  | { readonly kind: 'change'; readonly value: NftChange }
  /** The end of a transaction. */
  | { readonly kind: 'generation'; readonly processId: number }
  /** Of no interest: traces, flow tables, other subsystems. */
  | { readonly kind: 'other' };

export function decodeNftMessage(
  message: Pick<NetlinkMessage, 'type' | 'payload'>,
): Decoded<NftMessage> {
  if (message.type >> 8 !== NFNL_SUBSYS_NFTABLES) return succeed({ kind: 'other' });
  const { payload } = message;
  if (payload.length < NFGENMSG_LENGTH) return refuse(`${payload.length} bytes are no nfgenmsg`);
  const reader = attributeReader(payload.subarray(NFGENMSG_LENGTH), 'nftables event');
  const operation = message.type & 0xff;
  if (operation === NFT_MSG_NEWGEN) {
    const processId = reader.u32be(NFTA_GEN_PROC_PID);
    return reader.done({ kind: 'generation', processId: processId ?? 0 });
  }
  const change = CHANGES.get(operation);
  if (change === undefined) return succeed({ kind: 'other' });
  const { object } = change;
  const table = reader.string(NFTA_TABLE);
  const chain =
    object === 'chain'
      ? reader.string(NFTA_CHAIN_NAME)
      : object === 'rule'
        ? reader.string(NFTA_RULE_CHAIN)
        : undefined;
  const set = object === 'set' || object === 'element' ? reader.string(NFTA_SET_NAME) : undefined;
  const sound = reader.done(undefined);
  if (!sound.ok) return sound;
  if (table === undefined) return refuse('an nftables event that names no table');
  const family = FAMILIES.get(payload[0] ?? 0);
  return succeed({ kind: 'change', value: { ...change, family, table, chain, set } });
}

/** Changes of one transaction that are kept until it is closed; a larger one is `unknown`. */
export const NFT_BATCH_MAX = 4096;

/**
 * Collects messages and hands over the changes of a transaction when it is closed. Feed it every
 * message in order, and undefined where some were lost.
 */
export function collectNftEvents(
  deliver: (event: NftEvent) => void,
): (message: NetlinkMessage | undefined) => void {
  let batch: NftChange[] = [];
  let lost = false;
  return (message) => {
    const decoded = message === undefined ? refuse('lost') : decodeNftMessage(message);
    if (message === undefined || !decoded.ok) {
      // What is left of a torn transaction says nothing reliable.
      batch = [];
      deliver({ change: 'unknown' });
    } else if (decoded.value.kind === 'change') {
      if (batch.length < NFT_BATCH_MAX) batch.push(decoded.value.value);
      else lost = true;
    } else if (decoded.value.kind === 'generation') {
      const changes = batch;
      const { processId } = decoded.value;
      const incomplete = lost;
      batch = [];
      lost = false;
      if (incomplete) deliver({ change: 'unknown' });
      else for (const value of changes) deliver({ ...value, processId, portId: message.pid });
    }
  };
}
