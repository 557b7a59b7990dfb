import { expect, it } from 'vitest';
import { inDebianSystem } from '../rig/debian-system.ts';

/*
 * From two bare Debian systems with the package installed to an exposed service, in three commands. The server is a
 * system with systemd (test/rig/debian-system.ts), the client one without, in a network namespace behind a NAT; then
 * the other way round. A visitor comes to the server's address.
 *
 *   visitor 203.0.113.9 ── 203.0.113.1 server ── 203.0.113.2 router (NAT) 192.168.7.1 ── 192.168.7.2 home
 */
const PROBE = `
export DEBIAN_FRONTEND=noninteractive
dpkg --install FOLDER/0.0.1.deb > FOLDER/dpkg 2>&1 || cat FOLDER/dpkg
at() { ip netns exec "$@"; }
code() { echo "$1" | sed 's/^ipipou join //'; }

for host in router home visitor; do ip netns add $host; ip -n $host link set lo up; done
ip link add out type bridge
ip addr add 203.0.113.1/24 dev out
ip link set out up
ip route add default via 203.0.113.2
for host in router visitor; do
  ip link add to-$host type veth peer name out netns $host
  ip link set to-$host master out up
  ip -n $host link set out up
done
ip -n visitor addr add 203.0.113.9/24 dev out
ip -n router addr add 203.0.113.2/24 dev out
ip -n router link add lan type veth peer name eth0 netns home
ip -n router addr add 192.168.7.1/24 dev lan
ip -n router link set lan up
ip -n home addr add 192.168.7.2/24 dev eth0
ip -n home link set eth0 up
ip -n home route add default via 192.168.7.1
at router sysctl -q -w net.ipv4.ip_forward=1
at router nft 'table ip nat { chain out { type nat hook postrouting priority 100; oifname "out" masquerade; }; }'
at home node FOLDER/service.mjs 443 > FOLDER/service 2>&1 &

# The three commands; the last of a host that has no systemd, so its file is elsewhere.
ipipou init server > FOLDER/init 2>&1; echo "init: $?"
line=$(ipipou invite laptop --expose tcp/443 2> FOLDER/invite); echo "invite: $?"
at home ipipou join $(code "$line") --name /run/home.conf > FOLDER/join 2>&1; echo "join: $?"

echo "server: $(systemctl is-active ipipou@home), $(systemctl is-enabled ipipou@home), $(stat -c '%a' /etc/ipipou/home.conf)"
echo "invitations left: $(ipipou invite --list)"
at visitor timeout 20 bash -c 'exec 3<> /dev/tcp/203.0.113.1/443; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; grep -i x-from <&3'
echo "the service has seen: $(grep from FOLDER/service)"
journal=$(cat FOLDER/init FOLDER/invite FOLDER/join; ipipou show; ipipou show --json)
for secret in $(sed -n 's/^auth-\\(key-b64\\|secret\\) //p' /etc/ipipou/home.conf /run/home.conf); do
  case $journal in *$secret*) echo "told: $secret" ;; esac
done

# The other way round: the system with systemd is the client.
ip link add near type veth peer name near netns home
ip addr add 192.168.8.1/24 dev near; ip link set near up
ip -n home addr add 192.168.8.2/24 dev near; ip -n home link set near up
at home ipipou init server /run/second.conf --device near --address 192.168.8.2 > FOLDER/init2 2>&1 || cat FOLDER/init2; echo "second init: $?"
line=$(at home ipipou invite vps --server /run/second.conf 2> /dev/null)
ipipou join $(code "$line") > FOLDER/join2 2>&1; echo "second join: $?"
echo "client: $(systemctl is-active ipipou@second), $(systemctl is-enabled ipipou@second), $(stat -c '%a' /etc/ipipou/second.conf)"
echo "end of the probe"
`;

it('from nothing to a service in three commands', async () => {
  const { lines, ended } = await inDebianSystem(PROBE, ['0.0.1']);
  expect(lines, ended).toEqual([
    'init: 0',
    'invite: 0',
    'join: 0',
    'server: active, enabled, 600',
    'invitations left:',
    'x-from: 203.0.113.9',
    'the service has seen: from 203.0.113.9',
    'second init: 0',
    'second join: 0',
    'client: active, enabled, 600',
    'end of the probe',
    '',
  ]);
});
