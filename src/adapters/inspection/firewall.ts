import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { asError } from '../../core/errors.ts';
import type { FirewallFacts } from '../../core/doctor/facts.ts';
import type { Chain, Tool } from '../../core/firewall/chains.ts';
import { readIptablesSave } from '../../core/firewall/iptables-save.ts';
import {
  hasForeignRules,
  isLikeIptables,
  readNftRuleset,
  readPrinted,
} from '../../core/firewall/nft-ruleset.ts';
import { openNft } from '../nft/nft.ts';

/** How long iptables may wait for its lock, and bytes of the rules that it prints at most. */
const PATIENCE = 5000;
const OUTPUT_MAX = 64 * 1024 * 1024;

const FAMILIES = [
  { family: 'ip', program: 'iptables', tables: 'ip_tables_names' },
  { family: 'ip6', program: 'ip6tables', tables: 'ip6_tables_names' },
] as const;

/**
 * Rules as nftables lists them; of those that iptables has put there in modules of its own, and of the older
 * backend's, what iptables itself says.
 */
export function readFirewall(): FirewallFacts {
  const unread: string[] = [];
  const chains = [...nftChains(unread)];
  for (const { family, program, tables } of FAMILIES) {
    // A list of none: asking iptables would load the module.
    if (legacyTables(tables) === '') continue;
    chains.push(...saved(`${program}-legacy-save`, 'iptables-legacy', family, unread));
  }
  return { chains, unread };
}

function nftChains(unread: string[]): readonly Chain[] {
  try {
    using nft = openNft();
    const listed = nft.listAll();
    const chains = readNftRuleset(listed, readPrinted(nft.printAll()));
    // What nft tells of iptables's rules it tells in full, unless they are in modules of iptables's own.
    const foreign = hasForeignRules(listed);
    if (!foreign && !isLikeIptables(listed)) return chains;
    const own = FAMILIES.flatMap(({ family, program }) =>
      saved(`${program}-nft-save`, 'iptables-nft', family, foreign ? unread : []),
    );
    const isOwn = ({ family, table }: Chain): boolean =>
      own.some((chain) => chain.family === family && chain.table === table);
    return [...chains.filter((chain) => !isOwn(chain)), ...own];
  } catch (error) {
    unread.push(`rules of nftables cannot be read: ${asError(error).message}`);
    return [];
  }
}

function legacyTables(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${name}`, 'utf8').trim();
  } catch {
    // The module is not loaded, or it may not be seen, as nftables may not then.
    return '';
  }
}

function saved(
  program: string,
  tool: Exclude<Tool, 'nft'>,
  family: 'ip' | 'ip6',
  unread: string[],
): readonly Chain[] {
  try {
    const text = execFileSync(program, [], {
      encoding: 'utf8',
      timeout: PATIENCE,
      maxBuffer: OUTPUT_MAX,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
    });
    return readIptablesSave(text, tool, family);
  } catch (error) {
    unread.push(`rules of ${tool} cannot be read: ${asError(error).message.split('\n', 1).join()}`);
    return [];
  }
}
