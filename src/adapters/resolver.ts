import { lookup } from 'node:dns/promises';
import { familyOf, parseOuterIp, type OuterIp } from '../core/addr.ts';
import { asError, IpipouError } from '../core/errors.ts';
import type { Resolver } from '../ports/host-network.ts';

/** The system's resolver (nsswitch, /etc/hosts, DNS), in its order. An aborted lookup is left to end by itself. */
export function openResolver(): Resolver {
  return { resolve };
}

async function resolve(host: string, signal: AbortSignal): Promise<readonly OuterIp[]> {
  signal.throwIfAborted();
  const answers = await abortable(lookup(host, { family: 4, all: true }), signal).catch(
    (error: unknown) => {
      throw signal.aborted ? asError(signal.reason) : unresolved(host, error);
    },
  );
  // Given the text of an IPv6 address, Node answers with that whatever the family.
  const addresses = answers
    .flatMap(({ address }) => parseOuterIp(address) ?? [])
    .filter((address) => familyOf(address) === 'ipv4');
  if (addresses.length === 0) throw unresolved(host, undefined);
  return addresses;
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

function unresolved(host: string, cause: unknown): IpipouError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return new IpipouError('generic', `${host}: no IPv4 address now${code}`, {
    hint: 'check the name, and the name servers in /etc/resolv.conf',
    cause,
  });
}
