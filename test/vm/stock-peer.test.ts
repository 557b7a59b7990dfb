import { afterAll, beforeAll, expect, test } from 'vitest';
import { SERVER_ADDRESS, up, type Topology } from '../../src/adapters/lab/topology.ts';
import type { Ip } from '../../src/core/addr.ts';
import { transfer } from '../../src/cli/demo/transfer.ts';
import { port } from '../../src/core/units.ts';
import { addStockPeer, removeStockPeer, repointStockPeer, type StockPeer } from './stock-peer.ts';
import { patience } from '../rig/patience.ts';
import { inner } from '../rig/addresses.ts';

/*
 * The drawing of the topology is at the head of src/adapters/lab/topology.ts. On it:
 *
 *   server: tun 172.28.0.0 ══ FOU 203.0.113.1:10000 ── NAT 203.0.113.2:10000 ══ tun 172.28.0.1: client
 */

let lab: Topology;
let server: StockPeer;
let client: StockPeer;

beforeAll(async () => {
  lab = await up();
  const ports = { localPort: port(10_000), remotePort: port(10_000) };
  const devices = { device: 'tun', outerDevice: 'eth0' };
  server = {
    ...{ ...ports, ...devices, namespace: lab.server },
    ...{ local: SERVER_ADDRESS, remote: lab.natAddress() },
    ...{ innerIp: inner('172.28.0.0'), innerPeerIp: inner('172.28.0.1') },
  };
  client = {
    ...{ ...ports, ...devices, namespace: lab.client() },
    ...{ local: lab.clientAddress(), remote: SERVER_ADDRESS },
    ...{ innerIp: inner('172.28.0.1'), innerPeerIp: inner('172.28.0.0') },
  };
  await addStockPeer(server);
  await addStockPeer(client);
});

afterAll(async () => {
  await lab.down();
});

test('a stock FOU tunnel through the NAT carries a ping both ways', async () => {
  await expectPing(lab.client(), server.innerIp);
  await expectPing(lab.server, client.innerIp);
});

test('it carries TCP both ways, with checksums on the outside and the inside', async () => {
  const bytes = 4_000_000;
  const there = { from: lab.client(), to: lab.server, address: server.innerIp };
  const back = { from: lab.server, to: lab.client(), address: client.innerIp };
  expect((await transfer(lab, there, bytes)).bytes).toBeGreaterThan(1_000_000);
  expect((await transfer(lab, back, bytes)).bytes).toBeGreaterThan(1_000_000);
});

test('a stock peer follows a client that the NAT gave another port', async () => {
  await lab.remapNat();
  // The server's answer to this one goes to the port that the client no longer has.
  await lab.exec(lab.client(), ['ping', '-c1', '-W1', server.innerIp]);
  const mapping = (await lab.natMappings()).find(({ inside }) => inside.ip === client.local);
  const { ip: remote, port: remotePort } = mapping?.outside ?? {
    ip: server.remote,
    port: server.remotePort,
  };
  expect(remotePort).toBeGreaterThanOrEqual(40_000);
  server = await repointStockPeer(server, { remote, remotePort });
  await expectPing(lab.client(), server.innerIp);
});

test('a removed stock peer can be made again', async () => {
  await removeStockPeer(client);
  await addStockPeer(client);
  await expectPing(lab.client(), server.innerIp);
});

async function expectPing(namespace: string, target: Ip): Promise<void> {
  const done = await lab.exec(namespace, ['ping', '-c1', '-w10', target], {
    timeout: patience(20_000),
  });
  expect(done).toMatchObject({ code: 0, stderr: '' });
}
