/** What this host must have and allow besides: a data plane, IPv6. */
import type { Family } from '../addr.ts';
import { carries, outerFamilies } from '../config/families.ts';
import type { TunnelFacts } from './facts.ts';
import { ok, warning, wrong, type Finding } from './finding.ts';
import { answering } from './session.ts';

export function checkPlane(facts: TunnelFacts): readonly Finding[] {
  const { config, planes } = facts;
  const wanted = config.dataplane;
  const running = answering(facts)?.plane;
  const asked = wanted === 'auto' ? planes : planes.filter(({ name }) => name === wanted);
  const works = asked.find(({ missing }) => missing.length === 0);
  if (running !== undefined && (works === undefined || works.name !== running)) {
    return [ok('plane', `runs on ${running}`)];
  }
  if (works !== undefined) {
    return [ok('plane', `${works.name} has all that it needs (dataplane ${wanted})`)];
  }
  return asked.flatMap(({ name, missing }) =>
    missing.map(({ what, detail, fix }) =>
      wrong('plane', `dataplane ${name} lacks ${what}: ${detail}`, fix),
    ),
  );
}

export function checkIpv6({ config, settings, device }: TunnelFacts): readonly Finding[] {
  const has = settings.has('net/ipv6/conf/all/disable_ipv6');
  const off = (name: string): boolean => settings.get(`net/ipv6/conf/${name}/disable_ipv6`) === '1';
  const found: Finding[] = [];
  const wants = (family: Family): boolean => outerFamilies(config.outer).includes(family);
  if (carries(config.inner, 'ipv6')) {
    const words = 'the tunnel carries IPv6 (tunl-ip)';
    if (!has) {
      const boot =
        "take ipv6.disable=1 off the kernel's command line, or leave IPv6 out of tunl-ip";
      found.push(wrong('ipv6', `${words}, which this kernel does not have`, boot));
    } else if (off('default') || off(config.inner.device)) {
      const which = off(config.inner.device) ? config.inner.device : 'default';
      const fix = `sysctl -w net.ipv6.conf.${which}.disable_ipv6=0`;
      found.push(warning('ipv6', `${words}; disable_ipv6 is 1 of ${which}`, fix));
    }
  }
  const outer = config.outer.device ?? device?.name;
  if (has && wants('ipv6') && outer !== undefined && (off('all') || off(outer))) {
    const which = off(outer) ? outer : 'all';
    const fix = `sysctl -w net.ipv6.conf.${which}.disable_ipv6=0`;
    const words = `the tunnel may run over IPv6, which is off (disable_ipv6 of ${which})`;
    // Of both families the other one is enough.
    found.push(wants('ipv4') ? ok('ipv6', `${words}; IPv4 is enough`) : wrong('ipv6', words, fix));
  }
  return found;
}
