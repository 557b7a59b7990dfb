/** What libnftables wrote about a failure, for an operator. */
export type NftFailure = {
  /** The errno that the text names, as a symbol; EINVAL where nft itself refused. */
  readonly errno: string;
  /** nft's own words on one line. */
  readonly words: string;
};

/** The C library's texts, which libnftables puts after a colon where the kernel refused. */
const ERRNO_TEXTS: readonly (readonly [text: string, errno: string])[] = [
  ['No such file or directory', 'ENOENT'],
  ['File exists', 'EEXIST'],
  ['Operation not permitted', 'EPERM'],
  ['Device or resource busy', 'EBUSY'],
  ['Operation not supported', 'EOPNOTSUPP'],
  ['Protocol not supported', 'EPROTONOSUPPORT'],
  ['Cannot allocate memory', 'ENOMEM'],
  ['No space left on device', 'ENOSPC'],
  ['Too many open files in system', 'ENFILE'],
  ['No buffer space available', 'ENOBUFS'],
  ['Message too long', 'EMSGSIZE'],
  ['Numerical result out of range', 'ERANGE'],
];

/**
 * libnftables writes, for every error, a line `[LOCATION: ]Error: TEXT`, then for text input the
 * offending line and a line of carets under the offending part.
 */
export function parseNftFailure(text: string): NftFailure {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[\^~ ]+$/.test(line));
  const words = lines.map((line) => line.replace(/^.*?Error: /, '')).join(' | ');
  const errors = lines.filter((line) => line.includes('Error: '));
  const found = ERRNO_TEXTS.find(([known]) => errors.some((line) => line.includes(known)));
  return { errno: found?.[1] ?? 'EINVAL', words: words === '' ? 'nft gave no reason' : words };
}
