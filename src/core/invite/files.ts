/** The config files that commands make, as their text. */
import { familyOf, parseOuterIp, type InnerIp } from '../addr.ts';

/** Where a server is, as `fou-remote` takes it. */
export function formatRemote(host: string, port: number): string {
  const address = parseOuterIp(host);
  const isIpv6 = address !== undefined && familyOf(address) === 'ipv6';
  return isIpv6 ? `[${host}]:${port}` : `${host}:${port}`;
}

export type ServerFile = {
  readonly number: number;
  /** Undefined: whatever the route says. */
  readonly device: string | undefined;
  readonly port: number;
  readonly innerIps: readonly InnerIp[];
  /** As `invite-address` takes it. */
  readonly address: string;
  /** In base64. */
  readonly privateKey: string;
  readonly secret: string;
};

export function serverFile(file: ServerFile, heading: string): string {
  return text([
    `# ${heading}`,
    '# Options: man ipipou.conf. After a change: ipipou reload, of what stands before the peers: a restart.',
    'server',
    `number ${file.number}`,
    ...(file.device === undefined ? [] : [`fou-dev ${file.device}`]),
    `fou-local-port ${file.port}`,
    '# Inside the tunnel; clients get the next free addresses behind.',
    `tunl-ip ${file.innerIps.join(', ')}`,
    '# Where clients reach this server.',
    `invite-address ${file.address}`,
    `auth-key-b64 ${file.privateKey}`,
    `auth-secret ${file.secret}`,
    'auth-lifetime 3600',
    'reply-on-auth-ok',
  ]);
}

export type ClientFile = {
  readonly number: number;
  /** As `fou-remote` takes it. */
  readonly remote: string;
  readonly clientIps: readonly InnerIp[];
  readonly serverIps: readonly InnerIp[];
  /** In base64. */
  readonly privateKey: string;
  readonly serverKey: string;
  readonly secret: string;
  /** Whether services behind it are exposed. */
  readonly exposed: boolean;
};

export function clientFile(file: ClientFile, heading: string): string {
  return text([
    `# ${heading}`,
    'client',
    `number ${file.number}`,
    `fou-remote ${file.remote}`,
    `tunl-ip ${file.clientIps.join(', ')}`,
    `tunl-peer-ip ${file.serverIps.join(', ')}`,
    `auth-key-b64 ${file.privateKey}`,
    `auth-remote-pubkey-b64 ${file.serverKey}`,
    `auth-secret ${file.secret}`,
    'keepalive 27',
    ...(file.exposed ? ['return-path tunnel'] : []),
  ]);
}

/** A section of a server's file. */
export function sectionText(
  peer: string,
  options: readonly (readonly [name: string, value: string])[],
): string {
  return `\n${text([`peer ${peer}`, ...options.map((option) => option.join(' '))])}`;
}

function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
