/** The way to the other side: its name, the device, the route, and what sits on the port here. */
import { bitsOf, familyOf, type OuterIp } from '../addr.ts';
import { familyName } from '../config/families.ts';
import { troubleWords } from '../events/trouble-words.ts';
import { unusableBy } from '../session/usable-address.ts';
import type { DeviceFacts, NameFacts, PortHolder, TunnelFacts, WayFacts } from './facts.ts';
import { ok, unknown, warning, wrong, type Finding } from './finding.ts';

export function checkNames({ names }: TunnelFacts): readonly Finding[] {
  return names.map(checkName);
}

function checkName({ host, families }: NameFacts): Finding {
  const found = families.flatMap(({ addresses }) => addresses);
  const [first] = found;
  if (first === undefined) {
    const errors = families.map(({ error }) => error ?? 'no address').join('; ');
    return wrong(
      'name',
      `${host} does not resolve: ${errors}`,
      `getent ahosts ${host}   # asks again; name servers are in /etc/resolv.conf`,
    );
  }
  const useless = found.find((address) => unusableBy(address) !== undefined);
  if (useless !== undefined) {
    const why = unusableBy(useless) ?? 'own';
    const words = troubleWords({ kind: 'unusable-address', host, address: useless, why });
    return found.every((address) => unusableBy(address) !== undefined)
      ? wrong('name', words, `correct what ${host} has in DNS or in /etc/hosts`)
      : warning('name', words, `correct what ${host} has in DNS or in /etc/hosts`);
  }
  const lacking = families
    .filter(({ addresses }) => addresses.length === 0)
    .map(({ family }) => `, no ${familyName(family)} address`);
  return ok('name', `${host} is ${found.join(', ')}${lacking.join('')}`);
}

export function checkDevice({ config, device }: TunnelFacts): readonly Finding[] {
  if (device === undefined || config.outer.device === undefined) return [];
  return [deviceFinding(device)];
}

function deviceFinding({ name, exists, up, addresses }: DeviceFacts): Finding {
  if (!exists)
    return wrong(
      'device',
      `fou-dev: there is no device ${name}`,
      'ip -brief link   # those that are',
    );
  if (!up) return wrong('device', `fou-dev ${name} is down`, `ip link set ${name} up`);
  if (addresses.length === 0) {
    return wrong(
      'device',
      `fou-dev ${name} has no address`,
      `ip addr add ADDRESS/LENGTH dev ${name}   # or whatever configures networks here`,
    );
  }
  return ok('device', `${name} is up, with ${addresses.join(', ')}`);
}

/** A tunnel goes on with the family that works, so that all ways are there is not needed. */
export function checkRoutes({ ways }: TunnelFacts): readonly Finding[] {
  const some = ways.some(({ way }) => 'source' in way);
  return ways.map((one) => routeFinding(one, some));
}

function routeFinding({ remote, own, way }: WayFacts, some: boolean): Finding {
  if (own) {
    const words = `${remote} is an address of this host itself: no other side can be there`;
    return wrong('route', words, 'correct fou-remote');
  }
  if ('source' in way) {
    return ok('route', `to ${remote} by ${way.device}, from ${way.source}`);
  }
  const words = troubleWords({ kind: 'no-route', remote, why: way.why });
  if (way.why.kind === 'not-wanted') return ok('route', words);
  if (some) return ok('route', `${words} (there is a way to another address)`);
  return wrong('route', words, routeCommand(remote, way.why));
}

type Why = Extract<WayFacts['way'], { readonly why: unknown }>['why'];

function routeCommand(remote: OuterIp, why: Exclude<Why, { readonly kind: 'not-wanted' }>): string {
  const family = familyOf(remote);
  const ip = family === 'ipv4' ? 'ip' : 'ip -6';
  if (why.kind === 'no-address') return `ip addr add ADDRESS/LENGTH dev ${why.device}`;
  if (why.kind === 'kept-in') return 'correct fou-remote';
  if (why.kind === 'loop') return `${ip} route add ${remote}/${bitsOf(family)} via GATEWAY`;
  const by = why.device === undefined ? '' : ` dev ${why.device}`;
  return `${ip} route add default via GATEWAY${by}`;
}

export function checkPort({ config, daemon, holders }: TunnelFacts): readonly Finding[] {
  const port = config.outer.localPort;
  const running = daemon !== undefined && 'pid' in daemon ? daemon : undefined;
  const other = holders.find(
    ({ process, ip }) =>
      (process === undefined ? running?.plane !== 'fou' : process.pid !== running?.pid) &&
      !ip.startsWith('127.') &&
      ip !== '::1',
  );
  if (other !== undefined) return [taken(port, other)];
  if (running === undefined) return [ok('port', `nobody has UDP port ${port}`)];
  if (holders.length > 0) return [ok('port', `UDP port ${port} is the tunnel's`)];
  // The listener of `fou` is the kernel's own.
  return running.plane === 'fou'
    ? [ok('port', `UDP port ${port} is with the kernel's FOU listener`)]
    : [unknown('port', `who has UDP port ${port} cannot be seen (run as root)`)];
}

function taken(port: number, { ip, process }: PortHolder): Finding {
  if (process === undefined) {
    return wrong(
      'port',
      `UDP port ${port} at ${ip} is held by the kernel (another tunnel) or by a process that cannot be seen`,
      `ip fou show; ip -d link show type wireguard; ss -ulnp sport = :${port}   # or another fou-local-port`,
    );
  }
  const { pid, name, unit } = process;
  return wrong(
    'port',
    `UDP port ${port} at ${ip} is held by ${name} (process ${pid}${unit === undefined ? '' : ` of ${unit}`})`,
    unit === undefined
      ? `kill ${pid}   # or another fou-local-port`
      : `systemctl disable --now ${unit}   # or another fou-local-port`,
  );
}

/** Whether what comes by `fou-dev` is refused because the way back leads elsewhere. */
export function checkReversePath({ ways, settings, config }: TunnelFacts): readonly Finding[] {
  const device = config.outer.device;
  if (device === undefined) return [];
  const astray = ways.find(
    ({ remote, unbound }) =>
      familyOf(remote) === 'ipv4' && unbound !== undefined && unbound !== device,
  );
  if (astray === undefined) return [];
  const names = ['all', device].map((name) => `net/ipv4/conf/${name}/rp_filter`);
  // The kernel takes the larger of the two; 1 is strict (ip-sysctl).
  const strict = Math.max(...names.map((name) => Number(settings.get(name) ?? 0))) === 1;
  if (!strict) return [ok('rp_filter', `${device} takes packets whose way back is another`)];
  return [
    wrong(
      'rp_filter',
      `the kernel drops what ${astray.remote} sends by ${device}, since its own way there is by ${astray.unbound}`,
      `sysctl -w net.ipv4.conf.${device}.rp_filter=2`,
    ),
  ];
}
