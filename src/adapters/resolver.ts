import { lookup } from 'node:dns/promises';
import { familyOf, parseOuterIp, type Family, type OuterIp } from '../core/addr.ts';
import { familyName } from '../core/config/families.ts';
import { asError, IpipouError } from '../core/errors.ts';
import type { Resolver } from '../ports/host-network.ts';

/**
 * The system's resolver (nsswitch, /etc/hosts, DNS), in its order: getaddrinfo puts what this host cannot
 * reach last (RFC 6724, section 6, and gai.conf(5)). It is asked for what there is, not for what this host has
 * addresses for now (no AI_ADDRCONFIG): a route may come later, and a client looks for routes by itself. An
 * aborted lookup is left to end by itself.
 */
export function openResolver(): Resolver {
  return { resolve };
}

async function resolve(
  host: string,
  families: readonly Family[],
  signal: AbortSignal,
): Promise<readonly OuterIp[]> {
  signal.throwIfAborted();
  const [only, ...others] = families;
  const family = only === undefined || others.length > 0 ? 0 : FAMILY_NUMBER[only];
  const answers = await abortable(
    lookup(host, { family, all: true, order: 'verbatim' }),
    signal,
  ).catch((error: unknown) => {
    throw signal.aborted ? asError(signal.reason) : unresolved(host, families, error);
  });
  // Given the text of an address, Node answers with that whatever the family.
  const addresses = answers
    .flatMap(({ address }) => parseOuterIp(withoutZone(address)) ?? [])
    .filter((address) => families.includes(familyOf(address)));
  if (addresses.length === 0) throw unresolved(host, families, undefined);
  return addresses;
}

/** As Node names them. */
const FAMILY_NUMBER = { ipv4: 4, ipv6: 6 } as const;

/** An address of one link only comes with the link's name (RFC 4007, section 11). */
function withoutZone(text: string): string {
  return text.replace(/%.*$/, '');
}

/** `work`, or a rejection as soon as the signal is aborted. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(asError(signal.reason));
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function unresolved(host: string, families: readonly Family[], cause: unknown): IpipouError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  const what = families.length === 1 ? `${families.map(familyName).join()} address` : 'address';
  return new IpipouError('generic', `${host}: no ${what} now${code}`, {
    hint: 'check the name, and the name servers in /etc/resolv.conf',
    cause,
  });
}
