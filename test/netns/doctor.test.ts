/*
 * What is wrong around a tunnel, done for real: `doctor NAME` sees it, and the command that it names mends it.
 * The drawing is at the head of src/adapters/lab/topology.ts.
 */
import { afterEach, expect, test } from 'vitest';
import { inside } from '../../src/adapters/lab/namespaces.ts';
import { runChecked, type Program } from '../../src/adapters/lab/process.ts';
import type { Finding } from '../../src/core/doctor/finding.ts';
import { ip } from '../rig/addresses.ts';
import { changed, DESCRIBED } from '../rig/daemon.ts';
import { labScene } from '../rig/lab-scene.ts';

const SERVER = changed(DESCRIBED.server, 'dataplane tun');
const CLIENT = changed(DESCRIBED.client, 'dataplane tun', 'keepalive 1');

const scene = labScene({ names: { 'home.example': [ip('203.0.113.1')] } });
const holders: Program[] = [];

afterEach(async () => {
  await Promise.all(holders.splice(0).map((holder) => holder.stop()));
});

type Looked = {
  readonly code: number;
  readonly verdict: string;
  readonly findings: readonly Finding[];
};

async function look(namespace: string, word: string): Promise<Looked> {
  const { code, stdout, stderr } = await scene.hosts.run(namespace, ['doctor', word, '--json']);
  expect(stderr).toBe('');
  return { code, ...(JSON.parse(stdout) as Omit<Looked, 'code'>) };
}

const wrongOf = ({ findings }: Looked): readonly Finding[] =>
  findings.filter(({ verdict }) => verdict === 'wrong');

/** Runs a command as the operator would who copies it. */
async function shell(namespace: string, command: string): Promise<void> {
  await runChecked(inside(namespace, ['sh', '-ec', command]));
}

/** Looks, expects this and nothing else to be wrong, does what mends it, and expects nothing to be wrong. */
async function mends(namespace: string, file: string, expected: RegExp, times = 1): Promise<void> {
  const before = await look(namespace, file);
  const wrong = wrongOf(before);
  expect(wrong.map(({ words }) => words)).toHaveLength(times);
  expect(before.code).toBe(1);
  for (const { check, words, fix } of wrong) {
    expect(`${check}: ${words}`).toMatch(expected);
    await shell(namespace, fix ?? 'false');
  }
  const after = await look(namespace, file);
  expect(wrongOf(after)).toEqual([]);
  expect(after.code).not.toBe(1);
}

test('nothing is wrong, before a tunnel runs and while it does', async () => {
  const { lab, hosts } = scene;
  const file = await hosts.writeConfig(lab.server, 'a', SERVER);
  expect(wrongOf(await look(lab.server, file))).toEqual([]);
  const s = await scene.start(lab.server, SERVER);
  const c = await scene.start(lab.client(), CLIENT);
  await Promise.all([s.established(), c.established()]);
  const server = await look(lab.server, 'ipipou0');
  expect(wrongOf(server)).toEqual([]);
  const words = (looked: Looked, check: string) =>
    looked.findings.filter((one) => one.check === check).map((one) => one.words);
  expect(words(server, 'daemon')).toEqual([expect.stringMatching(/1 of 1 peers established/)]);
  expect(words(server, 'port')).toEqual(["UDP port 10000 is the tunnel's"]);
  expect(words(server, 'nat')).toEqual([expect.stringMatching(/seen at 203.0.113.2:/)]);
  const client = await look(lab.client(), 'ipipou0');
  expect(wrongOf(client)).toEqual([]);
  expect(words(client, 'route')).toEqual(['to 203.0.113.1 by eth0, from 192.168.0.2']);
  expect(words(client, 'nat')).toEqual([expect.stringMatching(/192.168.0.2, which is private/)]);
  expect(words(client, 'mtu')).toContainEqual(expect.stringMatching(/1500 bytes, 1472 of/));
  // Its config is not in /etc/ipipou, but it runs.
  const { name } = await c.ready();
  const text = (await hosts.run(lab.client(), ['doctor', name])).stdout;
  expect(text).toMatch(/^ok {7}route: to 203.0.113.1/m);
  expect(text + JSON.stringify([client, server])).not.toMatch(/topsecret|RuBZkT23na2Q4QH1/);
});

test('a port that another program has', async () => {
  const { lab, hosts } = scene;
  const file = await hosts.writeConfig(lab.server, 'a', SERVER);
  const script =
    "require('node:dgram').createSocket('udp4').bind(10000, () => console.log('bound'))";
  const holder = lab.spawn(lab.server, [process.execPath, '-e', script]);
  holders.push(holder);
  await holder.waitFor(/bound/);
  const [taken] = wrongOf(await look(lab.server, file));
  expect(taken?.words).toMatch(/^UDP port 10000 at 0.0.0.0 is held by \S+ \(process \d+\)$/);
  await shell(lab.server, taken?.fix ?? 'false');
  await holder.finished;
  expect(wrongOf(await look(lab.server, file))).toEqual([]);
});

const NFT = (rules: string): string => `nft -f - <<'END'\n${rules}\nEND`;

test.each<[string, string, RegExp, string]>([
  [
    'nft, by a rule',
    NFT(
      'table inet host { chain in { type filter hook input priority 0; udp dport 9000-11000 drop; }; }',
    ),
    /^firewall: table inet host, chain in drops IPv4 .* by the rule: udp dport 9000-11000 drop$/,
    'nft delete table inet host',
  ],
  [
    'nft, by a policy',
    NFT(
      'table ip host { chain in { type filter hook input priority 0; policy drop; ct state established accept; tcp dport 22 accept; }; }',
    ),
    /by its policy$/,
    'nft delete table ip host',
  ],
  [
    'nft, at the device',
    NFT(
      'table netdev host { chain in { type filter hook ingress device eth0 priority 0; ip protocol udp drop; }; }',
    ),
    /table netdev host, chain in drops/,
    'nft delete table netdev host',
  ],
  [
    'iptables-nft',
    'iptables-nft -A INPUT -p udp -m comment --comment "no UDP" -j REJECT',
    /iptables-nft filter INPUT refuses IPv4 .*no UDP/,
    'iptables-nft -F',
  ],
  [
    'iptables-legacy',
    'iptables-legacy -N STRANGERS; iptables-legacy -A STRANGERS -p udp -j DROP; iptables-legacy -A INPUT -i eth0 -j STRANGERS',
    /iptables-legacy filter STRANGERS drops IPv4/,
    'iptables-legacy -F; iptables-legacy -X',
  ],
])('a firewall that drops what clients send: %s', async (_, break_, expected, clean) => {
  const { lab, hosts } = scene;
  const file = await hosts.writeConfig(lab.server, 'a', SERVER);
  await shell(lab.server, break_);
  try {
    const s = await scene.start(lab.server, SERVER);
    const c = await scene.start(lab.client(), CLIENT);
    await s.ready();
    await c.until('unanswered', ({ authPacketsSent }) => authPacketsSent > 1);
    expect((await c.status())?.phase).toBe('authenticating');
    await mends(lab.server, file, expected);
    await s.established();
    await c.established();
  } finally {
    await shell(lab.server, clean);
  }
});

test('forwarding that somebody has switched off, and chains that drop what visits an exposed service', async () => {
  const { lab } = scene;
  const s = await scene.start(lab.server, changed(SERVER, 'expose tcp/443'));
  await s.ready();
  expect(wrongOf(await look(lab.server, 'ipipou0'))).toEqual([]);
  await shell(lab.server, 'sysctl -qw net.ipv4.ip_forward=0');
  await mends(lab.server, 'ipipou0', /^expose: this host does not forward IPv4 any more/);
  await shell(
    lab.server,
    'iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER',
  );
  await mends(
    lab.server,
    'ipipou0',
    /^expose: iptables-nft filter FORWARD drops (visitors|answers)/,
    2,
  );
  await shell(lab.server, 'iptables-nft -P FORWARD ACCEPT; iptables-nft -F; iptables-nft -X');
});

test('a key that is not the one of the other end, whose file is here', async () => {
  const { lab, hosts } = scene;
  const wrongKey = 'auth-remote-pubkey-b64 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
  await hosts.writeConfig(lab.client(), 'ipipou0', CLIENT);
  const file = await hosts.writeConfig(lab.server, 'a', changed(SERVER, wrongKey));
  const wrong = wrongOf(await look(lab.server, file));
  expect(wrong).toMatchObject([
    { check: 'keys', words: expect.stringMatching(/is not the public key of auth-key-b64 in /) },
  ]);
  const line = wrong[0]?.fix?.replace(/ +#.*/, '') ?? '';
  await hosts.writeConfig(lab.server, 'a', changed(SERVER, line));
  const after = await look(lab.server, file);
  expect(wrongOf(after)).toEqual([]);
  expect(after.findings).toContainEqual({
    ...{ check: 'keys', verdict: 'ok' },
    words: expect.stringMatching(/^keys and secret match those of /),
  });
});

test('no route, a device that is down, and a name that does not resolve', async () => {
  const { lab, hosts } = scene;
  const client = lab.client();
  const file = await hosts.writeConfig(
    client,
    'b',
    changed(CLIENT, 'fou-remote home.example:10000'),
  );
  expect(wrongOf(await look(client, file))).toEqual([]);
  await shell(client, 'ip route del default');
  const [route] = wrongOf(await look(client, file));
  expect(route).toMatchObject({ check: 'route', words: expect.stringMatching(/^no route to 203/) });
  await shell(client, (route?.fix ?? 'false').replace('GATEWAY', '192.168.0.1'));
  expect(wrongOf(await look(client, file))).toEqual([]);

  await shell(client, 'ip link set eth0 down');
  const [device] = wrongOf(await look(client, file));
  expect(device).toMatchObject({ check: 'device', words: 'fou-dev eth0 is down' });
  await shell(client, device?.fix ?? 'false');
  await shell(client, 'ip route add default via 192.168.0.1');
  expect(wrongOf(await look(client, file))).toEqual([]);

  await lab.setNames({});
  const [name] = wrongOf(await look(client, file));
  expect(name?.words).toMatch(/^home.example does not resolve: /);
  await lab.setNames({ 'home.example': [ip('203.0.113.1')] });
  expect(wrongOf(await look(client, file))).toEqual([]);
});
