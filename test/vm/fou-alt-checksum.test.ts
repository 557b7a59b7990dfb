import { afterAll, beforeAll, expect, it } from 'vitest';
import { setTransmitChecksumOffload } from '../../src/adapters/checksum-offload.ts';
import { up, type Topology } from '../../src/adapters/lab/topology.ts';
import { changed, DESCRIBED, Hosts, type Daemon } from '../rig/daemon.ts';
import { inNamespace } from '../rig/in-namespace.ts';
import { innerAddresses } from '../rig/addresses.ts';
import { iperf } from '../rig/traffic.ts';

/*
 * A server that uses its alternative address, on outer devices that fill in every checksum
 * themselves: between namespaces packets otherwise travel with checksums that nobody looks at, and
 * spoiled ones go unnoticed. The topology is drawn at the head of src/adapters/lab/topology.ts.
 */
let lab: Topology;
let hosts: Hosts;
const daemons: Daemon[] = [];
const inner = innerAddresses(0);

beforeAll(async () => {
  lab = await up();
  hosts = await Hosts.in(lab);
  for (const namespace of [lab.server, lab.client()]) {
    inNamespace(namespace, () => setTransmitChecksumOffload('eth0', false));
  }
});

afterAll(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop();
  await hosts[Symbol.asyncDispose]();
  await lab.down();
});

/** UDP packets that a namespace has refused for their checksum (/proc/net/snmp). */
async function badChecksums(namespace: string): Promise<number> {
  const { stdout } = await lab.exec(namespace, ['cat', '/proc/net/snmp']);
  const [names, values] = stdout.split('\n').filter((line) => line.startsWith('Udp: '));
  const at = names?.split(' ').indexOf('InCsumErrors') ?? -1;
  return Number(values?.split(' ')[at]);
}

it.each(['encap-csum', 'no-encap-csum'])(
  'carries TCP both ways from the alternative address with %s',
  async (checksum) => {
    for (const daemon of daemons.splice(0)) await daemon.stop();
    const server = await hosts.start(
      lab.server,
      changed(DESCRIBED.server, 'force-fou-local-ip-alt', checksum),
    );
    daemons.push(server);
    await server.ready();
    const client = await hosts.start(lab.client(), changed(DESCRIBED.client, checksum));
    daemons.push(client);
    await client.until('replied to', (status) => status.repliesVerified > 0);
    expect(await iperf(lab, lab.client(), lab.server, inner.server)).toBeGreaterThan(0);
    expect(await iperf(lab, lab.client(), lab.server, inner.server, true)).toBeGreaterThan(0);
    expect(await badChecksums(lab.client())).toBe(0);
    expect(await badChecksums(lab.server)).toBe(0);
  },
  120_000,
);
