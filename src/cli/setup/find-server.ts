import { publicKeyOf } from '../../adapters/crypto.ts';
import type { Loaded } from '../../core/config/loaded.ts';
import type { PeerBase } from '../../core/config/peer-view.ts';
import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import { IpipouError } from '../../core/errors.ts';
import { formatRemote } from '../../core/invite/files.ts';
import { decodePublicKey, type PublicKey } from '../../core/public-key.ts';
import type { Port } from '../../core/units.ts';
import type { RunEntry } from '../../ports/run-store.ts';
import { configPathOf } from '../config-path.ts';
import { loadConfig } from '../load-config.ts';
import type { Machine } from '../machine.ts';
import { findRunIfAny, runsOfConfig } from '../find-run.ts';
import { findOutside, publicAddress } from './choose-host.ts';
import { CONFIG_FOLDER } from './config-folder.ts';
import { configsIn } from './neighbours.ts';

/** A server that clients are invited to, by its file. */
export type Server = {
  readonly path: string;
  readonly loaded: Loaded;
  readonly config: TunnelConfig;
  readonly base: PeerBase;
  /** Where it runs. */
  readonly entry: RunEntry | undefined;
};

/** The server that a word names: by a run, or by its file; without a word the only one. */
export async function findServer(word: string | undefined, machine: Machine): Promise<Server> {
  const { path, entry } = word === undefined ? await onlyServer(machine) : named(word, machine);
  const loaded = await loadConfig(['--config', path]);
  const { resolved } = loaded;
  if (!('config' in resolved) || resolved.config.role !== 'server') {
    throw new IpipouError('arguments', `${path} is no server's: only a server invites`);
  }
  const { config, base } = resolved;
  return { path, loaded, config, base, entry: entry ?? runOf(path, machine) };
}

type Found = { readonly path: string; readonly entry: RunEntry | undefined };

function named(word: string, machine: Machine): Found {
  const entry = findRunIfAny(word, machine.runs);
  if (entry === undefined) return { path: configPathOf(word), entry };
  // The file of one that is dead can be written, unless the tunnel itself was meant.
  const isMeant = entry.state !== undefined || entry.device === word;
  return { path: pathOf(entry), entry: isMeant ? entry : undefined };
}

function pathOf({ device, record }: RunEntry): string {
  if (record.configPath !== undefined) return record.configPath;
  throw new IpipouError('arguments', `${device} was started without a config file`, {
    hint: 'ipipou set adds a peer that is not written down',
  });
}

/** Who runs a file's tunnel. */
function runOf(path: string, { runs }: Machine): RunEntry | undefined {
  return runsOfConfig(path, runs).find(({ state }) => state !== undefined);
}

async function onlyServer({ runs }: Machine): Promise<Found> {
  const running = runs
    .list()
    .filter(({ record, state }) => record.config.role === 'server' && state !== undefined);
  const faults: Error[] = [];
  const paths =
    running.length > 0
      ? running.map((entry) => pathOf(entry))
      : (await configsIn(CONFIG_FOLDER, (fault) => void faults.push(fault)))
          .filter(({ role }) => role === 'server')
          .map(({ path }) => path);
  const [path, another] = paths;
  if (path !== undefined && another === undefined) return { path, entry: running[0] };
  // It may be the one that is meant.
  if (path === undefined && faults[0] !== undefined) throw faults[0];
  throw path === undefined
    ? new IpipouError('generic', 'there is no server here', { hint: 'ipipou init server' })
    : new IpipouError('arguments', 'there are several servers here', {
        hint: `name one with --server: ${paths.join(', ')}`,
      });
}

/** The key that a server signs with, in the way that clients know it. */
export function serverKeyOf({ path, base }: Server): PublicKey {
  const { privateSeed, replyOnAuthOk } = base.inherited;
  if (privateSeed !== undefined && replyOnAuthOk === true) {
    return decodePublicKey(publicKeyOf(privateSeed));
  }
  const lacking = privateSeed === undefined ? 'auth-key-b64' : 'reply-on-auth-ok';
  throw new IpipouError('arguments', `${path} has no ${lacking}, without which nobody can join`, {
    hint:
      lacking === 'auth-key-b64'
        ? 'put `auth-key-b64 KEY` before the first `peer` line (ipipou keygen), and restart it'
        : 'put it before the first `peer` line, and reload',
  });
}

/** Where clients reach a server: as it says, or by this host's public address. */
export async function addressOf(
  { config, path }: Server,
  machine: Machine,
): Promise<{ readonly host: string; readonly port: Port; readonly remote: string }> {
  const { localPort, device, localIps } = config.outer;
  const port = config.invite?.port ?? localPort;
  const network = machine.openHost();
  try {
    const outside = await findOutside(network, device).catch(() => undefined);
    const own = publicAddress({ device, addresses: localIps });
    const host = config.invite?.host ?? own ?? (outside && publicAddress(outside));
    if (host !== undefined) return { host, port, remote: formatRemote(host, port) };
  } finally {
    network.close();
  }
  throw new IpipouError('arguments', 'this host has no public address that clients could go to', {
    hint: `put \`invite-address HOST\` before the first \`peer\` line of ${path}`,
  });
}
