import { describe, expect, it } from 'vitest';
import { PeerTable } from '../../../src/adapters/planes/fou/peer-table.ts';
import { claimedPrefixes, Peer, devicePrefixes } from '../../../src/adapters/planes/fou/peer.ts';
import type { DeviceEnvironment } from '../../../src/adapters/planes/fou/tunnel-device.ts';
import type { Path, Prefix } from '../../../src/core/addr.ts';
import { DEFAULT_PEER, type PeerId } from '../../../src/core/config/tunnel-config.ts';
import { port } from '../../../src/core/units.ts';
import type { PlanePeer } from '../../../src/ports/data-plane.ts';
import { inner, ip } from '../../rig/addresses.ts';

const innerIp = inner('172.28.0.3');
const own: Prefix = { ip: innerIp, length: 32 };
const home: Prefix = { ip: inner('10.7.0.0'), length: 16 };
const everything: Prefix = { ip: inner('0.0.0.0'), length: 0 };

function peerOf(id: string, allowedIps: PlanePeer['allowedIps']): PlanePeer {
  return { id: id as PeerId, innerIps: [innerIp], allowedIps, hint: undefined };
}

describe('devicePrefixes', () => {
  it.each<[string, PlanePeer, readonly Prefix[]]>([
    ["a peer's own", peerOf('a', [own, home]), [own, home]],
    ['the inner address of one that takes what is left', peerOf('a', 'any'), [own]],
    ['not what the kernel makes', peerOf(DEFAULT_PEER, [own, home]), [home]],
    ['nothing of the only peer', peerOf(DEFAULT_PEER, 'any'), []],
  ])('are %s', (_what, peer, routed) => {
    expect(devicePrefixes(peer, {})).toEqual(routed);
  });
});

it('claims what a peer may send from, and the inner address of one that takes what is left', () => {
  expect(claimedPrefixes(peerOf(DEFAULT_PEER, [own, home]), {})).toEqual([own, home]);
  expect(claimedPrefixes(peerOf(DEFAULT_PEER, 'any'), {})).toEqual([own]);
});

it('claims nothing that the outer path could be stopped by', () => {
  const peer = peerOf('a', [own, home, everything]);
  expect(claimedPrefixes(peer, {})).toEqual([own, home]);
  expect(claimedPrefixes({ ...peer, remote: ip('10.7.0.9') }, {})).toEqual([own]);
  expect(claimedPrefixes(peer, {}, ip('10.7.0.9'))).toEqual([own]);
});

describe('PeerTable', () => {
  // The kernel is not touched by any of this.
  const environment = {} as DeviceEnvironment;
  const local = { ip: ip('203.0.113.1'), port: port(10_000) };
  const remoteAt = (number: number) => ({ ip: ip('203.0.113.2'), port: port(number) });
  const alt = ip('172.29.0.0');
  const direct: Path = { local, remote: remoteAt(1) };
  const rewritten: Path = { local, remote: remoteAt(2) };

  function twoPeers() {
    const table = new PeerTable();
    const a = new Peer(peerOf('a', [own]), 'ipipou0-1', environment);
    const b = new Peer(peerOf('b', [home]), 'ipipou0-2', environment);
    table.add(a);
    table.add(b);
    table.setAdmission(a, { path: direct, alt: undefined });
    table.setAdmission(b, { path: rewritten, alt });
    return { table, a, b };
  }

  it('carries what is admitted, as it looks once the alternative address is in it', () => {
    const { table, a } = twoPeers();
    expect(table.carries(direct)).toBe(true);
    expect(table.carries(rewritten)).toBe(false);
    expect(table.carries({ ...rewritten, local: { ...local, ip: alt } })).toBe(true);
    expect(table.carries({ ...direct, local: { ...local, port: port(9) } })).toBe(false);
    table.setAdmission(a, { path: { local, remote: remoteAt(3) }, alt: undefined });
    expect(table.carries(direct)).toBe(false);
  });

  it('knows who is at a path, and who uses an alternative address towards whom', () => {
    const { table, a, b } = twoPeers();
    expect(table.at(direct)).toBe(a);
    expect(table.at(rewritten)).toBe(b);
    const byAlt = { ip: alt, port: local.port };
    expect(table.byAlt({ local: byAlt, remote: rewritten.remote })).toBe(b);
    expect(table.byAlt({ local: byAlt, remote: direct.remote })).toBeUndefined();
    expect(table.byAlt(direct)).toBeUndefined();
  });

  it('forgets a peer and where it was', () => {
    const { table, a } = twoPeers();
    table.delete(a.id);
    expect(table.carries(direct)).toBe(false);
    expect(table.admitted().map(([peer]) => peer.id)).toEqual(['b']);
    expect(() => table.require(a.id)).toThrow('peer a is not known to the tunnel');
  });
});
