/*
 * A client on a network of IPv6 alone, whose router translates, and a server that is known by its IPv4 address. The
 * drawings of the topology are at the heads of src/adapters/lab/topology.ts and ipv6.ts.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { SERVER_ADDRESS, up, type Topology } from '../../src/adapters/lab/topology.ts';
import { innerAddresses, ip } from '../rig/addresses.ts';
import { changed, DESCRIBED, Hosts, type Daemon } from '../rig/daemon.ts';
import { translated } from '../../src/core/nat64.ts';
import { addressesSettled } from '../rig/traffic.ts';
import { Translator, TRANSLATOR_PREFIX } from '../rig/translator.ts';
import type { TunnelStatus } from '../../src/ports/control.ts';

const INNER = innerAddresses(0);
/** What the client has behind the translator. */
const OUTSIDE = ip('203.0.113.64');
const VIA = translated(SERVER_ADDRESS, TRANSLATOR_PREFIX);
/** What name servers of such a network say (RFC 7050). */
const NAMES = {
  'ipv4only.arpa': ['192.0.0.170', '192.0.0.171'].map((known) =>
    translated(ip(known), TRANSLATOR_PREFIX),
  ),
};

let lab: Topology;
let hosts: Hosts;
let translator: Translator;
const daemons: Daemon[] = [];

beforeAll(async () => {
  lab = await up({ families: 'ipv6', names: NAMES });
  hosts = await Hosts.in(lab);
  await Promise.all([lab.server, lab.client()].map((name) => addressesSettled(lab, name)));
  const client = lab.clientAddress(0, 'ipv6');
  translator = new Translator(lab.router, { client, outside: OUTSIDE });
});

afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
});

afterAll(async () => {
  translator[Symbol.dispose]();
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

async function start(namespace: string, lines: readonly string[]): Promise<Daemon> {
  const daemon = await hosts.start(namespace, lines);
  daemons.push(daemon);
  await daemon.ready();
  return daemon;
}

/** A server with options besides, and a client that has proved itself to it. */
async function tunnel(plane: string, ...options: readonly string[]): Promise<Daemon> {
  await start(lab.server, changed(DESCRIBED.server, `dataplane ${plane}`, ...options));
  const client = await start(lab.client(), changed(DESCRIBED.client, `dataplane ${plane}`));
  await client.until('replied to', ({ repliesVerified }) => repliesVerified > 0);
  return client;
}

const ping = async (): Promise<boolean> =>
  (await lab.exec(lab.client(), ['ping', '-c1', '-w3', INNER.server])).code === 0;

test.each(['bpf', 'tun'])(
  'on %s the server is reached by what the network’s translator has for its address',
  async (plane) => {
    const client = await tunnel(plane, 'encap-csum');
    expect(await ping()).toBe(true);
    expect(client.program.output()).toContain(`via=${VIA}`);
  },
);

test('data without checksums does not come, and the log has said what to do about it', async () => {
  const client = await tunnel('bpf');
  const before = translator.dropped;
  expect(await ping()).toBe(false);
  expect(translator.dropped).toBeGreaterThan(before);
  expect(client.program.output()).toContain('if no data comes from it, put encap-csum into');
});

test('with a kill switch nobody is asked for a translator, and what is to be done is said', async () => {
  await start(lab.server, changed(DESCRIBED.server, 'dataplane tun', 'encap-csum'));
  const killing = changed(DESCRIBED.client, 'dataplane tun', 'kill-switch strict');
  const client = await start(lab.client(), killing);
  const said = ({ troubles }: TunnelStatus): boolean =>
    troubles.some(({ words }) =>
      words.includes('the kill switch lets nothing out that would find'),
    );
  await client.until('told why', said);
  expect(await client.stop()).toBe(0);
  const mended = await start(lab.client(), changed(killing, `fou-remote [${VIA}]:10000`));
  await mended.until('replied to', ({ repliesVerified }) => repliesVerified > 0);
  expect(await ping()).toBe(true);
});
