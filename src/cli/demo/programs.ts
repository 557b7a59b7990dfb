import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { IpipouError } from '../../core/errors.ts';

/** What the lab is built and looked at with, and Debian's package of each; iperf3 has a stand-in. */
const PACKAGES = {
  ip: 'iproute2',
  nft: 'nftables',
  ping: 'iputils-ping',
  conntrack: 'conntrack',
  ethtool: 'ethtool',
  sysctl: 'procps',
} as const;

/** Rejects with all that is missing from the folders of a PATH, before anything is built. */
export async function requirePrograms(searchPath: string): Promise<void> {
  const folders = searchPath.split(':');
  const found = async (name: string): Promise<boolean> => {
    const tries = folders.map(async (folder) => access(path.join(folder, name), constants.X_OK));
    return Promise.any(tries).then(
      () => true,
      () => false,
    );
  };
  const looked = await Promise.all(
    Object.entries(PACKAGES).map(async ([name, debian]) => ({
      name,
      debian,
      there: await found(name),
    })),
  );
  const missing = looked.filter(({ there }) => !there);
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name).join(', ');
  throw new IpipouError('generic', `demo: not installed: ${names}`, {
    hint: `apt-get install ${missing.map(({ debian }) => debian).join(' ')}`,
  });
}
