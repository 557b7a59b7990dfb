/** Lists of exposed services, with the limits of each behind it, and of where visitors come from. */
import { parseOuterIp, type OuterIp, type Prefix } from '../addr.ts';
import {
  formatExposure,
  formatService,
  overlap,
  parseService,
  type Exposure,
  type ExposureLimits,
} from './exposure.ts';
import { EXPOSURES_MAX, EXPOSURE_CONNECTIONS_MAX, EXPOSURE_RATE_MAX } from './limits.ts';
import { parseDecimal, wrong, type Reading, type Syntax } from './syntax.ts';
import { readPrefixes } from './syntax-peers.ts';

/** What stands for an empty list, and for no limit. */
const NONE = 'none';

const SERVICES =
  'none, or services as in tcp/443, tcp/2222:22, udp/27015-27030, tcp/8443:192.168.1.10:443, ' +
  `198.51.100.7:tcp/443 or all: at most ${EXPOSURES_MAX}, with commas or spaces between; IPv6 addresses in brackets; ` +
  'behind each `from PREFIXES`, `rate N`, `connections N`, where it has them';

/** `expose`. */
export const exposureList: Syntax<readonly Exposure[]> = {
  placeholder: 'SERVICES',
  expected: SERVICES,
  read(text) {
    const services: Exposure[] = [];
    const words = text.split(/[\s,]+/).filter((word) => word !== '');
    while (words.length > 0) {
      const word = words.shift() ?? '';
      if (word === NONE) continue;
      const bare = parseService(word);
      if (bare === undefined || services.length === EXPOSURES_MAX) return wrong(SERVICES);
      const limits = readLimits(words, bare);
      if (!limits.ok) return limits;
      const service = { ...bare, limits: limits.value };
      const other = services.find((one) => overlap(one, service));
      if (other) return wrong(`ports that differ: ${formatService(other)} has those of ${word}`);
      services.push(service);
    }
    return { ok: true, value: services };
  },
};

/** One service with its limits; undefined for anything else. */
export function parseExposure(text: string): Exposure | undefined {
  const reading = exposureList.read(text);
  return reading.ok && reading.value.length === 1 ? reading.value[0] : undefined;
}

/** Takes what stands before the next service. */
function readLimits(words: string[], bare: Exposure): Reading<ExposureLimits> {
  let { from, rate, connections } = bare.limits;
  for (;;) {
    const [key, value = ''] = words;
    if (key === 'from') {
      const end = words.findIndex((word, at) => at > 0 && endsSources(word));
      const sources = words.splice(0, end < 0 ? words.length : end).slice(1);
      const reading = readPrefixes(sources.join(' '), parseOuterIp, `behind \`from\` ${PREFIXES}`);
      if (!reading.ok) return reading;
      from = reading.value;
    } else if (key === 'rate') {
      rate = value === NONE ? value : parseDecimal(value, 1, EXPOSURE_RATE_MAX);
      if (rate === undefined) return wrong(RATE);
      words.splice(0, 2);
    } else if (key === 'connections') {
      connections = parseDecimal(value, 1, EXPOSURE_CONNECTIONS_MAX);
      if (connections === undefined) return wrong(CONNECTIONS);
      words.splice(0, 2);
    } else {
      return { ok: true, value: { from, rate, connections } };
    }
  }
}

const RATE = `behind \`rate\` new connections a second, from 1 to ${EXPOSURE_RATE_MAX}, or none`;
const CONNECTIONS = `behind \`connections\` how many at one time, from 1 to ${EXPOSURE_CONNECTIONS_MAX}`;

/** Every service and every key has a letter that no address has. */
function endsSources(word: string): boolean {
  return /[g-z]/i.test(word);
}

const PREFIXES = 'prefixes as in 203.0.113.0/24, 2001:db8::/32';
const SOURCES = `none, or ${PREFIXES}`;

/** `expose-from`. */
export const sourceList: Syntax<readonly Prefix<OuterIp>[]> = {
  placeholder: 'PREFIXES',
  expected: SOURCES,
  read(text): Reading<readonly Prefix<OuterIp>[]> {
    if (text === '' || text === NONE) return { ok: true, value: [] };
    return readPrefixes(text, parseOuterIp, SOURCES);
  },
};

/** As `exposureList` reads it. */
export function formatExposures(services: readonly Exposure[]): string {
  return services.length === 0 ? NONE : services.map(formatExposure).join(', ');
}
