import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { debianNode } from '../rig/debian-node.ts';
import { patience } from '../rig/patience.ts';
import { PROJECT } from './rig/project.ts';

/*
 * The Debian package, installed by dpkg under a real systemd with Debian's own Node, as service.test.ts has it:
 *
 *   guest ── unshare(pid, net, mount) ── systemd ─┬─ probe.service: the commands below
 *      │                                          └─ ipipou@home.service ── ipipou0 ─ fou
 *      └── network namespace "peer": stock `ip fou` and ipip, whose pings go through the tunnel all the time
 *
 * What dpkg writes goes to this guest's own layer over the machine's files. Debian's Node was unpacked on the machine
 * (scripts/debian-node.mjs) and lies over /usr; dpkg is told that it is there.
 */
const SETTLE = `
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/systemd
mount -t tmpfs tmpfs /etc/systemd/system
mkdir -p /run/layer/upper /run/layer/work /run/systemd/system /run/netns
mount -t overlay -o lowerdir=NODE/root/usr:/usr,upperdir=/run/layer/upper,workdir=/run/layer/work overlay /usr
rm -rf /etc/ipipou /var/lib/ipipou /var/log/ipipou
cat NODE/packages | while IFS= read -r line; do
  case $line in
    "Package: "*) dpkg-query -W -f '\${db:Status-Status}' "\${line#Package: }" 2> /dev/null | grep -qx installed && own=no || own=yes ;;
  esac
  [ $own = no ] || printf '%s\\n' "$line"
done > /run/packages
{ echo; cat /run/packages; } >> /var/lib/dpkg/status
# No unit of the guest but ours and the package's: what an ordinary boot waits for is there at once.
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

/** The other side is made by hand: it needs no proof, and so no second program in a slow guest. */
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
ip -n peer fou add port 10000 ipproto 4
ip -n peer link add tun0 type ipip local 10.9.0.2 remote 10.9.0.1 encap fou encap-sport 10000 encap-dport 10000
ip -n peer addr add 172.28.0.0 peer 172.28.0.1 dev tun0
ip -n peer link set tun0 up
cat > /etc/ipipou/home.conf <<'END'
client
fou-local @out
fou-remote 10.9.0.2:10000
tunl-ip 172.28.0.1
tunl-peer-ip 172.28.0.0
auth-token words of a token
dataplane fou
END
chmod 600 /etc/ipipou/home.conf
systemctl enable --now ipipou@home 2> /dev/null
echo "started: $(active)"
ip netns exec peer ping -n -c 1 -W 20 172.28.0.1 > /dev/null; echo "reached: $?"

ip netns exec peer ping -n -i 0.05 172.28.0.1 > FOLDER/ping &
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
journal=$(systemctl show -p StatusText --value ipipou@home)
echo "status: $journal"
grep -o '[0-9.]*% packet loss' FOLDER/ping

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
    const unshare = ['unshare', '--pid', '--fork', '--kill-child', '--net', '--mount-proc'];
    await run([...unshare, 'bash', path.join(folder, 'settle.sh')], { timeout: patience(240_000) });
    const log = await readFile(path.join(folder, 'log'), 'utf8');
    expect(log.split('\n').map((line) => line.trim())).toEqual([
      'installed: ipipou 0.0.1, 700 root, target enabled',
      'started: active',
      'reached: 0',
      'upgraded: ipipou 0.0.2, another process, active',
      'status: client on ipipou0, data plane fou',
      '0% packet loss',
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
