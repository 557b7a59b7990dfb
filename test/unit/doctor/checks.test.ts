import { describe, expect, test } from 'vitest';
import { parseOuterIp, type OuterIp } from '../../../src/core/addr.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';
import { examineTunnel } from '../../../src/core/doctor/checks.ts';
import type {
  DaemonFacts,
  OtherEnd,
  TunnelFacts,
  WayFacts,
} from '../../../src/core/doctor/facts.ts';
import type { CheckName } from '../../../src/core/doctor/finding.ts';
import { readIptablesSave } from '../../../src/core/firewall/iptables-save.ts';
import { readNftRuleset } from '../../../src/core/firewall/nft-ruleset.ts';
import { parsePublicKey, type PublicKey } from '../../../src/core/public-key.ts';
import { millis, port } from '../../../src/core/units.ts';
import { PRIVATE_KEY, PUBLIC_KEY, resolveRun } from '../config/resolve-texts.ts';
import { dockerText } from '../../rig/docker-rules.ts';

const SERVER = `server\nfou-dev eth0\ntunl-ip 172.28.0.0\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\nauth-secret long-enough-words\n`;
const CLIENT = `client\nfou-remote home.example:10000\ntunl-ip 172.28.0.1\nauth-key-b64 ${PRIVATE_KEY}\nauth-secret long-enough-words\n`;
const DEFAULT = 'default' as PeerId;

const OTHER_KEY = key('eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=');

function key(text: string): PublicKey {
  const read = parsePublicKey(text);
  if (read === undefined) throw new TypeError(text);
  return read;
}

function ip(text: string): OuterIp {
  const read = parseOuterIp(text);
  if (read === undefined) throw new TypeError(text);
  return read;
}

const WAY: WayFacts = {
  remote: ip('203.0.113.1'),
  port: 10000,
  own: false,
  way: { source: ip('192.168.0.2'), device: 'eth0', mtu: 1500, learnt: undefined },
  unbound: undefined,
};

function facts(text: string, changes: Partial<TunnelFacts> = {}): TunnelFacts {
  return {
    config: resolveRun(text).config,
    daemon: undefined,
    names: [],
    ways: [],
    device: undefined,
    holders: [],
    firewall: { chains: [], unread: [] },
    settings: new Map(),
    clockKept: true,
    keys: { own: new Map(), ends: [] },
    planes: [{ name: 'tun', missing: [] }],
    ...changes,
  };
}

/** What one check says: the verdict, the words, the fix. */
function says(check: CheckName, looked: TunnelFacts): readonly string[] {
  return examineTunnel(looked)
    .filter((finding) => finding.check === check)
    .map(({ verdict, words, fix }) => `${verdict}: ${words}${fix ? ` [${fix}]` : ''}`);
}

const DAEMON: DaemonFacts = {
  pid: 7,
  plane: 'tun',
  mtu: 1472,
  establishedCount: 1,
  peerCount: 1,
  peers: [],
  troubles: [],
};

describe('the daemon', () => {
  test('is not there, does not answer, or has troubles', () => {
    expect(says('daemon', facts(SERVER))).toEqual([
      expect.stringMatching(/^unknown: .*\[ipipou up /),
    ]);
    expect(says('daemon', facts(SERVER, { daemon: { silent: 'it is dead', hint: 'do' } }))).toEqual(
      ['wrong: it is dead [do]'],
    );
    const trouble = { kind: 'no-key', words: 'no key' } as const;
    const troubled = facts(SERVER, { daemon: { ...DAEMON, troubles: [trouble] } });
    expect(says('daemon', troubled)).toEqual([
      'ok: process 7, 1 of 1 peers established',
      'warning: no key',
    ]);
  });
});

describe('a name', () => {
  const name = (addresses: readonly string[]) =>
    facts(CLIENT, {
      names: [
        {
          host: 'home.example',
          families: [
            { family: 'ipv4', addresses: addresses.map(ip), error: undefined },
            { family: 'ipv6', addresses: [], error: 'no IPv6 address' },
          ],
        },
      ],
    });
  test('has an address, none, or one that is no other host', () => {
    expect(says('name', name(['203.0.113.1']))).toEqual([
      'ok: home.example is 203.0.113.1, no IPv6 address',
    ]);
    expect(says('name', name([]))[0]).toMatch(/^wrong: home.example does not resolve: .*getent/);
    expect(says('name', name(['127.0.1.1']))[0]).toMatch(/^wrong: .*this host itself/);
    expect(says('name', name(['203.0.113.1', '127.0.1.1']))[0]).toMatch(/^warning/);
  });
});

describe('the way', () => {
  test('is there, or not, or leads astray', () => {
    expect(says('route', facts(CLIENT, { ways: [WAY] }))).toEqual([
      'ok: to 203.0.113.1 by eth0, from 192.168.0.2',
    ]);
    const none: WayFacts = { ...WAY, way: { why: { kind: 'missing', device: undefined } } };
    expect(says('route', facts(CLIENT, { ways: [none] }))[0]).toMatch(
      /^wrong: no route .*\[ip route add default via GATEWAY\]$/,
    );
    const other = { ...none, remote: ip('2001:db8::1') };
    expect(says('route', facts(CLIENT, { ways: [WAY, other] }))[1]).toMatch(/^ok: no route/);
    const loop: WayFacts = { ...WAY, way: { why: { kind: 'loop', device: 'ipipou0' } } };
    expect(says('route', facts(CLIENT, { ways: [loop] }))[0]).toMatch(
      /^wrong: .*\[ip route add 203.0.113.1\/32 via GATEWAY\]$/,
    );
    expect(says('route', facts(CLIENT, { ways: [{ ...WAY, own: true }] }))[0]).toMatch(/^wrong/);
  });

  test('the device of the config', () => {
    const device = { name: 'eth0', exists: true, up: true, addresses: [ip('203.0.113.1')] };
    const found = (change: object) =>
      says('device', facts(SERVER, { device: { ...device, ...change } }))[0];
    expect(found({})).toBe('ok: eth0 is up, with 203.0.113.1');
    expect(found({ exists: false })).toMatch(/^wrong: .*no device eth0/);
    expect(found({ up: false })).toMatch(/\[ip link set eth0 up\]$/);
    expect(found({ addresses: [] })).toMatch(/^wrong: .*no address/);
  });

  test('reverse path filtering, where the way back is another', () => {
    const strict = new Map([['net/ipv4/conf/eth0/rp_filter', '1']]);
    const bound = CLIENT.replace('client', 'client\nfou-dev eth0');
    const astray = { ways: [{ ...WAY, unbound: 'wlan0' }], settings: strict };
    expect(says('rp_filter', facts(bound, astray))[0]).toMatch(
      /^wrong: .*\[sysctl -w net.ipv4.conf.eth0.rp_filter=2\]$/,
    );
    const loose = new Map([...strict, ['net/ipv4/conf/all/rp_filter', '2'] as const]);
    expect(says('rp_filter', facts(bound, { ...astray, settings: loose }))[0]).toMatch(/^ok/);
    expect(says('rp_filter', facts(bound, { ways: [{ ...WAY, unbound: 'eth0' }] }))).toEqual([]);
  });
});

test('the port is free, ours, or somebody else has it', () => {
  const holder = (pid: number, unit?: string) => ({
    holders: [{ ip: ip('0.0.0.0'), process: { pid, name: 'openvpn', unit } }],
  });
  expect(says('port', facts(SERVER))).toEqual(['ok: nobody has UDP port 10000']);
  expect(says('port', facts(SERVER, { ...holder(7), daemon: DAEMON }))[0]).toMatch(/^ok/);
  expect(says('port', facts(SERVER, holder(8)))[0]).toMatch(
    /^wrong: .*openvpn \(process 8\).*\[kill 8 /,
  );
  expect(says('port', facts(SERVER, { ...holder(8, 'vpn.service'), daemon: DAEMON }))[0]).toMatch(
    /\[systemctl disable --now vpn.service /,
  );
  const kernel = { holders: [{ ip: ip('::'), process: undefined }] };
  expect(says('port', facts(SERVER, kernel))[0]).toMatch(/^wrong: .*the kernel/);
  const fou = { ...DAEMON, plane: 'fou' };
  expect(says('port', facts(SERVER, { ...kernel, daemon: fou }))[0]).toMatch(/^ok/);
});

describe('firewalls', () => {
  const device = { name: 'eth0', exists: true, up: true, addresses: [ip('203.0.113.1')] };
  const save = (...lines: readonly string[]) =>
    readIptablesSave(['*filter', ...lines, 'COMMIT'].join('\n'), 'iptables-nft', 'ip');
  const wrongs = (check: CheckName, looked: TunnelFacts) =>
    says(check, looked).filter((line) => !line.startsWith('ok'));
  const server = (chains: TunnelFacts['firewall']['chains'], text = SERVER) =>
    facts(text, { device, firewall: { chains, unread: [] } });

  test('the rule, and the command by the tool that has it', () => {
    expect(wrongs('firewall', server([]))).toEqual([]);
    const dropping = [':INPUT ACCEPT [0:0]', '-A INPUT -p udp -j DROP'] as const;
    expect(wrongs('firewall', server(save(...dropping)))).toEqual([
      expect.stringMatching(
        /^wrong: iptables-nft filter INPUT drops IPv4 .* by the rule: -A INPUT -p udp -j DROP \[iptables-nft -I INPUT -p udp --dport 10000 -j ACCEPT /,
      ),
    ]);
    expect(wrongs('firewall', server(save(...dropping, ':ufw-user-input - [0:0]')))[0]).toMatch(
      /\[ufw allow 10000\/udp\]$/,
    );
    const nft = (table: string) =>
      readNftRuleset(
        [
          {
            kind: 'chain',
            fields: { family: 'inet', table, name: 'in', hook: 'input', prio: 0, policy: 'drop' },
          },
        ],
        { rules: new Map(), devices: new Map() },
      );
    expect(wrongs('firewall', server(nft('f')))[0]).toMatch(
      /^wrong: table inet f, chain in drops .* by its policy \[nft insert rule inet f in udp dport 10000 accept /,
    );
    expect(wrongs('firewall', server(nft('firewalld')))[0]).toMatch(
      /\[firewall-cmd --permanent --add-port=10000\/udp && firewall-cmd --reload\]$/,
    );
    expect(wrongs('firewall', server(nft('ipipou-expose-x')))).toEqual([]);
    const unread = facts(SERVER, { firewall: { chains: [], unread: ['no right'] } });
    expect(wrongs('firewall', unread)).toEqual(['unknown: no right']);
  });

  test('answers to a client are of a connection that it has begun', () => {
    const stateful = save(
      ':INPUT DROP [0:0]',
      '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      ':OUTPUT ACCEPT [0:0]',
    );
    const client = (chains: TunnelFacts['firewall']['chains']) =>
      facts(CLIENT, { ways: [WAY], firewall: { chains, unread: [] } });
    expect(wrongs('firewall', client(stateful))).toEqual([]);
    expect(wrongs('firewall', client(save(':OUTPUT DROP [0:0]')))[0]).toMatch(
      /\[iptables-nft -I OUTPUT -d 203.0.113.1 -p udp --sport 10000 -j ACCEPT /,
    );
  });

  test('exposed services go through forward chains, and where Docker is, its own', () => {
    const text = `${SERVER}expose tcp/443\n`;
    const dropped = wrongs('expose', server(save(':FORWARD DROP [0:0]'), text));
    expect(dropped).toEqual([
      expect.stringMatching(
        /visitors of tcp\/443 .*\[iptables-nft -I FORWARD -o ipipou0 -d 172.28.0.1 -p tcp --dport 443 /,
      ),
      expect.stringMatching(
        /answers of tcp\/443 .*\[iptables-nft -I FORWARD -i ipipou0 -m conntrack /,
      ),
    ]);
    const ranges = `${SERVER}expose udp/27015-27030\n`;
    expect(wrongs('expose', server(save(':FORWARD DROP [0:0]'), ranges))[0]).toMatch(
      / -p udp --dport 27015:27030 /,
    );
    const every = wrongs('expose', server(save(':FORWARD DROP [0:0]'), `${SERVER}expose all\n`));
    expect(every).toHaveLength(3);
    expect(every[0]).toMatch(/ -d 172.28.0.1 -p tcp -j ACCEPT/);
    const docker = save(':FORWARD DROP [0:0]', ':DOCKER-USER - [0:0]', '-A FORWARD -j DOCKER-USER');
    expect(wrongs('expose', server(docker, text))[0]).toMatch(/\[iptables-nft -I DOCKER-USER -o /);
    const mended = save(
      ...[':FORWARD DROP [0:0]', ':DOCKER-USER - [0:0]', '-A FORWARD -j DOCKER-USER'],
      '-A DOCKER-USER -o ipipou0 -d 172.28.0.1 -p tcp --dport 443 -j ACCEPT',
      '-A DOCKER-USER -i ipipou0 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT',
    );
    expect(wrongs('expose', server(mended, text))).toEqual([]);
  });

  test.each(['Docker 27', 'Docker 28'] as const)(
    'what peers send to elsewhere, where the rules of %s are',
    (docker) => {
      const text = `${SERVER}masquerade\n`;
      const there = { network: '172.17.0.0/16', box: '172.17.0.2' };
      const rules = (more = ''): TunnelFacts['firewall']['chains'] => {
        const saved = dockerText(docker, there);
        const changed = saved.replace('-A FORWARD -j DOCKER-USER\n', (line) => line + more);
        return readIptablesSave(changed, 'iptables-nft', 'ip');
      };
      expect(wrongs('firewall', server([], text))).toEqual([]);
      expect(wrongs('firewall', server(rules(), text))).toEqual([
        expect.stringMatching(
          /FORWARD drops what peers send to elsewhere in IPv4 .*policy \[iptables-nft -I DOCKER-USER -i ipipou0 -j ACCEPT /,
        ),
        expect.stringMatching(
          /FORWARD drops what comes back .*\[iptables-nft -I DOCKER-USER -o ipipou0 -m conntrack --ctstate ESTABLISHED,RELATED -j /,
        ),
      ]);
      const mended = rules(
        '-A DOCKER-USER -i ipipou0 -j ACCEPT\n-A DOCKER-USER -o ipipou0 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n',
      );
      expect(wrongs('firewall', server(mended, text))).toEqual([]);
    },
  );

  test('forwarding, which a start switches on', () => {
    const text = `${SERVER}expose tcp/443\n`;
    const off = new Map([['net/ipv4/ip_forward', '0']]);
    expect(wrongs('expose', facts(text, { settings: off }))).toEqual([]);
    expect(wrongs('expose', facts(text, { settings: off, daemon: DAEMON }))[0]).toMatch(
      /^wrong: .*\[sysctl -w net.ipv4.ip_forward=1\]$/,
    );
  });
});

describe('the clock', () => {
  test('as NTP has it', () => {
    expect(says('clock', facts(SERVER))).toEqual(['ok: kept right by NTP']);
    expect(says('clock', facts(SERVER, { clockKept: undefined }))[0]).toMatch(/^unknown/);
    expect(says('clock', facts(SERVER, { clockKept: false }))[0]).toMatch(
      /^warning: .*300 s off.*\[timedatectl set-ntp true/,
    );
    const any = `${SERVER}auth-max-time-discrepancy 0\n`;
    expect(says('clock', facts(any, { clockKept: false }))[0]).toMatch(/^ok/);
    expect(says('clock', facts('server\nauth-token a\n', { clockKept: false }))).toEqual([]);
  });

  test('as the server says, signed', () => {
    const notice = { reason: 'clock', seconds: -400 } as const;
    const troubles = [{ kind: 'server-refuses', notice, words: '' }] as const;
    expect(says('clock', facts(CLIENT, { daemon: { ...DAEMON, troubles } }))[0]).toMatch(
      /^wrong: the clock here is 400 s behind the server's/,
    );
  });
});

describe('keys', () => {
  const own = new Map([[DEFAULT, OTHER_KEY]]);
  const end = (change: Partial<OtherEnd['peers'][number]> = {}): OtherEnd => ({
    path: '/etc/ipipou/server.conf',
    role: 'server',
    innerIps: resolveRun(SERVER).config.inner.ips,
    peers: [
      {
        ...{ id: DEFAULT, innerIps: resolveRun(CLIENT).config.inner.ips, own: undefined },
        ...{ other: OTHER_KEY, secret: new TextEncoder().encode('long-enough-words'), ...change },
      },
    ],
  });
  const client = (ends: readonly OtherEnd[]) => facts(CLIENT, { keys: { own, ends } });

  test('match those of the other end, where it is here', () => {
    expect(says('keys', client([]))[0]).toMatch(/^unknown: the public key of this end is eQYN/);
    expect(says('keys', client([end()]))).toEqual([
      'ok: keys and secret match those of /etc/ipipou/server.conf',
    ]);
    expect(says('keys', client([end({ other: key(`${'A'.repeat(43)}=`) })]))[0]).toMatch(
      /^wrong: .*\[auth-remote-pubkey-b64 eQYN\S+ +# in \/etc/,
    );
    expect(says('keys', client([end({ secret: new Uint8Array(3) })]))[0]).toMatch(
      /^wrong: auth-secret/,
    );
    expect(says('keys', client([{ ...end(), role: 'client' }]))[0]).toMatch(/^unknown/);
  });

  test('the own key in the place of the other', () => {
    const mixed = `${SERVER}auth-key-b64 ${PRIVATE_KEY}\n`;
    const keys = { own: new Map([[DEFAULT, key(PUBLIC_KEY)]]), ends: [] };
    expect(says('keys', facts(mixed, { keys }))[0]).toMatch(/^wrong: .*own auth-key-b64/);
  });
});

describe('NAT', () => {
  const path = (remote: string, number: number) => ({
    local: { ip: ip('203.0.113.1'), port: port(10000) },
    remote: { ip: ip(remote), port: port(number) },
  });
  const peer = (remote: string, number: number) => ({
    ...{ id: DEFAULT, phase: 'established', path: path(remote, number), mtu: 1472 },
    ...{ authenticatedAt: millis(1), lastHeardAt: millis(1) },
  });

  test('of a client: what its own address and keepalive say', () => {
    expect(says('nat', facts(CLIENT, { ways: [WAY] }))[0]).toMatch(/^ok: .*private/);
    const slow = facts(`${CLIENT}keepalive 60\n`, { ways: [WAY] });
    expect(says('nat', slow)[0]).toMatch(/^warning: .*not known; keepalive is 60 s/);
    const never = facts(`${CLIENT}keepalive 0\n`, { ways: [WAY] });
    expect(says('nat', never)[0]).toMatch(/^warning: .*keepalive 0/);
    const way = { ...WAY, way: { ...WAY.way, source: ip('198.51.100.9') } } as WayFacts;
    expect(says('nat', facts(CLIENT, { ways: [way] }))[0]).toMatch(/^ok: .*public/);
    expect(says('nat', facts(CLIENT))[0]).toMatch(/^unknown/);
  });

  test('of a client that the server tells where it sees it: address, port, and how long the NAT keeps them', () => {
    const natSays = (
      observed: { readonly ip: string; readonly port: number },
      lost = 0,
      keepalive = 25,
    ) => {
      const since = millis(Date.parse('2026-01-02T03:04:05Z'));
      const session = {
        observed: { ip: ip(observed.ip), port: port(observed.port) },
        mapping: { since, lost, lostAt: lost > 0 ? since : undefined },
      };
      const peers = [{ ...peer('198.51.100.2', 10000), session }];
      const text = `${CLIENT}keepalive ${keepalive}\n`;
      return says('nat', facts(text, { daemon: { ...DAEMON, peers } }));
    };
    expect(natSays({ ip: '203.0.113.1', port: 10000 })).toEqual([
      expect.stringMatching(/^ok: .*no NAT is on the way/),
    ]);
    expect(natSays({ ip: '192.0.2.7', port: 10000 })).toEqual([
      expect.stringMatching(/^ok: .*sees this side at 192.0.2.7:10000; .*kept the port/),
      expect.stringMatching(/^ok: .*kept that mapping since 2026-01-02T03:04:05Z.*lasts 25 s/),
    ]);
    expect(natSays({ ip: '192.0.2.7', port: 4321 })[0]).toMatch(
      /^ok: .*leave from 203.0.113.1:10000: a NAT has changed the port/,
    );
    expect(natSays({ ip: '192.0.2.7', port: 4321 }, 3)[1]).toMatch(
      /^warning: .*dropped or changed.*3 times.*\[keepalive 12/,
    );
    expect(natSays({ ip: '192.0.2.7', port: 4321 }, 0, 0)[1]).toMatch(
      /^warning: .*in silence it will go/,
    );
  });

  test('of a server: where it sees peers', () => {
    const seen = (number: number, text = SERVER) =>
      says('nat', facts(text, { daemon: { ...DAEMON, peers: [peer('198.51.100.2', number)] } }));
    expect(seen(10000)).toEqual([expect.stringMatching(/^ok: .*198.51.100.2:10000: no NAT/)]);
    expect(seen(40001)).toEqual([expect.stringMatching(/^ok: .*a NAT has changed the port/)]);
    const device = { name: 'eth0', exists: true, up: true, addresses: [ip('192.168.1.5')] };
    expect(says('nat', facts(SERVER, { device }))[0]).toMatch(
      /^unknown: .*forwards UDP port 10000/,
    );
  });
});

test('the MTU of the config against the route, and what was learnt of the path', () => {
  expect(says('mtu', facts(CLIENT, { ways: [WAY] }))[0]).toMatch(/^ok: .*1500 bytes, 1472 of/);
  const set = facts(`${CLIENT}mtu 1472\n`, { ways: [WAY] });
  expect(says('mtu', set)[0]).toMatch(/^ok/);
  const fragments = facts(`${CLIENT}mtu 1500\nouter-fragments\n`, { ways: [WAY] });
  expect(says('mtu', fragments)[0]).toMatch(/^warning: .*go in fragments.*\[ping -M dont -s 3000 /);
  const learnt = { ...WAY, way: { ...WAY.way, learnt: 1400 } } as WayFacts;
  expect(says('mtu', facts(`${CLIENT}mtu 1472\n`, { ways: [learnt] }))[0]).toMatch(
    /^wrong: .*have said 1400.*\[mtu 1372 /,
  );
});

test('the data plane, by what it lacks', () => {
  const missing = [{ what: 'libbpf', detail: 'not here', fix: 'apt-get install libbpf1' }];
  const planes = [
    { name: 'bpf', missing },
    { name: 'tun', missing: [] },
  ];
  expect(says('plane', facts(SERVER, { planes }))).toEqual([
    'ok: tun has all that it needs (dataplane auto)',
  ]);
  expect(says('plane', facts(`${SERVER}dataplane bpf\n`, { planes }))).toEqual([
    'wrong: dataplane bpf lacks libbpf: not here [apt-get install libbpf1]',
  ]);
  const running = facts(SERVER, { planes, daemon: { ...DAEMON, plane: 'bpf' } });
  expect(says('plane', running)).toEqual(['ok: runs on bpf']);
});

test('IPv6 that is wanted and off', () => {
  const inside = SERVER.replace('tunl-ip 172.28.0.0', 'tunl-ip 172.28.0.0, fd00::1');
  const has = ['net/ipv6/conf/all/disable_ipv6', '0'] as const;
  const off = (name: string) => [`net/ipv6/conf/${name}/disable_ipv6`, '1'] as const;
  expect(says('ipv6', facts(inside, { settings: new Map([has]) }))).toEqual([]);
  expect(says('ipv6', facts(inside, { settings: new Map() }))[0]).toMatch(/^wrong/);
  expect(says('ipv6', facts(inside, { settings: new Map([has, off('ipipou0')]) }))[0]).toMatch(
    /\[sysctl -w net.ipv6.conf.ipipou0.disable_ipv6=0\]$/,
  );
  const outside = `${SERVER}fou-family ipv6\n`;
  expect(says('ipv6', facts(outside, { settings: new Map([has, off('eth0')]) }))[0]).toMatch(
    /^wrong: .*\[sysctl -w net.ipv6.conf.eth0.disable_ipv6=0\]$/,
  );
});
