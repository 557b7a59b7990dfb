import { statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Program } from '../../adapters/lab/process.ts';
import { run } from '../../adapters/lab/process.ts';
import { SERVER_ADDRESS } from '../../adapters/lab/topology.ts';
import { controlClient } from '../../adapters/system/control-socket.ts';
import { millis } from '../../core/units.ts';
import type { Contestant, Side } from '../contestant.ts';
import { INNER_SERVER, type Site } from '../site.ts';

/* ipipou as its users start it: the command, with a config file on either side. */

/** IPv4 20, UDP 8. */
const OVERHEAD = 28;
const FIRST_PORT = 10_000;
/** Node takes seconds to load in an emulated machine. */
const START_TIMEOUT = millis(60_000);
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
    remark: `dataplane ${plane}, ed25519 keys, keepalive 1, replies on`,
    unavailable: async () => lacksPlane(plane),
    open: async (site) => openTunnels(site, plane),
  };
}

/** The command that this file belongs to. */
export function ipipouCommand(): readonly string[] {
  const besides = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
  const built = besides.replace(/\/src\/cli\/main\.js$/, '/dist/cli/main.js');
  return [process.execPath, built];
}

/** What `ipipou doctor` says about a plane: the reason why it cannot be had. */
async function lacksPlane(plane: string): Promise<string | undefined> {
  const asked = await run([...ipipouCommand(), 'doctor', '--json'], { timeout: DOCTOR_TIMEOUT });
  // Every level may be missing: that is what the type says.
  const report = JSON.parse(asked.stdout) as {
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

async function openTunnels(site: Site, plane: string) {
  const { lab } = site;
  const pairs = await Promise.all(lab.clients.map(async () => keyPair()));
  const secret = `bench-${process.pid}`;
  const serverLines = (index: number): readonly string[] => [
    ...['server', `number ${index}`, 'fou-dev eth0', `fou-local-port ${FIRST_PORT + index}`],
    ...[`tunl-ip ${INNER_SERVER}`, `tunl-peer-ip ${site.innerClient(index)}`],
    ...[`auth-remote-pubkey-b64 ${pairs[index]?.publicKey ?? ''}`, `auth-secret ${secret}`],
    ...['auth-lifetime 3600', 'reply-on-auth-ok', `dataplane ${plane}`],
  ];
  const clientLines = (index: number): readonly string[] => [
    ...['client', `number ${index}`, 'fou-local @eth0'],
    `fou-remote ${SERVER_ADDRESS}:${FIRST_PORT + index}`,
    ...[`tunl-ip ${site.innerClient(index)}`, `tunl-peer-ip ${INNER_SERVER}`],
    ...[`auth-key-b64 ${pairs[index]?.privateKey ?? ''}`, `auth-secret ${secret}`],
    ...['keepalive 1', `dataplane ${plane}`],
  ];
  return {
    serverAddress: INNER_SERVER,
    async startServer(): Promise<Side> {
      const started = await Promise.all(
        lab.clients.map(async (_, index) => start(site, lab.server, index, serverLines(index))),
      );
      for (const [index, program] of started.entries()) {
        await site.until(
          'the server',
          async () => answers(controlPath(site, lab.server, index)),
          [program],
          START_TIMEOUT,
        );
      }
      return side(lab.server, 0, started);
    },
    async startClient(index: number): Promise<Side> {
      const namespace = lab.client(index);
      return side(namespace, index, [await start(site, namespace, index, clientLines(index))]);
    },
  };
}

async function start(
  site: Site,
  namespace: string,
  index: number,
  lines: readonly string[],
): Promise<Program> {
  const file = await site.write(`${namespace}-${index}.conf`, lines);
  const env = {
    IPIPOU_RUN_DIR: site.path('run'),
    IPIPOU_STATE_DIR: await site.folderNamed(`state-${namespace}`),
  };
  return site.spawn(namespace, [...ipipouCommand(), '--config', file], env);
}

function side(namespace: string, index: number, programs: readonly Program[]): Side {
  return {
    ...{ namespace, device: deviceName(index), programs },
    async stop() {
      const ended = await Promise.all(programs.map(async (program) => program.stop()));
      const bad = ended.find(({ code }) => code !== 0);
      if (bad !== undefined) throw new Error(`ipipou: exit code ${bad.code}\n${bad.stderr}`);
    },
  };
}

function deviceName(index: number): string {
  return `ipipou${index}`;
}

function controlPath(site: Site, namespace: string, index: number): string {
  const inode = statSync(`/run/netns/${namespace}`).ino;
  return path.join(site.path('run'), String(inode), deviceName(index), 'control.sock');
}

async function answers(socket: string): Promise<boolean> {
  return controlClient.ask(socket, { request: 'status' }).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** The two lines of `ipipou keygen`. */
async function keyPair() {
  const { stdout } = await run([...ipipouCommand(), 'keygen'], { timeout: START_TIMEOUT });
  const [privateKey = '', publicKey = ''] = stdout.trim().split('\n');
  return { privateKey, publicKey };
}
