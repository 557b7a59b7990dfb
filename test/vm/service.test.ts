import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { PROJECT } from './rig/project.ts';
import { patience } from '../rig/patience.ts';

/*
 * The installed unit under a real systemd, with all its sandboxing. systemd is the first process of a
 * PID namespace, has a network namespace of its own, and sees fresh /run and unit folders, and the
 * project in /opt (wherever it lies: the unit has a private /tmp):
 *
 *   guest ── unshare(pid, net, mount) ── systemd ─┬─ probe.service: the commands below
 *                                                └─ ipipou@home.service
 */
const SETTLE = `
ip link set lo up
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /etc/systemd/system
# No unit of the guest but ours: an ordinary boot would clear /tmp, among other things.
ln -s /dev/null /etc/systemd/system/sysinit.target
mkdir -p /run/systemd/system /etc/ipipou
mount -t tmpfs -o mode=0700 tmpfs /etc/ipipou
mount -t tmpfs tmpfs /opt
mkdir /opt/ipipou
mount --bind ${PROJECT} /opt/ipipou
mount -t tmpfs tmpfs /tmp
${process.execPath} /opt/ipipou/dist/cli/main.js service install
cat > /etc/ipipou/home.conf <<'END'
server
auth-token words of a token
fou-local-ip 127.0.0.1
fou-local-port 443
dataplane PLANE
END
chmod 600 /etc/ipipou/home.conf
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

/** \`ignore-dependencies\`: the network of the guest is not systemd's business here. */
const PROBE = `
act() { systemctl --job-mode=ignore-dependencies "$1" ipipou@home; echo "$1: $?"; }
seen() {
  traces="$(nft list tables; ip -o link show type veth | grep -o 'ipipou0-far:')"
  echo "$1: $(systemctl is-active ipipou@home) $(echo $traces)"
}
act start
seen started
systemctl show -p StatusText ipipou@home
systemctl kill -s HUP ipipou@home
act reload
systemctl kill -s KILL ipipou@home
while systemctl is-active -q ipipou@home; do sleep 0.1; done
seen killed
systemctl reset-failed ipipou@home
act start
seen again
act stop
seen stopped
ls -A /run/ipipou 2>/dev/null | wc -l
echo "end of the probe"
`;

it.each([
  { plane: 'fou', trace: 'table ip ipipou' },
  { plane: 'bpf', trace: 'ipipou0-far:' },
])(
  'the installed unit starts, reloads, survives kill -9 and stops, sandboxed: $plane',
  async ({ plane, trace }) => {
    const folder = await mkdtemp('/var/tmp/ipipou-service-');
    try {
      await writeFile(path.join(folder, 'probe.sh'), PROBE);
      await writeFile(
        path.join(folder, 'settle.sh'),
        SETTLE.replaceAll('FOLDER', folder).replaceAll('PLANE', plane),
      );
      const unshare = ['unshare', '--pid', '--fork', '--kill-child', '--net', '--mount-proc'];
      await run([...unshare, 'bash', path.join(folder, 'settle.sh')], {
        timeout: patience(200_000),
      });
      const log = await readFile(path.join(folder, 'log'), 'utf8');
      expect(log.split('\n').map((line) => line.trim())).toEqual([
        'start: 0',
        `started: active ${trace}`,
        `StatusText=server on ipipou0, data plane ${plane}`,
        'reload: 0',
        expect.stringMatching(new RegExp(`^killed: (failed|activating|inactive) ${trace}$`)),
        'start: 0',
        `again: active ${trace}`,
        'stop: 0',
        'stopped: inactive',
        '0',
        'end of the probe',
        '',
      ]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);
