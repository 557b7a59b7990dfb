import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import process from 'node:process';
import { controlListener } from '../adapters/control/listener.ts';
import { openSessionCrypto } from '../adapters/crypto.ts';
import { openHostNetwork } from '../adapters/host-network.ts';
import { openInspection } from '../adapters/inspection/index.ts';
import { bpfPlane } from '../adapters/planes/bpf/index.ts';
import { fouPlane } from '../adapters/planes/fou/index.ts';
import { tunPlane } from '../adapters/planes/tun/index.ts';
import { openRawUdp } from '../adapters/raw-socket.ts';
import { reachHost } from '../adapters/reach/index.ts';
import { openResolver } from '../adapters/resolver.ts';
import { groupNumber } from '../adapters/system/groups.ts';
import { hookRunner } from '../adapters/system/hook-runner.ts';
import { configStore } from '../adapters/system/config-store.ts';
import { forbidCoreDumps } from '../adapters/system/core-dumps.ts';
import { defaultTtl } from '../adapters/system/default-ttl.ts';
import { hasFamily } from '../adapters/udp/tunnel-socket.ts';
import { createMemoryStore } from '../adapters/system/memory-store.ts';
import { createNotify } from '../adapters/system/notify.ts';
import { createRunStore } from '../adapters/system/run-store.ts';
import { STATUS_GROUP } from '../core/config/limits.ts';
import { familyOf } from '../core/addr.ts';
import type { Fact, Machine } from './machine.ts';
import { openDaemons, runFolder, type Env } from './open-daemons.ts';
import { outsideFact } from './outside-fact.ts';

/** The real machine: where the adapters are put together. */
export function openMachine(env: Env): Machine {
  const daemons = openDaemons(env);
  return {
    ...daemons,
    planes: [fouPlane, bpfPlane, tunPlane],
    runs: createRunStore(runFolder(env)),
    memory: createMemoryStore(stateFolder(env)),
    configs: configStore,
    control: { ...controlListener, ...daemons.control },
    hooks: hookRunner,
    reach: reachHost,
    groupNumber,
    resolver: openResolver(),
    notify: createNotify(env['NOTIFY_SOCKET']),
    sessionCrypto: openSessionCrypto,
    openHost: openHostNetwork,
    openInspection,
    sendOnce(packet, device) {
      const socket = openRawUdp();
      try {
        const ttl = packet.ttl ?? defaultTtl(familyOf(packet.path.remote.ip));
        socket.send({ ...packet, ttl, device });
      } finally {
        socket.close();
      }
    },
    signalProcess: (pid, signal) => void process.kill(pid, signal),
    forbidCoreDumps,
    facts,
  };
}

/** systemd's StateDirectory= comes as a list of paths (systemd.exec(5)); the first is ours. */
function stateFolder(env: Env): string {
  const fromManager = env['STATE_DIRECTORY']?.split(':')[0];
  return fromManager || env['IPIPOU_STATE_DIR'] || '/var/lib/ipipou';
}

/** <linux/capability.h> */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_MODULE: 16 } as const;

function facts(): readonly Fact[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const enough = major > 18 || (major === 18 && minor >= 13);
  const effective = effectiveCapabilities();
  const lacking = Object.entries(CAPABILITIES)
    .filter(([, bit]) => (effective & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
  return [
    { what: 'Node 18.13 or newer', met: enough, detail: process.versions.node },
    {
      what: 'capabilities',
      met: lacking.length === 0,
      detail:
        lacking.length === 0 ? Object.keys(CAPABILITIES).join(', ') : `no ${lacking.join(', ')}`,
    },
    outsideFact(networkInterfaces(), hasFamily),
    statusGroupFact(),
  ];
}

function statusGroupFact(): Fact {
  const met = groupNumber(STATUS_GROUP) !== undefined;
  const detail = met
    ? 'its members may see tunnels without being root'
    : `not there: root alone sees tunnels (groupadd --system ${STATUS_GROUP} mends it)`;
  return { what: `group ${STATUS_GROUP}`, met, detail };
}

/** CapEff of /proc/self/status. */
function effectiveCapabilities(): bigint {
  const status = readFileSync('/proc/self/status', 'utf8');
  const digits = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return BigInt(`0x${digits}`);
}
