import { readdirSync, readlinkSync } from 'node:fs';
import { IpipouError, KernelError } from '../../core/errors.ts';
import { encodeU32host, getU16host, getU32host } from '../../core/bytes.ts';
import { parseNftFailure } from '../../core/nft/failure-text.ts';
import {
  countedElements,
  elementTexts,
  parseNftListing,
  type NftListed,
} from '../../core/nft/listing.ts';
import { loadLibnftables, type Libnftables, type NftContext } from '../ffi/libnftables.ts';
import { getsockname } from '../ffi/libc.ts';

// sys/socket.h
const AF_NETLINK = 16;

// nftables/libnftables.h
const NFT_CTX_DEFAULT = 0;
const NFT_CTX_OUTPUT_HANDLE = 1 << 3;
const NFT_CTX_OUTPUT_JSON = 1 << 4;
const NFT_CTX_OUTPUT_TERSE = 1 << 11;
const NFT_CTX_INPUT_NO_DNS = 1 << 0;

const RULESET = 'nftables ruleset';

/**
 * nftables in this process. Every call is one transaction with the kernel and synchronous. Measured
 * on two virtual cores with the ruleset of one tunnel: 0.2 to 0.6 ms in the median, 4 ms at the most;
 * 10 ms, at the most 30, where the kernel refuses (it looks for modules then). Called when a tunnel is
 * made, re-pointed or shown, never for a packet.
 *
 * Commands go in as nft's own text, not as JSON: the JSON parser of nftables 1.0.6 (Debian 12) knows
 * no `dynamic` flag of sets, without which the kernel refuses limits per element. Listings come out
 * as JSON. Failures throw KernelError (exit `nftables`).
 */
export interface Nft extends Disposable {
  /** All commands or none: one transaction. The caller vouches for every name it has put in. */
  runScript(script: string): void;
  /**
   * What is in a table: the table itself first, then chains, sets without their elements, rules; throws when there is
   * none.
   */
  list(family: string, table: string): readonly NftListed[];
  /** All tables of all families, and what is in them. */
  listAll(): readonly NftListed[];
  /** The same in nft's own words, with handles. */
  printAll(): string;
  /** Packets of a named counter; undefined when there is none. */
  counterPackets(family: string, table: string, name: string): bigint | undefined;
  /** Packets that each element of a set of single values has counted; empty when there is no such set. */
  elementPackets(family: string, table: string, set: string): ReadonlyMap<string, bigint>;
  /**
   * Elements of a set or map as scripts name them; none when there is no such set, undefined when
   * there are some that cannot be named so (`elementTexts`).
   */
  elements(
    family: string,
    table: string,
    set: { readonly kind: 'set' | 'map'; readonly name: string },
  ): ReadonlySet<string> | undefined;
  /** What has a name in a table, by kind ("chain", "set", "map", …); empty when there is no such table. */
  objects(family: string, table: string): readonly NftObject[];
  /** The tables of a family, by name. */
  tables(family: string): readonly string[];
  /** Whether there is such a table and nothing is in it. */
  tableIsEmpty(family: string, table: string): boolean;
  /**
   * Port of the netlink socket in use: the `portId` of the events that our own changes cause.
   * Undefined where /proc does not tell.
   */
  readonly portId: number | undefined;
  close(): void;
}

export type NftObject = { readonly kind: string; readonly name: string };

/**
 * Opens a context in the network namespace of the calling thread; it stays there. Throws
 * IpipouError (exit `nftables`) when the library is missing.
 */
export function openNft(): Nft {
  const library = loadLibnftables();
  if (!library) {
    throw new IpipouError('nftables', 'libnftables.so.1 is not on this machine', {
      hint: 'apt-get install libnftables1',
    });
  }
  return new NftLibrary(library);
}

class NftLibrary implements Nft {
  readonly portId: number | undefined;
  readonly #library: Libnftables;
  #context: NftContext | undefined;

  constructor(library: Libnftables) {
    this.#library = library;
    const before = sockets();
    const context = library.nft_ctx_new(NFT_CTX_DEFAULT);
    if (context === null) throw new IpipouError('nftables', 'libnftables gave no context');
    this.#context = context;
    if (
      library.nft_ctx_buffer_output(context) !== 0 ||
      library.nft_ctx_buffer_error(context) !== 0
    ) {
      this.close();
      throw new IpipouError('nftables', 'libnftables gave no buffers');
    }
    library.nft_ctx_input_set_flags?.(context, NFT_CTX_INPUT_NO_DNS);
    // The library's socket gets its port with the first request, whatever that brings.
    library.nft_run_cmd_from_buffer(context, 'list tables ip');
    // What is not taken out of the buffers would stand before what comes next.
    library.nft_ctx_get_output_buffer(context);
    library.nft_ctx_get_error_buffer(context);
    this.portId = netlinkPort(before);
  }

  runScript(script: string): void {
    this.#run(script, 0, 'nft');
  }

  list(family: string, table: string): readonly NftListed[] {
    return this.#listTable(family, table);
  }

  listAll(): readonly NftListed[] {
    return this.#list({ ruleset: null }, RULESET);
  }

  printAll(): string {
    return this.#run('list ruleset', NFT_CTX_OUTPUT_HANDLE, RULESET);
  }

  counterPackets(family: string, table: string, name: string): bigint | undefined {
    const subject = `nftables counter ${family} ${table} ${name}`;
    const listed = this.#listIfAny({ counter: { family, table, name } }, subject);
    const packets = listed?.find((entry) => entry.kind === 'counter')?.fields['packets'];
    // JSON numbers are exact here to 2^53 packets.
    return typeof packets === 'number' ? BigInt(packets) : undefined;
  }

  elementPackets(family: string, table: string, set: string): ReadonlyMap<string, bigint> {
    const subject = `nftables set ${family} ${table} ${set}`;
    const listed = this.#listIfAny({ set: { family, table, name: set } }, subject);
    return countedElements(listed?.find((entry) => entry.kind === 'set')?.fields['elem']);
  }

  elements(
    family: string,
    table: string,
    { kind, name }: { readonly kind: 'set' | 'map'; readonly name: string },
  ): ReadonlySet<string> | undefined {
    const subject = `nftables ${kind} ${family} ${table} ${name}`;
    const listed = this.#listIfAny({ [kind]: { family, table, name } }, subject);
    const found = listed?.find((entry) => entry.kind === kind);
    return found === undefined ? new Set() : elementTexts(found.fields);
  }

  objects(family: string, table: string): readonly NftObject[] {
    const listed = ifAny(() => this.#listTable(family, table)) ?? [];
    return listed.flatMap(({ kind, fields: { name } }) =>
      kind === 'table' || typeof name !== 'string' ? [] : [{ kind, name }],
    );
  }

  tables(family: string): readonly string[] {
    return this.#list({ tables: { family } }, `nftables tables of ${family}`).flatMap(
      ({ kind, fields: { name } }) => (kind === 'table' && typeof name === 'string' ? [name] : []),
    );
  }

  tableIsEmpty(family: string, table: string): boolean {
    const listed = ifAny(() => this.#listTable(family, table));
    return listed !== undefined && listed.every((entry) => entry.kind === 'table');
  }

  close(): void {
    const context = this.#context;
    this.#context = undefined;
    if (context) this.#library.nft_ctx_free(context);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #listTable(family: string, table: string): readonly NftListed[] {
    const subject = `nftables table ${family} ${table}`;
    // Strangers may have put a hundred thousand elements into its sets.
    return this.#list({ table: { family, name: table } }, subject, NFT_CTX_OUTPUT_TERSE);
  }

  #listIfAny(what: object, subject: string): readonly NftListed[] | undefined {
    return ifAny(() => this.#list(what, subject));
  }

  #list(what: object, subject: string, flags = 0): readonly NftListed[] {
    const command = JSON.stringify({ nftables: [{ list: what }] });
    // With JSON output, input is tried as JSON first; JSON.stringify escapes whatever is in a name.
    const listing = parseNftListing(this.#run(command, NFT_CTX_OUTPUT_JSON | flags, subject));
    if (listing.ok) return listing.value;
    throw new IpipouError('nftables', `${subject}: libnftables listed ${listing.reason}`);
  }

  /** What the commands printed. */
  #run(commands: string, outputFlags: number, subject: string): string {
    const context = this.#context;
    if (!context) throw new IpipouError('nftables', `${subject}: the nftables context is closed`);
    // The library reads up to a zero: the rest would be lost without a word.
    if (commands.includes('\0'))
      throw new IpipouError('nftables', `${subject}: a zero in the text`);
    const library = this.#library;
    library.nft_ctx_output_set_flags(context, outputFlags);
    const result = library.nft_run_cmd_from_buffer(context, commands);
    const output = library.nft_ctx_get_output_buffer(context);
    const failure = library.nft_ctx_get_error_buffer(context);
    if (result === 0) return output;
    const { errno, words } = parseNftFailure(failure);
    throw new KernelError(
      'nftables',
      { operation: 'nft', errno, words, subject },
      errno === 'EPERM' ? { hint: 'run as root, or with CAP_NET_ADMIN' } : {},
    );
  }
}

/** Undefined where there is none of what is asked for. */
function ifAny<T>(list: () => T): T | undefined {
  try {
    return list();
  } catch (error) {
    if (error instanceof KernelError && error.errno === 'ENOENT') return undefined;
    throw error;
  }
}

/** This process's sockets: descriptors by inode, as /proc/self/fd names them. */
function sockets(): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      if (inode !== undefined) found.set(inode, Number(fd));
    } catch {
      // Closed since the folder was read, as the folder's own descriptor is.
    }
  }
  return found;
}

/** Port of the one netlink socket that was opened since `before`; undefined when that is not certain. */
function netlinkPort(before: ReadonlyMap<string, number>): number | undefined {
  const ports: number[] = [];
  for (const [inode, fd] of sockets()) {
    if (before.has(inode)) continue;
    // struct sockaddr_nl: nl_family, padding, nl_pid, nl_groups, all in the host's byte order.
    const address = new Uint8Array(12);
    if (getsockname(fd, address, encodeU32host(address.length)) !== 0) continue;
    if (getU16host(address, 0) === AF_NETLINK) ports.push(getU32host(address, 4));
  }
  return ports.length === 1 ? ports[0] : undefined;
}
