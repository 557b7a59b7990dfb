import {
  parseOuterIp,
  parseInnerIp,
  ipv4ToNumber,
  parsePort,
  type OuterIp,
  type InnerIp,
  type Ip,
} from '../addr.ts';
import { seconds, type Port, type Seconds } from '../units.ts';
import { KEY_BYTES, parsePublicKey } from '../public-key.ts';
import { parseBase64 } from '../base64.ts';
import {
  DEVICE_NAME_MAX_BYTES,
  HOST_NAME_MAX,
  NFT_NAME_MAX_BYTES,
  SECRET_MAX_BYTES,
  TOKEN_MAX_BYTES,
} from './limits.ts';

/** A value, or what was expected instead; `unimplemented` marks what is sound but not supported. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly expected: string; readonly unimplemented: boolean };

/** How the values of an option are written. `expected` is a noun phrase for messages and manuals. */
export type Syntax<T> = {
  readonly placeholder: string;
  readonly expected: string;
  readonly read: (text: string) => Reading<T>;
};

export const IPV6_MISSING = 'an IPv4 address; IPv6 is not implemented';

export function syntax<T>(
  placeholder: string,
  expected: string,
  parse: (text: string) => T | undefined,
): Syntax<T> {
  return {
    placeholder,
    expected,
    read: (text) => {
      const value = parse(text);
      if (value !== undefined) return { ok: true, value };
      return { ok: false, expected, unimplemented: false };
    },
  };
}

/** A syntax in which IPv6 addresses are recognised, and answered as what is not implemented. */
function ipv4Syntax<T>(
  placeholder: string,
  expected: string,
  parse: (text: string) => T | undefined,
): Syntax<T> {
  const plain = syntax(placeholder, expected, parse);
  return {
    ...plain,
    read: (text) =>
      looksLikeIpv6(text)
        ? { ok: false, expected: IPV6_MISSING, unimplemented: true }
        : plain.read(text),
  };
}

export function looksLikeIpv6(text: string): boolean {
  return /^\[?[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*(?:%[^\]@]*)?\]?(?::[0-9]*)?(?:@.*)?$/i.test(text);
}

/** Plain decimal digits: no sign, no blank, no leading zero. */
export function parseDecimal(text: string, min: number, max: number): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,14})$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

export function wholeNumber(placeholder: string, min: number, max: number): Syntax<number> {
  return syntax(placeholder, `a whole number from ${min} to ${max}`, (text) =>
    parseDecimal(text, min, max),
  );
}

export function secondsFrom(min: number, max: number): Syntax<Seconds> {
  return syntax('SEC', `a whole number of seconds from ${min} to ${max}`, (text) => {
    const value = parseDecimal(text, min, max);
    return value === undefined ? undefined : seconds(value);
  });
}

export function oneOf<T extends string>(placeholder: string, choices: readonly T[]): Syntax<T> {
  const last = choices.slice(-1).join('');
  const expected = `${choices.slice(0, -1).join(', ')} or ${last}`;
  return syntax(placeholder, expected, (text) => choices.find((choice) => choice === text));
}

/** `auth`: that nobody has to prove anything is said, never meant by silence. */
export const noAuthentication = syntax('none', 'none', (text) =>
  text === 'none' ? text : undefined,
);

/** `auth-key-type`: one scheme, so anything else is not wrong but missing. */
export const keyType: Syntax<'ed25519'> = {
  placeholder: 'TYPE',
  expected: 'ed25519',
  read: (text) =>
    text === 'ed25519'
      ? { ok: true, value: text }
      : { ok: false, expected: 'ed25519, the only type implemented', unimplemented: true },
};

export const portNumber = syntax<Port>('PORT', 'a port from 1 to 65535', parsePort);

/** Unicast: the first octet is 1 to 223. */
export function isUnicast(address: Ip): boolean {
  const first = ipv4ToNumber(address) >>> 24;
  return first >= 1 && first <= 223;
}

function parseUnicast(text: string): OuterIp | undefined {
  const address = parseOuterIp(text);
  return address !== undefined && isUnicast(address) ? address : undefined;
}

const UNICAST = 'a unicast IPv4 address in four decimal numbers';

export const outerAddress = ipv4Syntax<OuterIp>('IP', UNICAST, parseUnicast);

export const innerAddress = ipv4Syntax<InnerIp>('IP', UNICAST, (text) => {
  const address = parseInnerIp(text);
  return address !== undefined && isUnicast(address) ? address : undefined;
});

const label = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** An IPv4 address or a DNS name (RFC 1123, 2.1: its last label is not a number). */
function parseHost(text: string): string | undefined {
  if (parseOuterIp(text) !== undefined) return parseUnicast(text);
  const labels = text.replace(/\.$/, '').split('.');
  const last = labels.at(-1) ?? '';
  const sound = labels.every((part) => label.test(part)) && !/^[0-9]+$/.test(last);
  return sound && text.length <= HOST_NAME_MAX ? text : undefined;
}

export const host = ipv4Syntax('HOST', 'an IPv4 address or a host name', parseHost);

const encoder = new TextEncoder();

/**
 * A name that Linux takes for a device (dev_valid_name in net/core/dev.c), less what means
 * something to others: `%` (the kernel's own numbering), `*`, `"` and `\` (nftables).
 */
function parseDevice(text: string): string | undefined {
  const bytes = encoder.encode(text).length;
  if (bytes < 1 || bytes > DEVICE_NAME_MAX_BYTES || text === '.' || text === '..') return undefined;
  return /[\s\p{Cc}\u{fffd}/:%*"\\]/u.test(text) ? undefined : text;
}

const DEVICE_EXPECTED =
  `a device name: 1 to ${DEVICE_NAME_MAX_BYTES} bytes, not . or .., no spaces, ` +
  'none of / : % * " \\';

export const deviceName = syntax('DEVICE', DEVICE_EXPECTED, parseDevice);

/** Identifiers as nft's scanner takes them without quotes. */
export const nftName = syntax(
  'NAME',
  'an nftables identifier: a letter or underscore, then letters, digits, and any of _ . -',
  (text) =>
    text.length <= NFT_NAME_MAX_BYTES && /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(text) ? text : undefined,
);

/** Keys: what is wrong with one is told by its length, since a private one must not be shown. */
function keySyntax<T>(parse: (text: string) => T | undefined): Syntax<T> {
  const expected = `${KEY_BYTES} bytes in base64`;
  const plain = syntax('KEY', expected, parse);
  return {
    ...plain,
    read: (text) => {
      const reading = plain.read(text);
      if (reading.ok) return reading;
      const length = parseBase64(text)?.length;
      const found = length === undefined ? 'this is no base64' : `these are ${length} bytes`;
      return { ...reading, expected: `${expected}; ${found}` };
    },
  };
}

export const publicKey = keySyntax(parsePublicKey);

export const privateKey = keySyntax((text) => {
  const bytes = parseBase64(text);
  return bytes?.length === KEY_BYTES ? bytes : undefined;
});

/** UTF-8 bytes of a text. U+FFFD is what a decoder leaves of bytes that were not UTF-8. */
function parseText(text: string, max: number): Uint8Array | undefined {
  const bytes = encoder.encode(text);
  const sound = bytes.length >= 1 && bytes.length <= max && !/[\u{fffd}\p{Cs}]/u.test(text);
  return sound ? bytes : undefined;
}

export const tokenText = syntax('TEXT', `1 to ${TOKEN_MAX_BYTES} bytes of UTF-8 text`, (text) =>
  parseText(text, TOKEN_MAX_BYTES),
);

export const tokenBase64 = syntax('BASE64', `1 to ${TOKEN_MAX_BYTES} bytes in base64`, (text) => {
  const bytes = parseBase64(text);
  return bytes && bytes.length >= 1 && bytes.length <= TOKEN_MAX_BYTES ? bytes : undefined;
});

export const secretText = syntax('TEXT', `1 to ${SECRET_MAX_BYTES} bytes of UTF-8 text`, (text) =>
  parseText(text, SECRET_MAX_BYTES),
);

export type LocalParts = {
  readonly ip: OuterIp | undefined;
  readonly port: Port | undefined;
  readonly device: string | undefined;
};

/** `undefined` where nothing stands, `false` where something wrong does. */
function part<T>(text: string | undefined, parse: (text: string) => T | undefined) {
  if (text === undefined || text === '') return undefined;
  return parse(text) ?? (false as const);
}

/** `before` and what follows the first `mark`; `after` is undefined when there is no mark. */
function cut(text: string, mark: string): { before: string; after: string | undefined } {
  const at = text.indexOf(mark);
  if (at < 0) return { before: text, after: undefined };
  return { before: text.slice(0, at), after: text.slice(at + 1) };
}

export const localEndpoint = ipv4Syntax<LocalParts>(
  '[IP][:PORT][@DEVICE]',
  'an IPv4 address, :PORT, @DEVICE, or several of these in this order',
  (text) => {
    const atSign = cut(text, '@');
    const colon = cut(atSign.before, ':');
    const ip = part(colon.before, parseUnicast);
    const port = part(colon.after, parsePort);
    const device = part(atSign.after, parseDevice);
    // A mark with nothing behind it is a slip, not an omission.
    if (colon.after === '' || atSign.after === '') return undefined;
    if (ip === false || port === false || device === false || text === '') return undefined;
    return { ip, port, device };
  },
);

export type RemoteParts = { readonly host: string | undefined; readonly port: Port | undefined };

export const remoteEndpoint = ipv4Syntax<RemoteParts>(
  '[HOST][:PORT]',
  'an IPv4 address or a host name, :PORT, or both in this order',
  (text) => {
    const colon = cut(text, ':');
    const name = part(colon.before, parseHost);
    const port = part(colon.after, parsePort);
    if (name === false || port === false || colon.after === '' || text === '') return undefined;
    return { host: name, port };
  },
);

/** A file of options: where it is, and the name that its tunnel goes by. */
export type ConfigReference = { readonly name: string; readonly path: string };

export const configReference = syntax<ConfigReference>(
  'NAME',
  'a name, or a path that begins with /, ./ or ../',
  (text) => {
    const path = /^\.{0,2}\//.test(text) ? text : `/etc/ipipou/${text}.conf`;
    const last = text.split('/').at(-1) ?? '';
    const name = last.replace(/\.conf$/, '');
    if (text.includes('\0') || name === '' || name === '.' || name === '..') return undefined;
    return { name, path };
  },
);
