import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { SERVER_ADDRESS6 } from '../../src/adapters/lab/ipv6.ts';
import { removeStale } from '../../src/adapters/lab/namespaces.ts';
import { runChecked } from '../../src/adapters/lab/process.ts';
import {
  NAT_ADDRESSES,
  SERVER_ADDRESS,
  up,
  type LabOptions,
  type Topology,
} from '../../src/adapters/lab/topology.ts';
import { familyOf, formatEndpoint, type Family, type OuterIp } from '../../src/core/addr.ts';
import { millis, seconds } from '../../src/core/units.ts';
import { ip } from '../rig/addresses.ts';

/** The drawing of the topology is at the head of src/adapters/lab/topology.ts. */

const labs: Topology[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.down();
});

async function build(options?: LabOptions): Promise<Topology> {
  const lab = await up(options);
  labs.push(lab);
  return lab;
}

const LISTEN = `
  const socket = require('node:dgram').createSocket('udp6');
  socket.on('message', (text, from) => {
    const address = from.address.replace(/^::ffff:/, '');
    const shown = address.includes(':') ? '[' + address + ']' : address;
    console.log(text + ' from ' + shown + ':' + from.port);
    socket.send('answer', from.port, from.address);
  });
  socket.bind(5000, () => console.log('ready'));`;

/** Says `word` to the server from a client's port 10000 until it is answered. */
const SAY = (word: string, to: OuterIp) => `
  const socket = require('node:dgram').createSocket('${familyOf(to) === 'ipv4' ? 'udp4' : 'udp6'}');
  const say = () => socket.send('${word}', 5000, '${to}');
  const timer = setInterval(say, 100);
  socket.on('message', () => { clearInterval(timer); socket.close(); });
  socket.bind(10000, say);`;

const CONNECT = `require('node:net').connect(9, '${SERVER_ADDRESS}').on('error', () => undefined);`;

/** The endpoint that the server saw a client's word come from. */
async function seenFrom(
  lab: Topology,
  word: string,
  client = 0,
  family: Family = 'ipv4',
): Promise<string> {
  const listener = lab.spawn(lab.server, [process.execPath, '-e', LISTEN]);
  await listener.waitFor(/ready/);
  const say = SAY(word, lab.serverAddress(family));
  const said = await lab.exec(lab.client(client), [process.execPath, '-e', say]);
  expect(said).toMatchObject({ code: 0, stderr: '' });
  await listener.stop();
  return new RegExp(`${word} from (\\S+)`).exec(listener.stdout)?.[1] ?? 'unheard';
}

describe('the lab', () => {
  test('a client reaches the server, which cannot reach the client', async () => {
    const lab = await build({ clients: 2 });
    const there = await lab.exec(lab.client(1), ['ping', '-c1', '-w5', SERVER_ADDRESS]);
    expect(there).toMatchObject({ code: 0, stderr: '' });
    const back = await lab.exec(lab.server, ['ping', '-c1', '-w1', lab.clientAddress(1)]);
    expect(back.code).not.toBe(0);
    expect(back.stderr).toMatch(/unreachable/i);
  });

  test('the router keeps a source port that is free', async () => {
    const lab = await build();
    expect(await seenFrom(lab, 'hello')).toBe(`${NAT_ADDRESSES[0]}:10000`);
  });

  test('two clients with one source port appear with two', async () => {
    const lab = await build({ clients: 2 });
    const first = await seenFrom(lab, 'one', 0);
    const second = await seenFrom(lab, 'two', 1);
    expect(first).toBe(`${NAT_ADDRESSES[0]}:10000`);
    expect(second).toMatch(/^203\.0\.113\.2:[0-9]+$/);
    expect(second).not.toBe(first);
  });

  test('with random ports the router keeps none', async () => {
    const lab = await build({ natPorts: 'random' });
    expect(await seenFrom(lab, 'hello')).not.toBe(`${NAT_ADDRESSES[0]}:10000`);
  });

  test('with two public addresses the clients alternate', async () => {
    const lab = await build({ clients: 2, natAddresses: 2 });
    expect(await seenFrom(lab, 'one', 0)).toBe(`${NAT_ADDRESSES[0]}:10000`);
    expect(await seenFrom(lab, 'two', 1)).toBe(`${NAT_ADDRESSES[1]}:10000`);
  });

  test('remapNat gives a client another port each time', async () => {
    const lab = await build();
    await seenFrom(lab, 'before');
    await lab.remapNat();
    expect(await seenFrom(lab, 'once')).toMatch(/^203\.0\.113\.2:400[0-9]{2}$/);
    await lab.remapNat();
    const last = await seenFrom(lab, 'twice');
    expect(last).toMatch(/^203\.0\.113\.2:401[0-9]{2}$/);
    const mappings = (await lab.natMappings()).map(({ inside, outside, remote }) =>
      [inside, outside, remote].map(formatEndpoint),
    );
    expect(mappings).toEqual([['192.168.0.2:10000', last, '203.0.113.1:5000']]);
  });

  test('a client moves to another public address and back', async () => {
    const lab = await build();
    expect(await lab.changeNatAddress()).toBe(NAT_ADDRESSES[1]);
    expect(await seenFrom(lab, 'moved')).toBe(`${NAT_ADDRESSES[1]}:10000`);
    expect(await lab.changeNatAddress()).toBe(NAT_ADDRESSES[0]);
    expect(await seenFrom(lab, 'back')).toBe(`${NAT_ADDRESSES[0]}:10000`);
  });

  test('a client with another local address still reaches the server', async () => {
    const lab = await build();
    expect(await lab.changeClientAddress()).toBe('192.168.0.100');
    expect(await seenFrom(lab, 'moved')).toBe(`${NAT_ADDRESSES[0]}:10000`);
  });

  test.each(['bridge', 'routed'] as const)(
    'a client with IPv6 is reached only where it has spoken first, on a LAN that is %s',
    async (lan) => {
      const lab = await build({ clients: 2, families: ['both', 'ipv6'], lan });
      for (const index of [0, 1]) {
        const own = lab.clientAddress(index, 'ipv6');
        expect(await seenFrom(lab, 'hello', index, 'ipv6')).toBe(`[${own}]:10000`);
        const back = await lab.exec(lab.server, ['ping', '-c1', '-W0.2', own]);
        expect(back.code).not.toBe(0);
        const there = ['ping', '-c1', '-w5', lab.serverAddress('ipv6')];
        expect(await lab.exec(lab.client(index), there)).toMatchObject({ code: 0 });
      }
      const without = await lab.exec(lab.client(1), ['ping', '-c1', '-w1', SERVER_ADDRESS]);
      expect(without.code).not.toBe(0);
      expect(() => lab.clientAddress(1)).toThrow('no client 1 with ipv4');
      const flows = await lab.natMappings('ipv6');
      expect(flows.map(({ inside }) => formatEndpoint(inside))).toContain('[2001:db8:1::2]:10000');
    },
  );

  test('a client with IPv6 moves to another address and back, and its uplink comes back', async () => {
    const lab = await build({ families: 'both' });
    expect(await lab.changeClientAddress(0, 'ipv6')).toBe('2001:db8:1::100');
    expect(await seenFrom(lab, 'moved', 0, 'ipv6')).toBe('[2001:db8:1::100]:10000');
    expect(await lab.changeClientAddress(0, 'ipv6')).toBe('2001:db8:1::2');
    await lab.setUplink('down');
    await lab.setUplink('up');
    expect(await seenFrom(lab, 'again', 0, 'ipv6')).toBe('[2001:db8:1::2]:10000');
  });

  test('hosts resolve the names of the lab, and those that it is given later', async () => {
    const lab = await build({
      families: 'both',
      names: { 'server.lab': [SERVER_ADDRESS, SERVER_ADDRESS6] },
    });
    const lookUp = async (database: string): Promise<string> => {
      const found = await lab.exec(lab.client(), ['getent', database, 'server.lab']);
      return found.stdout.split(' ')[0] ?? '';
    };
    expect(await lookUp('ahostsv4')).toBe(SERVER_ADDRESS);
    expect(await lookUp('ahostsv6')).toBe(SERVER_ADDRESS6);
    await lab.setNames({ 'server.lab': [ip('2001:db8::7')] });
    expect(await lookUp('ahosts')).toBe('2001:db8::7');
    expect(readFileSync('/etc/hosts', 'utf8')).not.toContain('server.lab');
  });

  test('links have the MTU and mappings the lifetimes that were asked for', async () => {
    const lab = await build({
      mtu: 1400,
      udpTimeouts: { unreplied: seconds(2), replied: seconds(3) },
    });
    const big = await lab.exec(lab.client(), [
      'ping',
      '-Mdo',
      '-c1',
      '-w5',
      '-s1372',
      SERVER_ADDRESS,
    ]);
    expect(big.code).toBe(0);
    const bigger = await lab.exec(lab.client(), [
      'ping',
      '-Mdo',
      '-c1',
      '-w1',
      '-s1373',
      SERVER_ADDRESS,
    ]);
    expect(bigger.code).not.toBe(0);
    const timeouts = await lab.exec(lab.router, [
      'cat',
      '/proc/sys/net/netfilter/nf_conntrack_udp_timeout',
      '/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream',
    ]);
    expect(timeouts.stdout).toBe('2\n3\n');
  });

  test('packets cross the NAT with finished checksums', async () => {
    const lab = await build();
    const receiver = lab.spawn(lab.server, [
      'tcpdump',
      '-vv',
      '-nni',
      'eth0',
      '-lc1',
      'dst port 9',
    ]);
    await receiver.waitFor(/listening/);
    // Refused: what counts is how the first packet looked when it arrived.
    await lab.exec(lab.client(), [process.execPath, '-e', CONNECT]);
    await receiver.waitFor(/cksum 0x/);
    expect(receiver.stdout).toMatch(/cksum 0x[0-9a-f]{4} \(correct\)/);
  });

  test('down ends programs and removes namespaces, twice without harm', async () => {
    const lab = await build();
    const program = lab.spawn(lab.client(), ['sleep', '600']);
    await lab.down();
    await lab.down();
    expect((await program.finished).code).toBe(128 + 9);
    expect(readdirSync('/run/netns').filter((name) => lab.namespaces.includes(name))).toEqual([]);
  });

  test('an abort takes the lab down', async () => {
    const abort = new AbortController();
    const lab = await build({ signal: abort.signal });
    const program = lab.spawn(lab.server, ['sleep', '600']);
    abort.abort();
    await program.finished;
    await lab.down();
    expect(readdirSync('/run/netns')).not.toContain(lab.server);
  });

  test('what a dead run left behind is removed, what a live one uses is not', async () => {
    const dead = spawn('true');
    await once(dead, 'close');
    const stale = `ipipou-${dead.pid}-1-srv`;
    await runChecked(['ip', 'netns', 'add', stale]);
    const lab = await build();
    expect(readdirSync('/run/netns')).not.toContain(stale);
    expect(await removeStale()).toEqual([]);
    expect(readdirSync('/run/netns')).toContain(lab.server);
  });

  test('a program that says nothing of what is waited for fails with its output', async () => {
    const lab = await build();
    const program = lab.spawn(lab.server, ['sh', '-c', 'echo something else']);
    await expect(program.waitFor(/ready/, millis(5_000))).rejects.toThrow(/something else/);
    await expect(lab.exec(lab.server, ['sleep', '60'], { timeout: millis(50) })).rejects.toThrow(
      /no end in 50 ms/,
    );
  });
});
