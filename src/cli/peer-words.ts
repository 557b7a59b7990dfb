import type { PeerOption } from '../core/config/edit-peers.ts';
import type { Option } from '../core/config/option.ts';
import { COMMAND_LINE, findOption, sayAt, unknownOption } from '../core/config/setting.ts';
import { ConfigError, IpipouError } from '../core/errors.ts';

const place = { source: COMMAND_LINE, line: undefined };

/**
 * `OPTION VALUE` pairs as somebody typed them, with or without hyphens. A secret's value may be
 * `@PATH` or `-`, which `readSecret` gets to read; `openSecrets` names those that are neither. Throws an
 * IpipouError with exit `arguments`.
 */
export async function readPeerWords(
  words: readonly string[],
  readSecret: (where: string) => Promise<string>,
): Promise<{ readonly options: readonly PeerOption[]; readonly openSecrets: readonly string[] }> {
  const options: PeerOption[] = [];
  const openSecrets: string[] = [];
  let next = 0;
  while (next < words.length) {
    const word = (words[next] ?? '').replace(/^-+/, '');
    const option = findOption(word);
    if (option === undefined) throw new ConfigError([unknownOption(word, undefined, place)]);
    if (option.peer === undefined) {
      throw new ConfigError([
        sayAt({ option, text: '', ...place }, `${option.name} cannot be set per peer`),
      ]);
    }
    const value = option.value === undefined ? '' : valueOf(option, words[next + 1]);
    const elsewhere = option.secret && (value === '-' || value.startsWith('@'));
    if (option.secret && !elsewhere) openSecrets.push(option.name);
    options.push([option.name, elsewhere ? await oneLine(option, value, readSecret) : value]);
    next += option.value === undefined ? 1 : 2;
  }
  return { options, openSecrets };
}

function valueOf(option: Option, word: string | undefined): string {
  // Nothing is a value where the option takes it for one, as a list without members.
  if (word !== undefined && (word !== '' || option.read('').ok)) return word;
  const expected = option.value?.expected ?? 'a value';
  throw new ConfigError([{ ...place, key: option.name, value: undefined, expected }]);
}

/** The end of its only line is not a part of a text in a file. */
async function oneLine(
  { name }: Option,
  where: string,
  readSecret: (where: string) => Promise<string>,
): Promise<string> {
  const text = (await readSecret(where)).replace(/\r?\n$/, '');
  if (!/[\r\n]/.test(text)) return text;
  const place = where === '-' ? 'standard input' : where.slice(1);
  throw new IpipouError(
    'arguments',
    `${name}: ${place} holds several lines: expected one, the value alone`,
  );
}
