/** All checks of one tunnel, in the order in which they are told. */
import { checkFirewall } from './barriers.ts';
import type { TunnelFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { checkIpv6, checkPlane } from './host.ts';
import { checkKeys } from './keys.ts';
import { checkDevice, checkNames, checkPort, checkReversePath, checkRoutes } from './outside.ts';
import { checkNat } from './nat.ts';
import { checkClock, checkDaemon, checkMtu } from './session.ts';

export function examineTunnel(facts: TunnelFacts): readonly Finding[] {
  return CHECKS.flatMap((check) => check(facts));
}

const CHECKS: readonly ((facts: TunnelFacts) => readonly Finding[])[] = [
  checkDaemon,
  checkPlane,
  checkDevice,
  checkNames,
  checkRoutes,
  checkReversePath,
  checkIpv6,
  checkPort,
  checkFirewall,
  checkClock,
  checkKeys,
  checkNat,
  checkMtu,
];
