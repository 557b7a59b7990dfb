import {
  parseInnerIp,
  ipv4ToNumber,
  innerIpv4FromNumber,
  formatPrefix,
  type Prefix,
} from '../addr.ts';
import { ALLOWED_IPS_MAX, MTU_MAX, MTU_MIN, PEER_NAME_MAX } from './limits.ts';
import {
  IPV6_MISSING,
  looksLikeIpv6,
  parseDecimal,
  syntax,
  type Reading,
  type Syntax,
} from './syntax.ts';
import { DEFAULT_PEER, type PeerId } from './tunnel-config.ts';

const nameOfPeer = new RegExp(`^[A-Za-z0-9._-]{1,${PEER_NAME_MAX}}$`);

export const peerName = syntax<PeerId>(
  'NAME',
  `a name of 1 to ${PEER_NAME_MAX} letters, digits and . _ - that is not ${DEFAULT_PEER}`,
  (text) => (nameOfPeer.test(text) && text !== DEFAULT_PEER ? (text as PeerId) : undefined),
);

/** `mtu`: a number, or what the path allows. */
export const mtuValue = syntax<number | 'auto'>(
  'N',
  `auto, or a whole number from ${MTU_MIN} to ${MTU_MAX}`,
  (text) => (text === 'auto' ? text : parseDecimal(text, MTU_MIN, MTU_MAX)),
);

const PREFIXES = `prefixes as in 10.1.0.0/16, 10.2.3.4: at most ${ALLOWED_IPS_MAX}, with commas or spaces between`;

/** `allowed-ips`: networks, an address without length being that address alone. */
export const prefixList: Syntax<readonly Prefix[]> = {
  placeholder: 'PREFIXES',
  expected: PREFIXES,
  read(text) {
    const parts = text.split(/[\s,]+/).filter((part) => part !== '');
    if (parts.length === 0 || parts.length > ALLOWED_IPS_MAX) return wrong(PREFIXES);
    const prefixes = new Map<string, Prefix>();
    for (const part of parts) {
      const reading = readPrefix(part);
      if (!reading.ok) return reading;
      prefixes.set(formatPrefix(reading.value), reading.value);
    }
    return { ok: true, value: [...prefixes.values()] };
  },
};

function readPrefix(text: string): Reading<Prefix> {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  if (looksLikeIpv6(address)) return { ok: false, expected: IPV6_MISSING, unimplemented: true };
  const ip = parseInnerIp(address);
  const length = slash < 0 ? 32 : parseDecimal(text.slice(slash + 1), 0, 32);
  if (ip === undefined || length === undefined) return wrong(PREFIXES);
  const size = 2 ** (32 - length);
  const behind = ipv4ToNumber(ip) % size;
  if (behind === 0) return { ok: true, value: { ip, length } };
  const network = innerIpv4FromNumber(ipv4ToNumber(ip) - behind);
  return wrong(`${network}/${length}: no bits of ${ip} lie behind the length`);
}

function wrong(expected: string): Reading<never> {
  return { ok: false, expected, unimplemented: false };
}
