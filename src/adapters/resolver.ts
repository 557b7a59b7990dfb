import { lookup } from 'node:dns/promises';
import { parseIpv4, type Ipv4 } from '../core/addr.ts';
import { IpipouError } from '../core/errors.ts';
import type { Resolver } from '../ports/host-network.ts';

/** The system's resolver (nsswitch, /etc/hosts, DNS), in its order. An aborted lookup is left to end by itself. */
export function openResolver(): Resolver {
  return { resolve };
}

async function resolve(host: string, signal: AbortSignal): Promise<readonly Ipv4[]> {
  signal.throwIfAborted();
  const answers = await abortable(lookup(host, { family: 4, all: true }), signal).catch(
    (error: unknown) => {
      throw signal.aborted ? signal.reason : unresolved(host, error);
    },
  );
  return answers.flatMap(({ address }) => parseIpv4(address) ?? []);
}

/** `work`, or a rejection as soon as the signal is aborted. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function unresolved(host: string, cause: unknown): IpipouError {
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause); // getaddrinfo's errors have codes
  return new IpipouError('generic', `${host}: no IPv4 address now (${code})`, {
    hint: 'check the name, and the name servers in /etc/resolv.conf',
    cause,
  });
}
