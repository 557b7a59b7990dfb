import { expect } from 'vitest';

/*
 * The Debian package, installed by dpkg under a real systemd with Debian's own Node (test/rig/debian-system.ts):
 *
 *   unshare ── systemd ─┬─ probe.service: the commands below
 *                       └─ ipipou@home.service ── ipipou0 (bpf) ── out ─┐
 *             network namespace "peer": ipipou0 (tun), pings ──── out ──┘
 *
 * The peer is another host: the built program on the tests' own Node, which starts in a fraction of the time.
 */
/** What it says is what `SERVICE_SAYS` has. `plane` carries the tunnel that is upgraded. */
export const serviceProbe = (plane: 'bpf' | 'fou'): string => `
export DEBIAN_FRONTEND=noninteractive
install() { dpkg --install "FOLDER/$1" > FOLDER/dpkg 2>&1 || cat FOLDER/dpkg; }
# Also when it is not there.
mode() { stat -c '%a %U' /etc/ipipou 2> /dev/null || echo none; }
active() { systemctl is-active ipipou@home; }
main() { systemctl show -p MainPID --value ipipou@home; }

install 0.0.1.deb
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
ip netns exec peer IPIPOU --config /run/peer.conf > FOLDER/peer 2>&1 &
cat > /etc/ipipou/home.conf <<'END'
client
fou-local @out
fou-remote 10.9.0.2:10000
tunl-ip 172.28.0.1, fd28::1
tunl-peer-ip 172.28.0.0, fd28::
auth-token words of a token
dataplane ${plane}
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
install 0.0.2.deb
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
install 0.0.2.deb
rm /etc/ipipou/home.conf
dpkg --purge ipipou > FOLDER/dpkg 2>&1 || cat FOLDER/dpkg
echo "purged again: $(mode)"
echo "end of the probe"
`;

export const SERVICE_VERSIONS = ['0.0.1', '0.0.2'] as const;

export const SERVICE_SAYS: readonly unknown[] = [
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
];
