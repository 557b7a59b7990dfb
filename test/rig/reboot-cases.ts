import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { expect, it } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { PROJECT } from '../vm/rig/project.ts';
import { DESCRIBED } from './daemon.ts';
import { patience } from './patience.ts';

/*
 * A side that is booted again, as often as it takes, has its exposed service reached as before, and nobody has to help.
 * The side is a system of its own: a real systemd is the first process of a PID namespace, and what a reboot takes is
 * gone each time: its network namespace (devices, rules, programs, conntrack), its processes, /run. What stays
 * is /etc/ipipou, /var/lib/ipipou and the enabled unit. The other side runs on in a namespace, by `ipipou up`.
 *
 *   visitor 203.0.113.9 ── 203.0.113.1 server ── 203.0.113.2 router (NAT) 192.168.7.1 ── 192.168.7.2 home
 */

/** Of the side that boots: what a distribution does before and around systemd. */
const SETTLE = `
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /opt
mkdir -p /run/etc/upper /run/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
mkdir -p /run/systemd/system /var/lib/ipipou /etc/ipipou /opt/ipipou FOLDER/lib FOLDER/etc FOLDER/units
mount --bind PROJECT /opt/ipipou
# The clone may lie there.
mount -t tmpfs tmpfs /tmp
# Where units have temporary folders, which nobody removes that loses its power.
mkdir /run/folder
mount --bind FOLDER /run/folder
mount -t tmpfs tmpfs /var/tmp
mkdir FOLDER
mount --bind /run/folder FOLDER
mount --bind FOLDER/lib /var/lib/ipipou
mount --bind FOLDER/etc /etc/ipipou
mount --bind FOLDER/units /etc/systemd/system
cat /proc/sys/kernel/random/uuid > /run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
# No unit but ours.
for folder in /usr/lib/systemd/system/*.wants /usr/lib/systemd/system-generators; do
  mount -t tmpfs tmpfs $folder
done
if [ ! -e FOLDER/units/basic.target ]; then
  for target in sysinit basic network-online nss-lookup; do
    printf '[Unit]\\nDefaultDependencies=no\\n' > /etc/systemd/system/$target.target
  done
  NODE /opt/ipipou/dist/cli/main.js service install
  systemctl --root=/ enable ipipou@home
fi
exec env container=test /lib/systemd/systemd --system --unit=ipipou.target --log-target=null
`;

const WORLD = `
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
mkdir -p /run/netns
at() { ip netns exec "$@"; }
join() { # NAMESPACE ADDRESS/LENGTH GATEWAY BRIDGE
  ip netns add $1
  ip -n $1 link set lo up
  # A card has its address also after a reboot.
  ip link add to-$1 type veth peer name eth0 address 02:00:00:$(printf %s $1 | md5sum | sed 's/\\(..\\)\\(..\\)\\(..\\).*/\\1:\\2:\\3/') netns $1
  ip link set to-$1 master $4 up
  ip -n $1 addr add $2 dev eth0
  ip -n $1 link set eth0 up
  [ -z "$3" ] || ip -n $1 route add default via $3
}
network() {
  case $1 in
    server) join server 203.0.113.1/24 203.0.113.2 wan ;;
    home) join home 192.168.7.2/24 192.168.7.1 lan; at home NODE FOLDER/service.mjs 443 > FOLDER/service 2>&1 & served=$! ;;
  esac
}
boot() {
  network SIDE
  nsenter --net=/run/netns/SIDE unshare --mount --pid --fork --kill-child --cgroup --mount-proc bash FOLDER/settle.sh > FOLDER/console 2>&1 &
  system=$!
}
gone() {
  [ SIDE = server ] || kill -KILL $(pgrep -P $served) $served
  ip netns del SIDE
  # Whoever was in there has gone, too.
  while ip link show to-SIDE > /dev/null 2>&1; do sleep 0.1; done
}
# As who looks until it works: the visitor's address as the service has it.
visited() {
  for _ in $(seq $2); do
    seen=$(at visitor timeout 2 bash -c 'exec 3<> /dev/tcp/203.0.113.1/443; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; grep -i x-from <&3' 2> /dev/null | tr -d '\\r')
    [ -z "$seen" ] || break
    sleep 0.5
  done
  echo "$1: $seen"
}

for bridge in wan lan; do ip link add $bridge type bridge; ip link set $bridge up; done
join router 203.0.113.2/24 "" wan
join visitor 203.0.113.9/24 "" wan
ip link add to-lan type veth peer name lan0 netns router
ip link set to-lan master lan up
ip -n router addr add 192.168.7.1/24 dev lan0
ip -n router link set lan0 up
at router sysctl -q -w net.ipv4.ip_forward=1
at router nft 'table ip nat { chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade; }; }'

network OTHER
at OTHER NODE PROJECT/dist/cli/main.js up FOLDER/other.conf > FOLDER/up 2>&1 || cat FOLDER/up
boot
visited "the first time" 60
ENDS
kill -KILL $(pgrep -P $system) 2> /dev/null
echo "end of the world"
`;

/** How a system may end, and what is said when it is there again. */
const ENDS = {
  'a power failure': `
kill -KILL $(pgrep -P $system) 2> /dev/null; kill -KILL $system; wait $system 2> /dev/null
gone
visited "while it is off" 1`,
  'a reboot': `
nsenter -t $(pgrep -P $system -o) -m -p systemctl --force poweroff 2> FOLDER/poweroff
wait $system
gone`,
} as const;

type End = keyof typeof ENDS;

const CONFIGS = {
  server: [...DESCRIBED.server, 'expose tcp/443'],
  home: [
    ...DESCRIBED.client.filter((line) => !line.startsWith('keepalive')),
    ...['keepalive 1', 'dead-peer-timeout 3', 'return-path tunnel'],
  ],
};

/** Of a tunnel whose one side is booted again after each of these ends. */
export function describeReboots(
  plane: 'bpf' | 'fou' | 'tun',
  side: 'server' | 'home',
  ends: readonly End[],
): void {
  it(
    `what is exposed on ${plane} is reached again after ${ends.join(' and ')} of ${side}`,
    { timeout: patience(240_000) },
    async () => {
      const folder = await mkdtemp('/var/tmp/ipipou-reboot-');
      const again = ends.map((end) => `${ENDS[end]}\nboot\nvisited "after ${end}" 60`);
      const other = side === 'server' ? 'home' : 'server';
      const script = (text: string): string =>
        text
          .replace('ENDS', again.join('\n'))
          .replaceAll('FOLDER', folder)
          .replaceAll('PROJECT', PROJECT)
          .replaceAll('NODE', process.execPath)
          .replaceAll('SIDE', side)
          .replaceAll('OTHER', other);
      const config = (name: 'server' | 'home'): string =>
        [...CONFIGS[name], `dataplane ${plane}`, ''].join('\n');
      try {
        await run(['mkdir', '-m', '700', `${folder}/etc`]);
        await writeFile(`${folder}/etc/home.conf`, config(side), { mode: 0o600 });
        await writeFile(`${folder}/other.conf`, config(other), { mode: 0o600 });
        await cp(path.join(PROJECT, 'test/rig/service.mjs'), `${folder}/service.mjs`);
        await writeFile(`${folder}/settle.sh`, script(SETTLE));
        await writeFile(`${folder}/world.sh`, script(WORLD));
        const apart = ['--mount', '--pid', '--fork', '--kill-child', '--net', '--mount-proc'];
        const { stdout, stderr } = await run(['unshare', ...apart, 'bash', `${folder}/world.sh`], {
          timeout: patience(200_000),
        });
        const log = await readFile(`${folder}/console`, 'utf8');
        const reached = (when: string): string => `${when}: x-from: 203.0.113.9`;
        expect(stdout.trim().split(/ *\n/), stderr + log).toEqual([
          reached('the first time'),
          ...ends.flatMap((end) => [
            ...(end === 'a power failure' ? ['while it is off:'] : []),
            reached(`after ${end}`),
          ]),
          'end of the world',
        ]);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  );
}
