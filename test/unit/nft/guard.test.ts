import { describe, expect, it } from 'vitest';
import { ipv4FromNumber, type Path } from '../../../src/core/addr.ts';
import {
  admitPeer,
  installGuard,
  objectNames,
  refuseBareIpip,
  removeGuard,
  type GuardSpec,
} from '../../../src/core/nft/guard.ts';
import { port } from '../../../src/core/units.ts';

const spec: GuardSpec = {
  table: 'ipipou',
  port: port(10000),
  device: undefined,
  queue: 7,
  strangers: true,
  authLengths: [73],
  counters: true,
};

const path: Path = {
  local: { ip: ipv4FromNumber(0xcb007101), port: port(10000) },
  remote: { ip: ipv4FromNumber(0xcb007102), port: port(40001) },
};

function rulesOf(script: string, chain: string): string[] {
  const start = `add rule ip ${spec.table} ${chain} `;
  return script
    .split('\n')
    .filter((line) => line.startsWith(start))
    .map((line) => line.slice(start.length));
}

const names = objectNames(spec.port);

describe('installGuard', () => {
  it('ends the chain of the port by dropping', () => {
    for (const variant of [spec, { ...spec, strangers: false }, { ...spec, counters: false }]) {
      expect(rulesOf(installGuard(variant, undefined), names.guard).at(-1)).toMatch(/drop$/);
    }
  });

  it('accepts nothing but data of an admitted path', () => {
    const accepting = rulesOf(installGuard(spec, undefined), names.guard).filter((rule) =>
      rule.endsWith('accept'),
    );
    expect(accepting).toEqual([
      'ip saddr . udp sport . ip daddr @p10000_admitted @th,64,4 4 udp length != { 81 } counter accept',
      'ip saddr . udp sport . ip daddr @p10000_admitted @th,64,4 4 udp length 81 @th,80,16 73 counter accept',
    ]);
  });

  it('never lets the queue be bypassed', () => {
    expect(installGuard(spec, undefined)).not.toContain('bypass');
  });

  it('queues strangers only behind both limits, and only where strangers are expected', () => {
    const rules = rulesOf(installGuard(spec, undefined), names.guard);
    const queueing = rules.filter((rule) => rule.endsWith('queue num 7'));
    expect(queueing).toEqual([
      'ip saddr . udp sport . ip daddr @p10000_admitted limit rate 50/second burst 50 packets queue num 7',
      '@th,64,4 4 udp length != { 81 } limit rate 10/second burst 8 packets queue num 7',
      'limit rate 200/second burst 100 packets queue num 7',
    ]);
    expect(rules.indexOf(queueing[2] ?? '')).toBeGreaterThan(
      rules.findIndex((rule) => rule.startsWith('update @p10000_sources')),
    );
    const client = rulesOf(installGuard({ ...spec, strangers: false }, undefined), names.guard);
    expect(client.filter((rule) => rule.includes('queue num'))).toHaveLength(1);
  });

  it('drops what is too short to prove anything before it is counted against its source', () => {
    const rules = rulesOf(installGuard(spec, undefined), names.guard);
    expect(rules.findIndex((rule) => rule.startsWith('udp length < 81'))).toBeLessThan(
      rules.findIndex((rule) => rule.startsWith('update')),
    );
  });

  it('spends nothing of a source on data that comes before its authentication', () => {
    const rules = rulesOf(installGuard(spec, undefined), names.guard);
    const data = '@th,64,4 4 udp length != { 81 } counter name p10000_refused drop';
    expect(rules).toContain(data);
    expect(rules.indexOf(data)).toBeLessThan(
      rules.findIndex((rule) => rule.startsWith('update @p10000_sources')),
    );
  });

  it('takes an empty authentication packet for what it is', () => {
    const rules = rulesOf(installGuard({ ...spec, authLengths: [0] }, undefined), names.guard);
    expect(rules.some((rule) => rule.startsWith('udp length <'))).toBe(false);
    expect(rules).toContain(
      'ip saddr . udp sport . ip daddr @p10000_admitted @th,64,4 4 udp length != { 8 } counter accept',
    );
  });

  it('drops bare IPIP between the outer addresses of the tunnel', () => {
    expect(rulesOf(installGuard(spec, undefined), names.input)[0]).toBe(
      'ip protocol 4 ip saddr . ip daddr @p10000_pairs counter name p10000_refused drop',
    );
  });

  it('refuses other devices than the configured one', () => {
    const rules = rulesOf(installGuard({ ...spec, device: 'eth0' }, undefined), names.guard);
    expect(rules[0]).toBe('iifname != "eth0" counter name p10000_refused drop');
  });

  it('has no counters when they are switched off', () => {
    expect(installGuard({ ...spec, counters: false }, { path, alt: undefined })).not.toContain(
      'counter',
    );
  });
});

describe('admitPeer', () => {
  it('empties the sets before it fills them', () => {
    expect(admitPeer(spec, { path, alt: undefined }).split('\n')).toEqual([
      'flush set ip ipipou p10000_admitted',
      'flush set ip ipipou p10000_pairs',
      'flush chain ip ipipou p10000_prerouting',
      'flush chain ip ipipou p10000_postrouting',
      'add element ip ipipou p10000_admitted { 203.0.113.2 . 40001 . 203.0.113.1 }',
      'add element ip ipipou p10000_pairs { 203.0.113.2 . 203.0.113.1 }',
    ]);
  });

  it('admits by the alternative address and rewrites it both ways', () => {
    const script = admitPeer(spec, { path, alt: ipv4FromNumber(0xac1d0000) });
    expect(script).toContain(
      'add element ip ipipou p10000_admitted { 203.0.113.2 . 40001 . 172.29.0.0 }',
    );
    expect(rulesOf(script, names.prerouting)).toEqual([
      'ip saddr 203.0.113.2 ip daddr 203.0.113.1 udp sport 40001 udp dport 10000 ip daddr set 172.29.0.0',
    ]);
    expect(rulesOf(script, names.postrouting)).toEqual([
      'ip saddr 172.29.0.0 ip daddr 203.0.113.2 udp sport 10000 udp dport 40001 ip saddr set 203.0.113.1',
    ]);
  });

  it('admits nobody when there is nobody', () => {
    expect(admitPeer(spec, undefined)).not.toContain('add');
  });
});

describe('refuseBareIpip', () => {
  it('adds to the pairs, which the next admission empties', () => {
    const script = refuseBareIpip(spec, path.remote.ip, path.local.ip);
    expect(script).toBe('add element ip ipipou p10000_pairs { 203.0.113.2 . 203.0.113.1 }');
    expect(admitPeer(spec, undefined)).toContain('flush set ip ipipou p10000_pairs');
  });
});

describe('removeGuard', () => {
  it('deletes every object that installGuard makes, and not the table', () => {
    const made = new Set(
      installGuard(spec, undefined)
        .match(/p10000_[a-z]+/g)
        ?.filter((name) => name !== undefined),
    );
    const script = removeGuard(spec);
    for (const name of made) expect(script).toMatch(new RegExp(`delete \\w+ ip ipipou ${name}`));
    expect(script).not.toContain('delete table');
  });
});
