/*
 * What Prometheus makes of the metrics of a live tunnel: everything that the dashboard and the alerts ask has
 * an answer. Server and client are those of the description, on `dataplane tun`, with session 2, which has more to tell.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateKeyPair } from '../../src/adapters/crypto.ts';
import { formatBase64 } from '../../src/core/base64.ts';
import type { Program } from '../../src/adapters/lab/process.ts';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { ALERTS, PANELS, SPAN } from '../../src/app/management/metrics/dashboard.ts';
import { METRICS } from '../../src/app/management/metrics/table.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { changed, DESCRIBED, Hosts, IPIPOU, type Daemon } from '../rig/daemon.ts';
import { patience, succeeds } from '../rig/patience.ts';
import { expectPing } from '../rig/traffic.ts';
import { PROJECT } from '../vm/rig/project.ts';

const SERVED = '127.0.0.1:9586';
const PROMETHEUS = '127.0.0.1:9090';

const keys = generateKeyPair();
const SERVER_KEY = `auth-key-b64 ${formatBase64(keys.privateSeed)}`;
const SERVER_PUBLIC = `auth-remote-pubkey-b64 ${formatBase64(keys.publicKey)}`;

let lab: Topology;
let hosts: Hosts;
let server: Daemon;
let client: Daemon;
let folder: string;
const programs: Program[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'ipipou-metrics-'));
  lab = await up();
  hosts = await Hosts.in(lab);
  server = await hosts.start(lab.server, changed(DESCRIBED.server, 'dataplane tun', SERVER_KEY));
  await server.ready();
  client = await hosts.start(
    lab.client(),
    changed(DESCRIBED.client, 'dataplane tun', SERVER_PUBLIC),
  );
  await Promise.all([server.established(), client.established()]);
  await expectPing(lab, lab.server, innerAddresses(0).client);
});

afterAll(async () => {
  await Promise.all(programs.map((program) => program[Symbol.asyncDispose]()));
  await client[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await hosts[Symbol.asyncDispose]();
  await lab.down();
  rmSync(folder, { recursive: true });
});

function start(...argv: readonly string[]): Program {
  const program = lab.spawn(lab.server, argv, { env: hosts.env(lab.server) });
  programs.push(program);
  return program;
}

/** What an address of the server's namespace answers: a status and a text. */
async function get(where: string, headers: object = {}, options: object = {}): Promise<string> {
  const script = `const request = require('node:http').request(${JSON.stringify({ ...options, ...place(where), headers })}, (response) => {
    process.stdout.write(response.statusCode + ' ' + response.headers['content-type'] + '\\n');
    response.pipe(process.stdout);
  });
  request.end();`;
  const { stdout } = await lab.exec(lab.server, [process.execPath, '-e', script]);
  return stdout;
}

function place(where: string): object {
  if (where.startsWith('/')) return { socketPath: where, path: '/metrics' };
  const { hostname, port, pathname } = new URL(`http://${where}`);
  return { host: hostname, port, path: pathname };
}

async function promtool(args: readonly string[], input?: string) {
  return lab.exec(lab.server, ['promtool', ...args], {
    timeout: patience(60_000),
    ...(input === undefined ? {} : { input }),
  });
}

describe('ipipou metrics', () => {
  test('prints what promtool has nothing to say against', async () => {
    const { code, stdout, stderr } = await hosts.run(lab.server, ['metrics']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^ipipou_peer_established\{device="ipipou0",peer="default"\} 1$/m);
    expect(stdout).toMatch(/^ipipou_peer_receive_packets_total\{.*\} [1-9]/m);
    expect(stdout).not.toMatch(/topsecret|RuBZkT23/);
    expect(await promtool(['check', 'metrics'], stdout)).toMatchObject({ code: 0, stderr: '' });
  });

  test('serves them on loopback addresses and sockets, to GET by its own name, and nowhere else', async () => {
    await start(process.execPath, IPIPOU, 'metrics', '--listen', SERVED).waitFor(/metrics at/);
    expect(await get(`${SERVED}/metrics`)).toMatch(/^200 text\/plain; version=0\.0\.4/);
    const accept = { accept: 'application/openmetrics-text; version=1.0.0' };
    expect(await get(`${SERVED}/metrics`, accept)).toMatch(
      /^200 application\/openmetrics-text[^]*# EOF\n$/,
    );
    expect(await get(`${SERVED}/`)).toMatch(/^404 /);
    expect(await get(`${SERVED}/metrics`, {}, { method: 'POST' })).toMatch(/^405 /);
    expect(await get(`${SERVED}/metrics`, { host: 'rebound.example:9586' })).toMatch(/^403 /);
    const socket = path.join(folder, 'metrics.sock');
    for (let run = 0; run < 2; run += 1) {
      const program = start(process.execPath, IPIPOU, 'metrics', '--listen', socket, '--no-peers');
      await program.waitFor(/metrics at/);
      const text = await get(socket);
      expect(text).toMatch(/^200 [^]*ipipou_tunnel_up/);
      expect(text).not.toContain('ipipou_peer_');
      // After a kill the socket is still there, and the next one takes its place.
      program.signal('SIGKILL');
      await program.finished;
    }
    for (const where of [
      '0.0.0.0:9586',
      '203.0.113.1:9586',
      '[2001:db8::1]:1',
      'localhost',
      '127.0.0.1:0',
    ]) {
      const refused = await hosts.run(lab.server, ['metrics', '--listen', where]);
      expect(refused, where).toMatchObject({ code: 2 });
      expect(refused.stderr).toContain('takes a loopback address and a port');
    }
  });

  test('answers all that dashboard and alerts ask, by a Prometheus that scrapes it', async () => {
    const config = path.join(folder, 'prometheus.yml');
    const rules = path.join(PROJECT, 'docs/alerts.yml');
    writeFileSync(
      config,
      `global: { scrape_interval: 1s, evaluation_interval: 1s }
scrape_configs: [{ job_name: ipipou, static_configs: [{ targets: ['${SERVED}'] }] }]
rule_files: ['${rules}']
`,
    );
    expect(await promtool(['check', 'rules', rules])).toMatchObject({ code: 0 });
    expect(await promtool(['check', 'config', config])).toMatchObject({ code: 0 });
    start(
      'prometheus',
      ...[`--config.file=${config}`, `--storage.tsdb.path=${path.join(folder, 'data')}`],
      `--web.listen-address=${PROMETHEUS}`,
    );
    const unasked: readonly string[] = [
      ...PANELS.flatMap(({ queries }) =>
        queries.map(({ expression }) => expression.replace(SPAN, '10s')),
      ),
      // The server's own view has no client to lose; what it would be asked of is there.
      ...ALERTS.map(({ value }) => value.replace('{role="client"}', '')),
      ...METRICS.map(({ name }) => name),
    ];
    const silent = new Set(unasked);
    await succeeds(async () => {
      for (const expression of silent) {
        const { stdout } = await promtool(['query', 'instant', `http://${PROMETHEUS}`, expression]);
        if (stdout.includes('=>')) silent.delete(expression);
      }
      expect([...silent]).toEqual([]);
      // A process for each question.
    }, 60_000);
  });
});
