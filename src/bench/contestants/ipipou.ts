import { overheadOf } from '../../core/wire/overhead.ts';
import { generateKeyPairSync } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { run, type Finished, type Program } from '../../adapters/lab/process.ts';
import { controlClient } from '../../adapters/control/client.ts';
import { BUILT_MAIN, packageFile } from '../../adapters/system/package-files.ts';
import { formatEndpoint } from '../../core/addr.ts';
import { millis, port } from '../../core/units.ts';
import type { Contestant } from '../contestant.ts';
import type { Side } from '../side.ts';
import { INNER_SERVER, type Site } from '../site.ts';

/* ipipou as its users start it: the command, with a config file on either side. */

/** IPv4 20, UDP 8. */
const OVERHEAD = overheadOf('ipv4');
const PORT = port(10_000);
/** The device of tunnel 0. */
const DEVICE = 'ipipou0';
/** Node, and the verifier of eBPF, take long in an emulated machine that others keep busy. */
const START_TIMEOUT = millis(180_000);
const DOCTOR_TIMEOUT = millis(60_000);

export function ipipou(plane: 'fou' | 'bpf' | 'tun'): Contestant {
  return {
    name: `ipipou-${plane}`,
    title: `ipipou, ${plane}`,
    kind: 'plain',
    runsIn: plane === 'tun' ? 'user space' : 'kernel',
    overhead: OVERHEAD,
    mtu: 1500 - OVERHEAD,
    router: 'translates',
    clients: 64,
    remark: `dataplane ${plane}, ed25519 keys, keepalive 1 (of many clients 25), replies on`,
    unavailable: async () => lacksPlane(plane),
    open: async (site) => openTunnel(site, plane),
  };
}

/** The command that this is part of. */
export function ipipouCommand(): readonly string[] {
  return [process.execPath, packageFile(BUILT_MAIN)];
}

/** What `ipipou doctor` says about a plane: the reason why it cannot be had. */
async function lacksPlane(plane: string): Promise<string | undefined> {
  doctor ??= run([...ipipouCommand(), 'doctor', '--json'], { timeout: DOCTOR_TIMEOUT });
  // Every level may be missing: that is what the type says.
  const report = JSON.parse((await doctor).stdout) as {
    planes?: readonly {
      name?: string;
      works?: boolean;
      requirements?: readonly { met?: boolean; what?: string; detail?: string }[];
    }[];
  };
  const found = report.planes?.find(({ name }) => name === plane);
  if (found === undefined) return `this ipipou has no data plane ${plane}`;
  if (found.works === true) return undefined;
  const unmet = found.requirements?.find(({ met }) => met === false);
  return `${unmet?.what ?? 'a requirement'}: ${unmet?.detail ?? 'not met'}`;
}

/** Asked once: all planes are in one answer, and Node takes its time in an emulated machine. */
let doctor: Promise<Finished> | undefined;

async function openTunnel(site: Site, plane: string) {
  const { lab } = site;
  const pairs = lab.clients.map(() => keyPair());
  const secret = `bench-${process.pid}`;
  const peerLines = pairs.flatMap(({ publicKey }, index) => [
    // A single client needs no section.
    ...(pairs.length === 1 ? [] : [`peer c${index}`]),
    ...[`auth-remote-pubkey-b64 ${publicKey}`, `auth-secret ${secret}`],
    ...[`tunl-peer-ip ${site.innerClient(index)}`, 'auth-lifetime 3600', 'reply-on-auth-ok'],
  ]);
  const serverLines = [
    ...['server', 'fou-dev eth0', `fou-local-port ${PORT}`, `tunl-ip ${INNER_SERVER}`],
    ...[`dataplane ${plane}`, ...peerLines],
  ];
  const clientLines = (index: number): readonly string[] => [
    ...[
      'client',
      'fou-local @eth0',
      `fou-remote ${formatEndpoint({ ip: site.server, port: PORT })}`,
    ],
    ...[`tunl-ip ${site.innerClient(index)}`, `tunl-peer-ip ${INNER_SERVER}`],
    ...[`auth-key-b64 ${pairs[index]?.privateKey ?? ''}`, `auth-secret ${secret}`],
    ...[`keepalive ${site.keepalive}`, `dataplane ${plane}`],
  ];
  return {
    serverAddress: INNER_SERVER,
    async startServer(): Promise<Side> {
      const program = await start(site, lab.server, serverLines);
      const socket = controlPath(site, lab.server);
      await site.until('the server', async () => answers(socket), [program], START_TIMEOUT);
      return side(lab.server, program);
    },
    async startClient(index: number): Promise<Side> {
      const namespace = lab.client(index);
      return side(namespace, await start(site, namespace, clientLines(index)));
    },
  };
}

async function start(site: Site, namespace: string, lines: readonly string[]): Promise<Program> {
  const file = await site.write(`${namespace}.conf`, lines);
  const env = {
    IPIPOU_RUN_DIR: site.path('run'),
    IPIPOU_STATE_DIR: await site.folderNamed(`state-${namespace}`),
  };
  return site.spawn(namespace, [...ipipouCommand(), '--config', file], env);
}

function side(namespace: string, program: Program): Side {
  return {
    ...{ namespace, device: DEVICE, programs: [program] },
    async stop() {
      const { code, stderr } = await program.stop();
      if (code !== 0) throw new Error(`ipipou: exit code ${code}\n${stderr}`);
    },
  };
}

function controlPath(site: Site, namespace: string): string {
  const inode = statSync(`/run/netns/${namespace}`).ino;
  return path.join(site.path('run'), String(inode), DEVICE, 'control.sock');
}

async function answers(socket: string): Promise<boolean> {
  return controlClient.ask(socket, { request: 'status' }).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** What `ipipou keygen` prints: the 32 bytes of either key, in base64. */
function keyPair() {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const base64 = (text: string): string => Buffer.from(text, 'base64url').toString('base64');
  return { privateKey: base64(d), publicKey: base64(x) };
}
