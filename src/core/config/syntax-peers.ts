import {
  bitsOf,
  familyOf,
  formatPrefix,
  parseInnerIp,
  prefixOf,
  type InnerIp,
  type Ip,
  type Prefix,
} from '../addr.ts';
import { ALLOWED_IPS_MAX, MTU_MAX, MTU_MIN, PEER_NAME_MAX, PUBLIC_IPS_MAX } from './limits.ts';
import { isUnicast, parseDecimal, syntax, wrong, type Reading, type Syntax } from './syntax.ts';
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

const PREFIXES = `prefixes as in 10.1.0.0/16, fd28:1::/32, 10.2.3.4: at most ${ALLOWED_IPS_MAX}, with commas or spaces between`;

/** `allowed-ips`: networks, an address without length being that address alone. */
export const prefixList: Syntax<readonly Prefix[]> = {
  placeholder: 'PREFIXES',
  expected: PREFIXES,
  read: (text) => readPrefixes(text, parseInnerIp, PREFIXES),
};

const PUBLIC_IPS = `none, or addresses as in 198.51.100.7, 2001:db8::7: at most ${PUBLIC_IPS_MAX}, with commas or spaces between`;

/** `public-ip`. */
export const publicAddresses = syntax<readonly InnerIp[]>('ADDRESSES', PUBLIC_IPS, (text) => {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '' && part !== 'none');
  const ips = new Set<InnerIp>();
  for (const part of parts) {
    const ip = parseInnerIp(part);
    if (ip === undefined || !isUnicast(ip)) return undefined;
    ips.add(ip);
  }
  return ips.size > PUBLIC_IPS_MAX ? undefined : [...ips];
});

/** Networks with commas or spaces between, each once. */
export function readPrefixes<Kind extends Ip>(
  text: string,
  parse: (text: string) => Kind | undefined,
  expected: string,
): Reading<readonly Prefix<Kind>[]> {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '');
  if (parts.length === 0 || parts.length > ALLOWED_IPS_MAX) return wrong(expected);
  const prefixes = new Map<string, Prefix<Kind>>();
  for (const part of parts) {
    const reading = readPrefix(part, parse, expected);
    if (!reading.ok) return reading;
    prefixes.set(formatPrefix(reading.value), reading.value);
  }
  return { ok: true, value: [...prefixes.values()] };
}

function readPrefix<Kind extends Ip>(
  text: string,
  parse: (text: string) => Kind | undefined,
  expected: string,
): Reading<Prefix<Kind>> {
  const slash = text.indexOf('/');
  const ip = parse(slash < 0 ? text : text.slice(0, slash));
  if (ip === undefined) return wrong(expected);
  const bits = bitsOf(familyOf(ip));
  const length = slash < 0 ? bits : parseDecimal(text.slice(slash + 1), 0, bits);
  if (length === undefined) return wrong(expected);
  if (/^f[ef]/.test(ip) && !isUnicast(ip)) {
    return wrong(`${expected}, none of fe80::/10 or multicast`);
  }
  const prefix = prefixOf(ip, length);
  if (prefix.ip === ip) return { ok: true, value: prefix };
  return wrong(`${formatPrefix(prefix)}: no bits of ${ip} lie behind the length`);
}
