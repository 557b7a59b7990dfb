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
import { TAG_LENGTH } from '../../core/tag/layout.ts';
import type { Integrity } from '../../core/tag/types.ts';
import { NOTHING, type Contestant, type Protection } from '../contestant.ts';
import type { Side } from '../side.ts';
import { INNER_SERVER, type Site } from '../site.ts';

/* ipipou as its users start it: the command, with a config file on either side. */

const PORT = port(10_000);
/** The device of tunnel 0. */
const DEVICE = 'ipipou0';
/** Node, and the verifier of eBPF, take long in an emulated machine that others keep busy. */
const START_TIMEOUT = millis(180_000);
const DOCTOR_TIMEOUT = millis(60_000);

export function ipipou(plane: 'fou' | 'bpf' | 'tun', integrity: Integrity = 'none'): Contestant {
  const tagged = integrity !== 'none';
  const overhead = overheadOf('ipv4') + (tagged ? TAG_LENGTH : 0);
  const setting = tagged ? `, integrity ${integrity}` : '';
  return {
    name: `ipipou-${plane}${tagged ? `-${integrity}` : ''}`,
    title: `ipipou, ${plane}${tagged ? `, ${integrity}` : ''}`,
    kind: 'plain',
    runsIn: plane === 'tun' ? 'user space' : 'kernel',
    protects: PROTECTION[integrity],
    overhead,
    mtu: 1500 - overhead,
    router: 'translates',
    clients: 64,
    remark: `dataplane ${plane}${setting}, ed25519 keys, keepalive 1 (of many clients 25), replies on`,
    unavailable: async () => lacksPlane(plane),
    open: async (site) => openTunnel(site, plane, integrity),
  };
}

const PROTECTION: Readonly<Record<Integrity, Protection>> = {
  none: NOTHING,
  header: { secrecy: false, integrity: 'headers', replay: true },
  full: { secrecy: false, integrity: 'all', replay: true },
};

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

async function openTunnel(site: Site, plane: string, integrity: Integrity) {
  const { lab } = site;
  const pairs = lab.clients.map(() => keyPair());
  // Tags are agreed on where both sides have a key.
  const own = integrity === 'none' ? undefined : keyPair();
  const secret = `bench-${process.pid}`;
  const peerLines = pairs.flatMap(({ publicKey }, index) => [
    // A single client needs no section.
    ...(pairs.length === 1 ? [] : [`peer c${index}`]),
    ...[`auth-remote-pubkey-b64 ${publicKey}`, `auth-secret ${secret}`],
    ...[`tunl-peer-ip ${site.innerClient(index)}`, 'auth-lifetime 3600', 'reply-on-auth-ok'],
  ]);
  const serverLines = [
    ...['server', 'fou-dev eth0', `fou-local-port ${PORT}`, `tunl-ip ${INNER_SERVER}`],
    ...[`dataplane ${plane}`, ...(own ? [`auth-key-b64 ${own.privateKey}`] : []), ...peerLines],
  ];
  const clientLines = (index: number): readonly string[] => [
    ...[
      'client',
      'fou-local @eth0',
      `fou-remote ${formatEndpoint({ ip: site.server, port: PORT })}`,
    ],
    ...[`tunl-ip ${site.innerClient(index)}`, `tunl-peer-ip ${INNER_SERVER}`],
    ...[`auth-key-b64 ${pairs[index]?.privateKey ?? ''}`, `auth-secret ${secret}`],
    ...(own ? [`auth-remote-pubkey-b64 ${own.publicKey}`] : []),
    ...[`keepalive ${site.keepalive}`, `dataplane ${plane}`, `integrity ${integrity}`],
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
