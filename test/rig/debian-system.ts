import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../../src/adapters/lab/process.ts';
import { PROJECT } from '../vm/rig/project.ts';
import { IPIPOU } from './daemon.ts';
import { debianNode } from './debian-node.ts';
import { patience } from './patience.ts';

/*
 * A bare Debian system in namespaces: a real systemd is the first process of a PID namespace, with namespaces for the
 * network, mounts and control groups, and runs a script, which installs packages by dpkg.
 *
 * What dpkg writes goes to layers over the machine's /usr, /etc and /var; everything else is read-only in there, and
 * of the machine's units none is left. Debian's Node was unpacked before (scripts/debian-node.mjs) and lies over /usr;
 * dpkg is told of it, and of what else the package depends on.
 */
const SETTLE = `
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir -p /run/folder /run/systemd/system /run/netns
mount --bind FOLDER /run/folder
dpkg-query -s base-files adduser libnftables1 libbpf1 kmod libc6 libstdc++6 init-system-helpers > /run/packages
{ echo; cat NODE/packages; } >> /run/packages
# Whose the folders are that packages share.
cp /var/lib/dpkg/info/base-files.list /run
# Debian's Node will lie over it.
touch /run/own-node
mount --bind OWN_NODE /run/own-node
# It may be in /tmp, which is hidden below.
mkdir /run/clone
mount --bind CLONE /run/clone
# What dpkg changes is gone with this mount namespace.
for part in usr etc var; do
  mkdir -p /run/layers/$part/upper /run/layers/$part/work
  lower=/$part
  [ $part = usr ] && lower=NODE/root/usr:/usr
  mount -t overlay -o lowerdir=$lower,upperdir=/run/layers/$part/upper,workdir=/run/layers/$part/work overlay /$part
done
for part in usr etc var; do mountpoint -q /$part; done
mount --bind /run/folder FOLDER
mount -t tmpfs tmpfs /tmp
mount -o remount,bind,ro /
mount -t tmpfs tmpfs /etc/systemd/system
mount -t tmpfs tmpfs /var/lib/systemd
# No unit but ours and the package's: an ordinary boot would clear /tmp, among other things.
rm -rf /usr/lib/systemd/system/*.wants /usr/lib/systemd/system-generators
rm -rf /etc/ipipou /var/lib/ipipou /var/log/ipipou /usr/sbin/policy-rc.d
# A database of what the package depends on: reading that of the machine takes long here.
mount -t tmpfs tmpfs /var/lib/dpkg
mkdir /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers
cp /run/packages /var/lib/dpkg/status
cp /run/base-files.list /var/lib/dpkg/info
# What the unit waits for is there at once.
for target in sysinit basic network-online nss-lookup; do
  printf '[Unit]\\nDefaultDependencies=no\\n' > /etc/systemd/system/$target.target
done
cat > /run/systemd/system/probe.target <<'END'
[Unit]
Wants=probe.service
END
cat > /run/systemd/system/probe.service <<'END'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/bash FOLDER/probe.sh
StandardOutput=append:FOLDER/log
StandardError=append:FOLDER/log
ExecStopPost=/bin/sh -c "systemctl --force --force poweroff > /dev/null 2>&1"
END
exec env container=test /lib/systemd/systemd --system --unit=probe.target --log-target=null
`;

/** The program as it was built, on the Node that runs the tests. */
const OWN = `/run/own-node ${path.join('/run/clone', path.relative(PROJECT, IPIPOU))}`;

/** What a script may run as a service: PORT. */
const SERVICE = path.join(PROJECT, 'test/rig/service.mjs');

/** Makes our package of a version in a folder; its path. */
export async function makePackage(version: string, folder: string): Promise<string> {
  const out = path.join(folder, version);
  const argv = ['scripts/deb.mjs', '--version', version, '--out', out];
  const { stdout } = await run([process.execPath, ...argv], {
    cwd: PROJECT,
    // Compressing takes an emulated guest longer than everything else here.
    env: { DPKG_DEB_COMPRESSOR_TYPE: 'none' },
    timeout: patience(100_000),
  });
  const deb = path.join(folder, `${version}.deb`);
  await run(['mv', stdout.trim(), deb]);
  return deb;
}

/**
 * What a script says that runs in such a system, with packages of ours beside it: FOLDER/VERSION.deb. IPIPOU is the
 * program without a package. `ended` is how that went, for messages.
 */
export async function inDebianSystem(
  probe: string,
  versions: readonly string[],
): Promise<{ readonly lines: readonly string[]; readonly ended: string }> {
  const folder = await mkdtemp('/var/tmp/ipipou-package-');
  const script = (text: string): string =>
    text
      .replaceAll('FOLDER', folder)
      .replaceAll('OWN_NODE', process.execPath)
      .replaceAll('NODE', debianNode())
      .replaceAll('CLONE', PROJECT)
      .replaceAll('IPIPOU', OWN);
  try {
    for (const version of versions) await makePackage(version, folder);
    await cp(SERVICE, path.join(folder, 'service.mjs'));
    await writeFile(path.join(folder, 'probe.sh'), script(probe));
    await writeFile(path.join(folder, 'settle.sh'), script(SETTLE));
    const apart = [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--net',
      '--cgroup',
      '--mount-proc',
    ];
    const argv = ['unshare', ...apart, 'bash', path.join(folder, 'settle.sh')];
    const ended = await run(argv, { timeout: patience(240_000) }).catch(String);
    const log = await readFile(path.join(folder, 'log'), 'utf8').catch(() => '');
    return { lines: log.split('\n').map((line) => line.trim()), ended: JSON.stringify(ended) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
