import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { debianNode } from '../rig/debian-node.ts';
import { patience } from '../rig/patience.ts';
import { PROJECT } from '../vm/rig/project.ts';

/*
 * The Debian package, installed by dpkg under a real systemd with Debian's own Node. systemd is the first process of a
 * PID namespace, with namespaces for the network, mounts and control groups:
 *
 *   unshare ── systemd ─┬─ probe.service: the commands below
 *                       └─ ipipou@home.service ── ipipou0 (bpf) ── out ─┐
 *             network namespace "peer": ipipou0 (tun), pings ──── out ──┘
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

const PROBE = `
export DEBIAN_FRONTEND=noninteractive
install() { dpkg --install "FOLDER/$1" > FOLDER/dpkg 2>&1 || cat FOLDER/dpkg; }
# Also when it is not there.
mode() { stat -c '%a %U' /etc/ipipou 2> /dev/null || echo none; }
active() { systemctl is-active ipipou@home; }
main() { systemctl show -p MainPID --value ipipou@home; }

install old.deb
echo "installed: $(ipipou version), $(mode), target $(systemctl is-enabled ipipou.target)"

ip netns add peer
ip link add out type veth peer name out netns peer
ip addr add 10.9.0.1/24 dev out
ip link set out up
ip -n peer link set lo up
ip -n peer addr add 10.9.0.2/24 dev out
ip -n peer link set out up
cat > /run/peer.conf <<'END'
server
fou-local-ip 10.9.0.2
auth-token words of a token
tunl-ip 172.28.0.0, fd28::
tunl-peer-ip 172.28.0.1, fd28::1
dataplane tun
END
chmod 600 /run/peer.conf
ip netns exec peer ipipou up /run/peer.conf > /dev/null
cat > /etc/ipipou/home.conf <<'END'
client
fou-local @out
fou-remote 10.9.0.2:10000
tunl-ip 172.28.0.1, fd28::1
tunl-peer-ip 172.28.0.0, fd28::
auth-token words of a token
dataplane bpf
END
chmod 600 /etc/ipipou/home.conf
systemctl enable --now ipipou@home 2> /dev/null
echo "started: $(active)"
echo "a member: $(setpriv --reuid=nobody --regid=ipipou --clear-groups ipipou status home)"
echo "another: $(setpriv --reuid=nobody --regid=nogroup --clear-groups ipipou status home 2> /dev/null)"
ip netns exec peer ping -n -c 1 -w 30 172.28.0.1 > /dev/null; echo "reached: $?"
ip netns exec peer ping -n -c 1 -w 30 fd28::1 > /dev/null; echo "reached by IPv6: $?"
# The unit lets it set what belongs to its device.
echo "router advertisements: $(cat /proc/sys/net/ipv6/conf/ipipou0/accept_ra)"

ip netns exec peer ping -n -i 0.02 172.28.0.1 > FOLDER/ping &
ping=$!
before=$(main)
install new.deb
while [ "$(active)" != active ]; do sleep 0.2; done
# Pings go on for as long as the upgrade took, and more.
sleep 3
kill -INT $ping
wait $ping
after=$(main)
[ $before != $after ] && echo "upgraded: $(ipipou version), another process, $(active)"
seen=$(grep -o 'icmp_seq=[0-9]* ttl' FOLDER/ping | grep -o '[0-9]*')
count=$(echo "$seen" | wc -l)
echo "lost: $(($(echo "$seen" | tail -n 1) - count)), many: $((count > 100))"

dpkg --remove ipipou > FOLDER/dpkg 2>&1 || cat FOLDER/dpkg
echo "removed: $(ls /etc/ipipou), $(active), $(ip -o link show type ipip | grep -c ipipou), $(nft list tables | grep -c ipipou)"
dpkg --purge ipipou > FOLDER/dpkg 2>&1 || cat FOLDER/dpkg
echo "purged: $(ls /etc/ipipou), $(ls -d /var/lib/ipipou 2> /dev/null), $(find /etc/systemd -name '*ipipou*')"
install new.deb
rm /etc/ipipou/home.conf
dpkg --purge ipipou > FOLDER/dpkg 2>&1 || cat FOLDER/dpkg
echo "purged again: $(mode)"
echo "end of the probe"
`;

it('is installed, started, upgraded without a lost packet, removed and purged', async () => {
  const folder = await mkdtemp('/var/tmp/ipipou-package-');
  const made = async (version: string): Promise<string> => {
    const out = path.join(folder, version);
    const argv = ['scripts/deb.mjs', '--version', version, '--out', out];
    const { stdout } = await run([process.execPath, ...argv], {
      cwd: PROJECT,
      timeout: patience(100_000),
    });
    return stdout.trim();
  };
  const script = (text: string): string =>
    text.replaceAll('FOLDER', folder).replaceAll('NODE', debianNode());
  try {
    const [older, newer] = [await made('0.0.1'), await made('0.0.2')];
    await run(['mv', older, path.join(folder, 'old.deb')]);
    await run(['mv', newer, path.join(folder, 'new.deb')]);
    await writeFile(path.join(folder, 'probe.sh'), script(PROBE));
    await writeFile(path.join(folder, 'settle.sh'), script(SETTLE));
    const unshare = [
      'unshare',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--net',
      '--cgroup',
      '--mount-proc',
    ];
    const settle = ['bash', path.join(folder, 'settle.sh')];
    const ended = await run([...unshare, ...settle], { timeout: patience(240_000) }).catch(String);
    const log = await readFile(path.join(folder, 'log'), 'utf8').catch(() => '');
    expect(
      log.split('\n').map((line) => line.trim()),
      JSON.stringify(ended),
    ).toEqual([
      'installed: ipipou 0.0.1, 700 root, target enabled',
      'started: active',
      expect.stringMatching(/^a member: ipipou0: [a-z ]+: client, /),
      'another:',
      'reached: 0',
      'reached by IPv6: 0',
      'router advertisements: 0',
      'upgraded: ipipou 0.0.2, another process, active',
      'lost: 0, many: 1',
      'removed: home.conf, inactive, 0, 0',
      'purged: home.conf, ,',
      'purged again: none',
      'end of the probe',
      '',
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 300_000);
