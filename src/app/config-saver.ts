import { editText, type SectionEdits } from '../core/config/edit-text.ts';
import { resolveText, type Origin } from '../core/config/loaded.ts';
import { parseConfigFile } from '../core/config/parse-file.ts';
import { DEFAULT_PEER, type PeerConfig, type TunnelConfig } from '../core/config/tunnel-config.ts';
import { ConfigError, IpipouError } from '../core/errors.ts';
import { sameValue } from '../core/same-value.ts';
import type { ConfigStore } from '../ports/config-store.ts';

/** A written change, to be taken back. */
export type Written = { readonly takeBack: () => Promise<void> };

/**
 * Writes changes of peers into the config file that they came from. What the file says must describe those
 * peers as they are now: where somebody has changed it meanwhile in a way that does not go together, nothing
 * is written.
 */
export async function writeEdits(
  store: ConfigStore,
  origin: Origin,
  edits: SectionEdits,
  peers: readonly PeerConfig[],
): Promise<Written> {
  const path = pathOf(origin);
  let before = '';
  let after = '';
  await store.change(path, (text) => {
    before = text;
    after = editText(text, edits, path);
    refuseNoPeers(before, after, path, origin);
    checkSame(after, path, origin, edits, peers);
    return after;
  });
  return {
    takeBack: () => store.change(path, (text) => (text === after ? before : text)),
  };
}

function pathOf({ files }: Origin): string {
  const [file, another] = files;
  if (file === undefined || another !== undefined) {
    const what = file === undefined ? 'no config file' : 'several config files';
    throw new IpipouError('arguments', `the tunnel was started with ${what}: nothing is written`, {
      hint: 'write by hand what is to stay',
    });
  }
  return file.source;
}

/**
 * A file that loses its last section describes no tunnel, or a peer that nobody has meant: what stands before the
 * sections, of which no proof may be asked. Only where clients can be invited it may have no peers.
 */
function refuseNoPeers(before: string, after: string, path: string, origin: Origin): void {
  if (parseConfigFile(after, path).sections.length > 0) return;
  const was = soundConfig(before, path, origin);
  const now = soundConfig(after, path, origin);
  const hasDefault = (config: TunnelConfig): boolean =>
    config.peers.some(({ id }) => id === DEFAULT_PEER);
  if (now !== undefined && !hasDefault(now)) return;
  if (was === undefined ? now === undefined : hasDefault(was)) return;
  const { role, invite } = was ?? now ?? {};
  const byHand = 'or move the file away by hand: without peers it is of no use';
  throw new IpipouError(
    'generic',
    `${path} would be left without a peer, and describe no tunnel: nothing is written`,
    {
      hint:
        role === 'server' && invite === undefined
          ? `put \`invite-address HOST\` into it, before the first \`peer\`, for clients to be invited later, ${byHand}`
          : `add another peer first, ${byHand}`,
    },
  );
}

/** Undefined where the text is faulty. */
function soundConfig(text: string, path: string, origin: Origin): TunnelConfig | undefined {
  try {
    const { resolved } = resolveText(text, path, origin);
    return 'config' in resolved ? resolved.config : undefined;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

function checkSame(
  text: string,
  path: string,
  origin: Origin,
  edits: SectionEdits,
  peers: readonly PeerConfig[],
): void {
  const { resolved } = resolveText(text, path, origin);
  if (!('config' in resolved)) throw new IpipouError('arguments', `${path} describes no tunnel`);
  const { config } = resolved;
  const written = new Map(config.peers.map((peer) => [peer.id, peer]));
  const wanted = new Map(peers.map((peer) => [peer.id, peer]));
  for (const id of edits.keys()) {
    if (sameValue(written.get(id), wanted.get(id))) continue;
    throw new IpipouError(
      'generic',
      `${path} says something else of peer ${id} than when it was read: nothing is written`,
      { hint: 'ipipou reload takes what the file says; what was set since is gone then' },
    );
  }
}
