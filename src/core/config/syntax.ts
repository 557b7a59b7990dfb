import {
  encodeIp,
  familyOf,
  parseInnerIp,
  parseOuterIp,
  parsePort,
  type InnerIp,
  type Ip,
  type OuterIp,
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
  /** All values there are, where they are few words. */
  readonly choices?: readonly string[];
  readonly read: (text: string) => Reading<T>;
};

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
  const parse = (text: string): T | undefined => choices.find((choice) => choice === text);
  return { ...syntax(placeholder, expected, parse), choices };
}

/** `auth`: that nobody has to prove anything is said, never meant by silence. */
export const noAuthentication: Syntax<'none'> = {
  ...syntax('none', 'none', (text) => (text === 'none' ? text : undefined)),
  choices: ['none'],
};

/** `auth-key-type`: one scheme, so anything else is not wrong but missing. */
export const keyType: Syntax<'ed25519'> = {
  placeholder: 'TYPE',
  expected: 'ed25519',
  choices: ['ed25519'],
  read: (text) =>
    text === 'ed25519'
      ? { ok: true, value: text }
      : { ok: false, expected: 'ed25519, the only type implemented', unimplemented: true },
};

export const portNumber = syntax<Port>('PORT', 'a port from 1 to 65535', parsePort);

/** An address that a host may have, of IPv6 one of a scope beyond the link. */
export function isUnicast(address: Ip): boolean {
  const [first = 0, second = 0] = encodeIp(address);
  if (familyOf(address) === 'ipv4') return first >= 1 && first <= 223;
  const linkLocal = first === 0xfe && second >= 0x80 && second <= 0xbf;
  return address !== '::' && first !== 0xff && !linkLocal;
}

function unicastOnly<Kind extends Ip>(address: Kind | undefined): Kind | undefined {
  return address !== undefined && isUnicast(address) ? address : undefined;
}

const parseUnicast = (text: string): OuterIp | undefined => unicastOnly(parseOuterIp(text));

export const outerIpv4 = syntax<OuterIp>(
  'IP',
  'a unicast IPv4 address in four decimal numbers',
  (text) => {
    const address = parseUnicast(text);
    return address !== undefined && familyOf(address) === 'ipv4' ? address : undefined;
  },
);

const ONE_OF_EACH = 'a unicast IPv4 or IPv6 address, or one of each with a comma between';

/** One address, or one of each family: IPv4 first, whatever comes first. */
function addresses<Kind extends Ip>(
  parse: (text: string) => Kind | undefined,
): Syntax<readonly Kind[]> {
  return {
    placeholder: 'IP[,IP]',
    expected: ONE_OF_EACH,
    read(text) {
      const found: Kind[] = [];
      for (const part of text.split(',')) {
        const address = unicastOnly(parse(part.trim()));
        if (address === undefined) return wrong(linkLocalWords(part.trim()) ?? ONE_OF_EACH);
        if (found.some((other) => familyOf(other) === familyOf(address))) {
          return wrong(`${ONE_OF_EACH}: ${found.join(', ')} and ${address} are of the same family`);
        }
        found.push(address);
      }
      return { ok: true, value: found.toSorted((a, b) => bytesOf(a) - bytesOf(b)) };
    },
  };
}

function bytesOf(address: Ip): number {
  return familyOf(address) === 'ipv4' ? 4 : 16;
}

/** What is said of an address of one link alone, which a tunnel cannot have. */
function linkLocalWords(text: string): string | undefined {
  const address = parseOuterIp(text.replace(/%.*$/, ''));
  if (address === undefined || isUnicast(address) || !/^fe[89a-f]/.test(address)) return undefined;
  return 'an address that is good beyond its link: not one of fe80::/10';
}

export function wrong(expected: string): Reading<never> {
  return { ok: false, expected, unimplemented: false };
}

export const outerAddresses = addresses<OuterIp>(parseOuterIp);

export const innerAddresses = addresses<InnerIp>(parseInnerIp);

const label = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** An address or a DNS name (RFC 1123, 2.1: its last label is not a number). Addresses become canonical. */
function parseHost(text: string): string | undefined {
  if (parseOuterIp(text) !== undefined) return parseUnicast(text);
  const labels = text.replace(/\.$/, '').split('.');
  const last = labels.at(-1) ?? '';
  const sound = labels.every((part) => label.test(part)) && !/^[0-9]+$/.test(last);
  return sound && text.length <= HOST_NAME_MAX ? text : undefined;
}

const HOST = 'an IPv4 or IPv6 address or a host name';

export const host: Syntax<string> = {
  placeholder: 'HOST',
  expected: HOST,
  read(text) {
    const value = parseHost(text);
    return value === undefined ? wrong(linkLocalWords(text) ?? HOST) : { ok: true, value };
  },
};

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
export const groupName = syntax('GROUP', 'the name of a group, or none', (text) =>
  /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(text) ? text : undefined,
);

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

/** The address or name and the port of `HOST:PORT`; an IPv6 address stands in brackets. */
function cutPort(text: string): { host: string; port: string | undefined } | undefined {
  if (!text.startsWith('[')) {
    const { before, after } = cut(text, ':');
    return { host: before, port: after };
  }
  const { before, after } = cut(text.slice(1), ']');
  if (after === undefined || !before.includes(':')) return undefined;
  if (after !== '' && !after.startsWith(':')) return undefined;
  return { host: before, port: after === '' ? undefined : after.slice(1) };
}

/** Words for an IPv6 address without its brackets, which would not tell where the port begins. */
function bracketWords(text: string): string | undefined {
  const bare = text.replace(/@.*$/, '');
  if (bare.startsWith('[') || bare.split(':').length < 3) return undefined;
  const colon = bare.lastIndexOf(':');
  const [front, whole] = [parseOuterIp(bare.slice(0, colon)), parseOuterIp(bare)];
  const readings = [
    ...(front === undefined ? [] : [`[${front}]:${bare.slice(colon + 1)}`]),
    ...(whole === undefined ? [] : [`[${whole}]`]),
  ];
  if (readings.length === 0) return undefined;
  return `an IPv6 address in brackets, as in ${readings.join(' or ')}`;
}

const LOCAL =
  'an IPv4 address or an IPv6 one in brackets, :PORT, @DEVICE, or several of these in this order';

export const localEndpoint: Syntax<LocalParts> = {
  placeholder: '[IP][:PORT][@DEVICE]',
  expected: LOCAL,
  read(text) {
    const atSign = cut(text, '@');
    const parts = cutPort(atSign.before);
    if (parts === undefined || text === '') return wrong(LOCAL);
    const ip = part(parts.host, parseUnicast);
    const port = part(parts.port, parsePort);
    const device = part(atSign.after, parseDevice);
    // A mark with nothing behind it is a slip, not an omission.
    if (parts.port === '' || atSign.after === '') return wrong(bracketWords(text) ?? LOCAL);
    if (ip === false || port === false || device === false) {
      return wrong(bracketWords(text) ?? linkLocalWords(parts.host) ?? LOCAL);
    }
    return { ok: true, value: { ip, port, device } };
  },
};

export type RemoteParts = { readonly host: string | undefined; readonly port: Port | undefined };

const REMOTE =
  'an IPv4 address, an IPv6 one in brackets or a host name, :PORT, or both in this order';

export const remoteEndpoint: Syntax<RemoteParts> = {
  placeholder: '[HOST][:PORT]',
  expected: REMOTE,
  read(text) {
    const parts = cutPort(text);
    if (parts === undefined || text === '') return wrong(REMOTE);
    const name = part(parts.host, parseHost);
    const port = part(parts.port, parsePort);
    if (name === false || port === false || parts.port === '') {
      return wrong(bracketWords(text) ?? linkLocalWords(parts.host) ?? REMOTE);
    }
    return { ok: true, value: { host: name, port } };
  },
};

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
