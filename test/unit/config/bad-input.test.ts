import { expect, test } from 'vitest';
import { expectRefusal, is, type Said } from './refusals.ts';
import { PRIVATE_KEY, PUBLIC_KEY, configError } from './resolve-texts.ts';

const CLIENT = 'tunl-ip 10.9.0.1\nfou-remote 192.0.2.1:10000\n';

/** A server with more lines, of which the last is wrong. */
const server = (lines: string, said: Omit<Said, 'line'>): readonly [string, Said] => [
  `server\n${lines}\n`,
  { line: 1 + lines.split('\n').length, ...said },
];

/** A sound client with one more line, which is wrong. */
const client = (line: string, said: Omit<Said, 'line'>): readonly [string, Said] => [
  `${CLIENT}${line}\n`,
  { line: 3, ...said },
];

const UNICAST = 'a unicast IPv4 or IPv6 address, or one of each';
const ALTERNATIVE = 'a unicast IPv4 address in four decimal numbers';
const LINK_LOCAL = 'an address that is good beyond its link: not one of fe80::/10';
const REMOTE = 'an IPv4 address, an IPv6 one in brackets or a host name, :PORT';
const BRACKETS = 'an IPv6 address in brackets, as in [2001:db8::1]';
const DEVICE = 'a device name: 1 to 15 bytes';
const HOST = 'an IPv4 or IPv6 address or a host name';
const LOCAL = 'an IPv4 address or an IPv6 one in brackets, :PORT, @DEVICE';

const FILE_CASES: readonly (readonly [string, Said])[] = [
  // Numbers
  server('number -1', is('number', '-1', 'a whole number from 0 to 32767')),
  server('number +1', is('number', '+1', 'a whole number')),
  server('number  1', is('number', ' 1', 'a whole number')),
  server('number 1 ', is('number', '1 ', 'a whole number')),
  server('number 1.0', is('number', '1.0', 'a whole number')),
  server('number 0x1', is('number', '0x1', 'a whole number')),
  server('number 1e1', is('number', '1e1', 'a whole number')),
  server('number 01', is('number', '01', 'a whole number')),
  server('number 32768', is('number', '32768', 'a whole number from 0 to 32767')),
  server('number ٣', is('number', '٣', 'a whole number')),
  server('number', is('number', undefined, 'a whole number from 0 to 32767, after one space')),
  server('number ', is('number', undefined, 'a whole number from 0 to 32767, after one space')),
  server('queue-number 65536', is('queue-number', '65536', 'a whole number from 0 to 65535')),
  server('nfq-max-len 0', is('nfq-max-len', '0', 'a whole number from 1 to 65535')),
  server('auth-packet-ttl 256', is('auth-packet-ttl', '256', 'a whole number from 1 to 255')),
  server('auth-packet-ttl 0', is('auth-packet-ttl', '0', 'a whole number from 1 to 255')),
  server('mtu 575', is('mtu', '575', 'auto, or a whole number from 576 to 65507')),
  server('mtu Auto', is('mtu', 'Auto', 'auto, or a whole number')),
  server('mtu 65508', is('mtu', '65508', 'auto, or a whole number from 576 to 65507')),
  server('verb 4', is('verb', '4', 'a whole number from 0 to 3')),
  server('keepalive 27s', is('keepalive', '27s', 'a whole number of seconds from 0 to 86400')),
  server('auth-lifetime 1h', is('auth-lifetime', '1h', 'a whole number of seconds')),
  server('connection-idle 0', is('connection-idle', '0', 'seconds from 1 to 86400')),
  client('dead-peer-timeout 86401', is('dead-peer-timeout', '86401', 'seconds from 0 to 86400')),

  // Ports, addresses, names
  server('fou-local-port 0', is('fou-local-port', '0', 'a port from 1 to 65535')),
  server('fou-local-port 65536', is('fou-local-port', '65536', 'a port from 1 to 65535')),
  server('fou-remote-port http', is('fou-remote-port', 'http', 'a port from 1 to 65535')),
  server('fou-local-ip 10.0.0', is('fou-local-ip', '10.0.0', UNICAST)),
  server('fou-local-ip 10.0.0.01', is('fou-local-ip', '10.0.0.01', UNICAST)),
  server('fou-local-ip 0.0.0.0', is('fou-local-ip', '0.0.0.0', UNICAST)),
  server('tunl-ip 10.0.0.1/24', is('tunl-ip', '10.0.0.1/24', UNICAST)),
  server('tunl-ip 224.0.0.1', is('tunl-ip', '224.0.0.1', UNICAST)),
  server('tunl-peer-ip 256.1.1.1', is('tunl-peer-ip', '256.1.1.1', UNICAST)),
  server('tunl-ip ::', is('tunl-ip', '::', UNICAST)),
  server('tunl-ip ff02::1', is('tunl-ip', 'ff02::1', UNICAST)),
  server('tunl-ip fd28::1/64', is('tunl-ip', 'fd28::1/64', UNICAST)),
  server('tunl-ip fe80::1', is('tunl-ip', 'fe80::1', LINK_LOCAL)),
  server('tunl-ip 10.0.0.1,', is('tunl-ip', '10.0.0.1,', UNICAST)),
  server(
    'tunl-ip 10.0.0.1, 10.0.0.2',
    is('tunl-ip', '10.0.0.1, 10.0.0.2', '10.0.0.1 and 10.0.0.2 are of the same family'),
  ),
  server(
    'tunl-ip fd28::1, fd28::2',
    is('tunl-ip', 'fd28::1, fd28::2', 'fd28::1 and fd28::2 are of the same family'),
  ),
  server('tunl-ip 1.2.3.4, ::5, ::6', is('tunl-ip', '1.2.3.4, ::5, ::6', 'of the same family')),
  server(
    'tunl-peer-ip fd28::',
    is('tunl-peer-ip', 'fd28::', 'no IPv6 while `tunl-ip` has no IPv6'),
  ),
  server(
    'tunl-ip fd28::1\ntunl-peer-ip 10.0.0.1',
    is('tunl-peer-ip', '10.0.0.1', 'no IPv4 while `tunl-ip` has no IPv4 address (10.0.0.1 is one)'),
  ),
  server('allowed-ips fd28::/16', is('allowed-ips', 'fd28::/16', 'no IPv6 while `tunl-ip` has no')),
  server(
    'tunl-ip fd28::1\nallowed-ips fd28::1, fd29::/16',
    is('allowed-ips', 'fd28::1, fd29::/16', 'prefixes without fd28::1, which is `tunl-ip`'),
  ),
  server(
    'tunl-ip fd28::1\nallowed-ips fe80::/64',
    is('allowed-ips', 'fe80::/64', 'none of fe80::/10 or multicast'),
  ),
  server('tunl-ip fd28::1\nmtu 1279', is('mtu', '1279', '1280 or more: IPv6 inside needs it')),
  server('post-up', is('post-up', undefined, 'a command of 1 to 4096 characters')),
  server('post-up echo %p', is('post-up', 'echo %p', '%i (the device, of letters')),
  server('post-up date +%', is('post-up', 'date +%', 'or %% after a percent sign')),
  server('tunl-dev a;b\npost-up x %i', is('post-up', 'x %i', '%i (the device, of letters')),
  server('fou-family both', is('fou-family', 'both', 'auto, ipv4 or ipv6')),
  server(
    'fou-family ipv6\nfou-local-ip 192.0.2.1, 2001:db8::1',
    is('fou-local-ip', '192.0.2.1, 2001:db8::1', 'no other than IPv6: fou-family says so'),
  ),
  server(
    'fou-family ipv6\nfou-remote 192.0.2.1:1',
    is('fou-remote', '192.0.2.1:1', '192.0.2.1 is IPv4, and fou-family or fou-local-ip leave IPv6'),
  ),
  server(
    'fou-local 192.0.2.1\nfou-remote-ip 2001:db8::1',
    is('fou-remote-ip', '2001:db8::1', '2001:db8::1 is IPv6, and fou-family or fou-local-ip'),
  ),
  server('fou-local-ip fe80::1%e0', is('fou-local-ip', 'fe80::1%e0', LINK_LOCAL)),
  server('fou-local-ip [2001:db8::1]', is('fou-local-ip', '[2001:db8::1]', UNICAST)),
  server('fou-local 2001:db8::1', is('fou-local', '2001:db8::1', BRACKETS)),
  server(
    'fou-local 2001:db8::1:9@e0',
    is('fou-local', '2001:db8::1:9@e0', 'as in [2001:db8::1]:9 or [2001:db8::1:9]'),
  ),
  server('fou-local [2001:db8::1', is('fou-local', '[2001:db8::1', LOCAL)),
  server('fou-local [2001:db8::1]9', is('fou-local', '[2001:db8::1]9', LOCAL)),
  server('fou-local [2001:db8::1]:', is('fou-local', '[2001:db8::1]:', LOCAL)),
  server('fou-local [192.0.2.1]:9', is('fou-local', '[192.0.2.1]:9', LOCAL)),
  server('fou-local [fe80::1]:9@e0', is('fou-local', '[fe80::1]:9@e0', LINK_LOCAL)),
  server('fou-local-ip-alt fd28::1', is('fou-local-ip-alt', 'fd28::1', ALTERNATIVE)),
  server('fou-remote-ip fe80::1%e0', is('fou-remote-ip', 'fe80::1%e0', LINK_LOCAL)),
  server('fou-remote-ip ff02::1', is('fou-remote-ip', 'ff02::1', HOST)),
  server('fou-remote 2001:db8::1', is('fou-remote', '2001:db8::1', BRACKETS)),
  server(
    'fou-remote 2001:db8::1:10000',
    is('fou-remote', '2001:db8::1:10000', 'in brackets, as in [2001:db8::1]:10000'),
  ),
  server('fou-remote [2001:db8::1]:0', is('fou-remote', '[2001:db8::1]:0', REMOTE)),
  server('fou-remote [2001:db8::g]:1', is('fou-remote', '[2001:db8::g]:1', REMOTE)),
  server('fou-remote [host]:1', is('fou-remote', '[host]:1', REMOTE)),
  server('fou-remote host:0', is('fou-remote', 'host:0', REMOTE)),
  server('fou-remote host:', is('fou-remote', 'host:', REMOTE)),
  server('fou-remote ho_st-:1', is('fou-remote', 'ho_st-:1', REMOTE)),
  server('fou-remote-ip 999.1.1.1', is('fou-remote-ip', '999.1.1.1', HOST)),
  server('fou-remote-ip 255.255.255.255', is('fou-remote-ip', '255.255.255.255', HOST)),
  server('fou-remote-ip a..b', is('fou-remote-ip', 'a..b', HOST)),
  server(
    `fou-remote-ip ${'a'.repeat(64)}.b`,
    is('fou-remote-ip', `${'a'.repeat(64)}.b`, 'a host name'),
  ),
  server('fou-local 10.0.0.1:99999', is('fou-local', '10.0.0.1:99999', LOCAL)),
  server('fou-local 10.0.0.1@', is('fou-local', '10.0.0.1@', LOCAL)),
  server('fou-local eth0', is('fou-local', 'eth0', LOCAL)),
  server('fou-dev sixteen-bytes-16', is('fou-dev', 'sixteen-bytes-16', DEVICE)),
  server('tunl-dev a/b', is('tunl-dev', 'a/b', DEVICE)),
  server('tunl-dev a b', is('tunl-dev', 'a b', DEVICE)),
  server('tunl-dev .', is('tunl-dev', '.', DEVICE)),
  server('tunl-dev ..', is('tunl-dev', '..', DEVICE)),
  server('tunl-dev ipipou%d', is('tunl-dev', 'ipipou%d', DEVICE)),
  server('tunl-dev "x"', is('tunl-dev', '"x"', DEVICE)),
  server('tunl-dev ääääääää', is('tunl-dev', 'ääääääää', DEVICE)),
  server('nft-table 0day', is('nft-table', '0day', 'an nftables identifier')),
  server('nft-table a;b', is('nft-table', 'a;b', 'an nftables identifier')),
  server('dataplane ebpf', is('dataplane', 'ebpf', 'auto, fou, bpf or tun')),
  server('dataplane FOU', is('dataplane', 'FOU', 'auto, fou, bpf or tun')),

  // Secrets and keys
  server('auth-token', is('auth-token', undefined, '1 to 1472 bytes of UTF-8 text')),
  server(`auth-token ${'x'.repeat(1473)}`, is('auth-token', '(hidden)', '1 to 1472 bytes')),
  server('auth-token a\u{fffd}b', is('auth-token', '(hidden)', 'UTF-8 text')),
  server('auth-token-b64 YQ', is('auth-token-b64', '(hidden)', '1 to 1472 bytes in base64')),
  server('auth-token-b64 YR==', is('auth-token-b64', '(hidden)', 'bytes in base64')),
  server('auth-token-b64 _-==', is('auth-token-b64', '(hidden)', 'bytes in base64')),
  server('auth-key-b64 AAAA', is('auth-key-b64', '(hidden)', '32 bytes in base64')),
  server(
    `auth-remote-pubkey-b64 ${PUBLIC_KEY.slice(0, -1)}`,
    is('auth-remote-pubkey-b64', PUBLIC_KEY.slice(0, -1), '32 bytes in base64'),
  ),
  server(`auth-secret ${'x'.repeat(1025)}`, is('auth-secret', '(hidden)', '1 to 1024 bytes')),
  server('auth-key-type rsa', is('auth-key-type', 'rsa', 'ed25519, the only', 'notImplemented')),

  server(
    'auth-key-b64 AAAA',
    is('auth-key-b64', '(hidden)', '32 bytes in base64; these are 3 bytes'),
  ),
  server('auth-key-b64 x', is('auth-key-b64', '(hidden)', '32 bytes in base64; this is no base64')),
  [
    `server\nauth-key-b64 ${PUBLIC_KEY}\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\n`,
    { line: 3, ...is('auth-remote-pubkey-b64', PUBLIC_KEY, 'are the same: one is a private key') },
  ],
  [
    `server\nauth none\nauth-token t\n`,
    { line: 2, ...is('auth', 'none', 'auth none, and a proof of who the client is') },
  ],
  server('auth some', is('auth', 'some', 'none')),
  client('auth none', is('auth', 'none', 'auth is for a server; this is a client')),

  // Lines
  [
    'server\n[Interface]\nPrivateKey = x\n',
    { line: 2, ...is('[Interface]', undefined, 'this looks like a WireGuard file') },
  ],
  server('keepalvie 27', is('keepalvie', '(hidden)', 'did you mean `keepalive`?')),
  server('Server', is('Server', undefined, 'did you mean `server`?')),
  server('frobnicate 1', is('frobnicate', '(hidden)', 'ipipou help lists them')),
  server('auth-tokem s3cret', is('auth-tokem', '(hidden)', 'did you mean `auth-token`?')),
  server('auth-tokens3cret', is('auth-token(hidden)', undefined, 'ipipou help lists them')),
  server('auth-token=s3cret', is('auth-token', '(hidden)', 'one space, then the value')),
  server('auth-token\ts3cret', is('auth-token', '(hidden)', 'one space, then the value')),
  server('number=1', is('number', '=1', 'one space, then the value')),
  server('reply-on-auth-ok yes', is('reply-on-auth-ok', 'yes', 'no value')),
  server('é', is('(unreadable)', undefined, 'ipipou help lists them')),
  server('config other', is('config', 'other', 'config can be given on the command line only')),
  server('help', is('help', '(given)', 'on the command line only')),
  server('auth-keygen', is('auth-keygen', '(given)', 'on the command line only')),

  // The same thing twice
  ['server\nnumber 1\nnumber 2\n', { line: 3, ...is('number', '2', 'than the one of line 2') }],
  [
    'server\nclient\n',
    { line: 2, ...is('client', '(given)', 'only one of this and `server` of line 1') },
  ],
  [
    'server\nfou-dev a\nfou-local @b\n',
    { line: 3, ...is('fou-local', '@b', 'only one of this and `fou-dev` of line 2') },
  ],
  [
    'server\nfou-local :1@a\nfou-local-port 1\n',
    { line: 3, ...is('fou-local-port', '1', 'only one of this and `fou-local` of line 2') },
  ],
  [
    'server\nencap-csum\nno-encap-csum\n',
    { line: 3, ...is('no-encap-csum', '(given)', 'only one of this and `encap-csum` of line 2') },
  ],
  [
    'server\nauth-token a\nauth-token-b64 YQ==\n',
    { line: 3, ...is('auth-token-b64', '(hidden)', 'only one of this and `auth-token` of line 2') },
  ],
  [
    'server\nauth-token a\nauth-token b\n',
    { line: 3, ...is('auth-token', '(hidden)', 'no other value than the one of line 2') },
  ],

  // Roles
  server(
    'reauth-only',
    is('reauth-only', '(given)', 'reauth-only is for a client; this is a server'),
  ),
  server('dead-peer-timeout 5', is('dead-peer-timeout', '5', 'is for a client; this is a server')),
  client(
    'reply-on-auth-ok',
    is('reply-on-auth-ok', '(given)', 'is for a server; this is a client'),
  ),
  client('auth-lifetime 5', is('auth-lifetime', '5', 'is for a server; this is a client')),
  client('connection-idle 5', is('connection-idle', '5', 'is for a server; this is a client')),
  client(
    'auth-by-remote-ip',
    is('auth-by-remote-ip', '(given)', 'is for a server; this is a client'),
  ),
  client(
    'auth-by-remote-port',
    is('auth-by-remote-port', '(given)', 'is for a server; this is a client'),
  ),

  // What needs what
  [
    `server\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\nsession v2\n`,
    { line: undefined, ...is('auth-key-b64', undefined, 'session v2 proves both sides') },
  ],
  [
    `server\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\nintegrity full\n`,
    { line: undefined, ...is('auth-key-b64', undefined, 'integrity full proves both sides') },
  ],
  [
    'server\nsession v1\nintegrity full\n',
    { line: 3, ...is('integrity', 'full', 'integrity full needs session v2') },
  ],
  [
    'server\nauth-token t\nouter-fragments\n',
    { line: 3, ...is('outer-fragments', '(given)', '`mtu N` with it') },
  ],
  [
    'server\nauth-token t\nmtu 1500\nouter-fragments\ndataplane bpf\n',
    { line: 4, ...is('outer-fragments', '(given)', 'another plane than `dataplane bpf`') },
  ],
  [
    `server\nauth-key-b64 ${PRIVATE_KEY}\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\ndataplane fou\nintegrity header\n`,
    { line: 5, ...is('integrity', 'header', 'none with `dataplane fou`') },
  ],
  [
    `server\nauth-token a\nauth-remote-pubkey-b64 ${PUBLIC_KEY}\n`,
    {
      line: 2,
      ...is('auth-token', '(hidden)', 'not both (`auth-remote-pubkey-b64` is given too)'),
    },
  ],
  [
    `${CLIENT}auth-key-b64 ${PRIVATE_KEY}\nauth-token-b64 YQ==\n`,
    { line: 4, ...is('auth-token-b64', '(hidden)', 'not both (`auth-key-b64` is given too)') },
  ],
  [
    `server\nauth-key-b64 ${PRIVATE_KEY}\n`,
    { line: undefined, ...is('auth-remote-pubkey-b64', undefined, 'could admit nobody') },
  ],
  [
    `${CLIENT}auth-remote-pubkey-b64 ${PUBLIC_KEY}\n`,
    { line: undefined, ...is('auth-key-b64', undefined, 'could not authenticate') },
  ],
  [
    'server\nauth-by-remote-ip\nfou-remote :5\n',
    { line: undefined, ...is('fou-remote-ip', undefined, 'what `auth-by-remote-ip` is to accept') },
  ],
  [
    'server\nauth-by-remote-port\nfou-remote 192.0.2.1\n',
    { line: undefined, ...is('fou-remote-port', undefined, 'what `auth-by-remote-port` is to') },
  ],
  [
    'tunl-ip 10.9.0.1\nfou-remote :10000\n',
    { line: undefined, ...is('fou-remote-ip', undefined, 'a host name: the server') },
  ],
  [
    'tunl-ip 10.9.0.1\nfou-remote-ip server.example\n',
    {
      line: undefined,
      ...is('fou-remote-port', undefined, "a port from 1 to 65535: the server's"),
    },
  ],
  [
    'fou-remote server.example:10000\n',
    { line: undefined, ...is('tunl-ip', undefined, 'the server calls tunl-peer-ip') },
  ],
  [
    'fou-remote h:1\ntunl-ip 1.0.0.0\n',
    { line: 2, ...is('tunl-ip', '1.0.0.0', '`tunl-peer-ip` with it') },
  ],
  server('tunl-peer-ip 172.28.0.0', is('tunl-peer-ip', '172.28.0.0', 'another address than')),
  server(
    'fou-remote 172.28.0.1',
    is('fou-remote', '172.28.0.1', "another address than the tunnel's"),
  ),
  [
    'server\nfou-dev e\ntunl-dev e\n',
    { line: 3, ...is('tunl-dev', 'e', 'another device than `fou-dev`') },
  ],
  [
    'server\nfou-local 10.0.0.1\nfou-local-ip-alt 10.0.0.1\n',
    { line: 3, ...is('fou-local-ip-alt', '10.0.0.1', 'another address than `fou-local-ip`') },
  ],
];

test.each(FILE_CASES.map(([text, said]) => ({ text, said })))(
  'a file is refused: $text',
  ({ text, said }) => expectRefusal(text, said),
);

/** Command lines of a sound server with something wrong at the end. */
const ARGUMENT_CASES: readonly (readonly [readonly string[], Omit<Said, 'line'>])[] = [
  [['--number'], is('number', undefined, 'a whole number from 0 to 32767')],
  [['--number='], is('number', undefined, 'a whole number from 0 to 32767')],
  [['--number', '-1'], is('number', '-1', 'a whole number from 0 to 32767')],
  [['-n', 'x'], is('number', 'x', 'a whole number from 0 to 32767')],
  [['-nx'], is('number', 'x', 'a whole number from 0 to 32767')],
  [['-n'], is('number', undefined, 'a whole number from 0 to 32767')],
  [['--server=yes'], is('server', 'yes', 'no value')],
  [['--keep-alive'], is('keep-alive', undefined, 'did you mean `--keepalive`?')],
  [['--keepaliv=5'], is('keepaliv', '(hidden)', 'did you mean `--keepalive`?')],
  [['--auth-tokn=s3cret'], is('auth-tokn', '(hidden)', 'did you mean `--auth-token`?')],
  [['-x'], is('-x', undefined, 'ipipou help lists them')],
  [['-x7'], is('-x', '(hidden)', 'ipipou help lists them')],
  [['-keepalive=5'], is('-k', '(hidden)', 'did you mean `--keepalive`?')],
  [['--v'], is('v', undefined, 'did you mean `-v`')],
  [['verb'], is('argument', 'verb', '`--verb`, with its hyphens')],
  [['s3cret'], is('argument', '(hidden)', 'an option, which begins with a hyphen')],
  [['--'], is('argument', '--', 'an option')],
  [['-'], is('argument', '-', 'an option')],
  [[''], is('argument', '(hidden)', 'an option')],
  [['--config', '/'], is('config', '/', 'a name, or a path')],
  [['--config', 'a/..'], is('config', 'a/..', 'a name, or a path')],
  [['--config='], is('config', undefined, 'a name, or a path')],
  [
    ['--auth-token', '--no-log-pid'],
    is('auth-token', undefined, 'one that looks like an option goes behind --auth-token='),
  ],
  [['--number', '1', '--number', '2'], is('number', '2', 'no other value than the one before it')],
  [['--client'], is('client', '(given)', 'only one of this and `server`')],
  [['--tunl-ip', '::'], is('tunl-ip', '::', UNICAST)],
];

test.each(ARGUMENT_CASES.map(([argv, said]) => ({ argv, said })))(
  'a command line is refused: $argv',
  ({ argv, said }) => {
    const error = configError({}, ['-s', '--auth=none', ...argv]);
    expect(error.problems).toHaveLength(1);
    expect(error.problems[0]).toMatchObject({
      source: 'command line',
      line: undefined,
      key: said.key,
      value: said.value,
      expected: expect.stringContaining(said.expected) as string,
    });
    expect(error.exit).toBe(said.exit ?? 'arguments');
  },
);

test('every problem is reported, not only the first', () => {
  const error = configError(
    'number x\nfrob 1\nfou-dev\nauth-lifetime 1\ntunl-ip fe80::1\nclient\n',
    '-x',
  );
  expect(error.message.split('\n')).toEqual([
    't.conf:1: number: "x": expected a whole number from 0 to 32767',
    't.conf:2: unknown option frob: ipipou help lists them',
    't.conf:3: fou-dev: no value: expected a device name: 1 to 15 bytes, not . or .., no spaces, ' +
      'none of / : % * " \\, after one space',
    't.conf:4: auth-lifetime is for a server; this is a client',
    't.conf:5: tunl-ip: "fe80::1": expected an address that is good beyond its link: not one of fe80::/10',
    't.conf: fou-remote-ip: no value: expected an address or a host name: the server',
    "t.conf: fou-remote-port: no value: expected a port from 1 to 65535: the server's",
    'unknown option -x: ipipou help lists them',
  ]);
});

test('the exit is that of missing support only if nothing else is wrong', () => {
  const unsupported = 'server\nauth-key-type rsa\n';
  expect(configError(unsupported).exit).toBe('notImplemented');
  expect(configError(`${unsupported}number x\n`).exit).toBe('arguments');
  expect(configError('auth-key-type rsa\n').exit).toBe('arguments');
});

test('a role that is given wrong is all that is said about roles', () => {
  const error = configError('server yes\nauth-lifetime 5\n');
  expect(error.problems.map(({ key }) => key)).toEqual(['server']);
});

test('what is missing is looked for in the last file, or on the command line', () => {
  const sources = (error: ReturnType<typeof configError>) => error.problems.map((p) => p.source);
  expect(sources(configError({ a: 'fou-remote h:1\n', b: 'v\n' }))).toEqual(['b']);
  expect(sources(configError({}))).toEqual(['command line', 'command line', 'command line']);
});
