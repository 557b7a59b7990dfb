/**
 * What may be asked of a running daemon on its sockets, as one table: who may ask it, and what it looks like on the
 * line. docs/CONTROL.md describes it for programs.
 */

import { VERBOSITY_MAX } from '../config/limits.ts';

/** Name and version stand in every reply. A request or reply that means something else than before makes one more. */
export const PROTOCOL = 'ipipou';
export const PROTOCOL_VERSION = 1;

/** One request to a running daemon. */
export type ControlRequest =
  | { readonly request: 'status' }
  | { readonly request: 'reauthenticate' }
  /** A page of peers: those behind `after` in the tunnel's order, from the first without it. */
  | { readonly request: 'peers'; readonly after?: string }
  | { readonly request: 'peer'; readonly peer: string }
  /** Adds or changes one. */
  | {
      readonly request: 'set-peer';
      readonly peer: string;
      readonly options: readonly (readonly [name: string, value: string])[];
    }
  /** Adds one, in the file as well, with free addresses where none are given; see addPeer. */
  | {
      readonly request: 'add-peer';
      readonly peer: string;
      readonly options: readonly (readonly [name: string, value: string])[];
    }
  | { readonly request: 'remove-peer'; readonly peer: string }
  /** Removes an invitation that nobody has taken yet, in the file as well. */
  | { readonly request: 'revoke'; readonly peer: string }
  /** Makes the peers those of a file; `source` is its name, for messages. */
  | { readonly request: 'sync'; readonly source: string; readonly text: string }
  /** How much is logged from now on: `verb` as the option has it. */
  | { readonly request: 'set-verb'; readonly verb: number }
  /** Writes what `set-peer` and `remove-peer` have changed into the tunnel's own file. */
  | { readonly request: 'save' }
  /** Reads the tunnel's own files again. */
  | { readonly request: 'reload' };

/** Asks for all events from now on: a line each after the reply, until somebody hangs up. */
export type FollowRequest = { readonly request: 'events' };

export type AnyRequest = ControlRequest | FollowRequest;
type Name = AnyRequest['request'];
type Fields = Readonly<Record<string, unknown>>;

/** Whoever may `read` is told and changes nothing; what `root` may hold secrets and changes the tunnel. */
export type Access = 'read' | 'root';

type Row<N extends Name> = {
  readonly access: Access;
  /** How long its answer may take: it is about what is known, one change, or as many as there may be. */
  readonly wait: 'question' | 'change' | 'changes';
  /** The request that the fields of a line spell; undefined when they spell none. */
  readonly read: (fields: Fields) => Extract<AnyRequest, { readonly request: N }> | undefined;
};

export const REQUESTS: { readonly [N in Name]: Row<N> } = {
  status: { access: 'read', wait: 'question', read: () => ({ request: 'status' }) },
  peers: {
    access: 'read',
    wait: 'question',
    read: ({ after }) => {
      if (after === undefined) return { request: 'peers' };
      return typeof after === 'string' ? { request: 'peers', after } : undefined;
    },
  },
  peer: {
    access: 'read',
    wait: 'question',
    read: ({ peer }) => (typeof peer === 'string' ? { request: 'peer', peer } : undefined),
  },
  events: { access: 'read', wait: 'question', read: () => ({ request: 'events' }) },
  reauthenticate: { access: 'root', wait: 'question', read: () => ({ request: 'reauthenticate' }) },
  reload: { access: 'root', wait: 'changes', read: () => ({ request: 'reload' }) },
  save: { access: 'root', wait: 'changes', read: () => ({ request: 'save' }) },
  'set-peer': {
    access: 'root',
    wait: 'change',
    read: (fields) => {
      const change = readChange(fields);
      return change && { request: 'set-peer', ...change };
    },
  },
  'add-peer': {
    access: 'root',
    wait: 'change',
    read: (fields) => {
      const change = readChange(fields);
      return change && { request: 'add-peer', ...change };
    },
  },
  revoke: {
    access: 'root',
    wait: 'change',
    read: ({ peer }) => (typeof peer === 'string' ? { request: 'revoke', peer } : undefined),
  },
  'remove-peer': {
    access: 'root',
    wait: 'change',
    read: ({ peer }) => (typeof peer === 'string' ? { request: 'remove-peer', peer } : undefined),
  },
  'set-verb': {
    access: 'root',
    wait: 'change',
    read: ({ verb }) => {
      if (typeof verb !== 'number' || !Number.isInteger(verb)) return undefined;
      return verb >= 0 && verb <= VERBOSITY_MAX ? { request: 'set-verb', verb } : undefined;
    },
  },
  sync: {
    access: 'root',
    wait: 'changes',
    read: ({ source, text }) => {
      if (typeof source !== 'string' || typeof text !== 'string') return undefined;
      return { request: 'sync', source, text };
    },
  },
};

/** How every line begins that brings a file, and may therefore be as long as one. */
export const SYNC_BEGINS = '{"request":"sync"';

/** The line that asks, without its end. */
export function formatRequest({ request, ...fields }: AnyRequest): string {
  return JSON.stringify({ request, version: PROTOCOL_VERSION, ...fields });
}

/** What a line asks of somebody who may do so much; `refused` says in words why nothing. */
export function parseRequest(
  line: string,
  allowed: Access,
): { readonly asked: AnyRequest } | { readonly refused: string } {
  const fields = parseObject(line);
  const name = fields?.['request'];
  // A program of before versions says none, and means the first.
  const version = fields?.['version'] ?? 1;
  if (fields !== undefined && version !== PROTOCOL_VERSION) {
    return { refused: otherVersion('this daemon', PROTOCOL_VERSION, 'who asks', version) };
  }
  const row = typeof name === 'string' && Object.hasOwn(REQUESTS, name) && REQUESTS[name as Name];
  if (fields === undefined || !row) return { refused: 'unknown request' };
  if (row.access === 'root' && allowed === 'read') {
    return { refused: `${name} is for root alone: this socket only tells` };
  }
  const asked = row.read(fields);
  return asked === undefined ? { refused: 'unknown request' } : { asked };
}

/** Why an answer means nothing to this program; undefined when it does. */
export function whyForeignReply(reply: Fields): string | undefined {
  // A daemon of before versions says none, and means the first.
  const { protocol = PROTOCOL, version = 1 } = reply;
  if (protocol === PROTOCOL && version === PROTOCOL_VERSION) return undefined;
  return otherVersion('its daemon', version, 'this program', PROTOCOL_VERSION);
}

function otherVersion(who: string, its: unknown, other: string, others: unknown): string {
  const [said, meant] = [its, others].map((value) => JSON.stringify(value).slice(0, 20));
  return `${who} speaks version ${said} of the protocol, ${other} version ${meant}`;
}

function readChange({ peer, options }: Fields) {
  if (typeof peer !== 'string' || !Array.isArray(options)) return undefined;
  return options.every(isOption) ? { peer, options } : undefined;
}

function isOption(value: unknown): value is readonly [string, string] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  return value.every((word) => typeof word === 'string');
}

/** Undefined for what is no object of JSON. */
export function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}
