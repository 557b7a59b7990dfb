/** What a look at one tunnel finds: a line each. */

/** `unknown`: it cannot be told from here, and the words say why. */
export type FindingVerdict = 'ok' | 'warning' | 'wrong' | 'unknown';

export type Finding = {
  readonly check: CheckName;
  readonly verdict: FindingVerdict;
  readonly words: string;
  /** A command that mends it, or what else to do. */
  readonly fix?: string | undefined;
};

export type CheckName =
  | 'daemon'
  | 'plane'
  | 'device'
  | 'name'
  | 'route'
  | 'port'
  | 'firewall'
  | 'expose'
  | 'clock'
  | 'keys'
  | 'nat'
  | 'mtu'
  | 'ipv6'
  | 'rp_filter';

export function ok(check: CheckName, words: string): Finding {
  return { check, verdict: 'ok', words };
}

export function unknown(check: CheckName, words: string, fix?: string): Finding {
  return { check, verdict: 'unknown', words, fix };
}

export function warning(check: CheckName, words: string, fix?: string): Finding {
  return { check, verdict: 'warning', words, fix };
}

export function wrong(check: CheckName, words: string, fix?: string): Finding {
  return { check, verdict: 'wrong', words, fix };
}
