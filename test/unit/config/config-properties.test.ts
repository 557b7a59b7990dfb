import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OPTIONS } from '../../../src/core/config/options.ts';
import { parseArguments } from '../../../src/core/config/parse-argv.ts';
import { parseConfigFile } from '../../../src/core/config/parse-file.ts';
import { editDistance } from '../../../src/core/config/edit-distance.ts';
import { findOption } from '../../../src/core/config/setting.ts';
import { ConfigError, type ConfigProblem } from '../../../src/core/errors.ts';
import { resolveTexts } from './resolve-texts.ts';

const names = OPTIONS.map(({ name }) => name);
const aName = fc.constantFrom(...names);

/** Values near to what options take. */
const aValue = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.integer().map(String),
  fc.ipV4(),
  fc.ipV6(),
  fc.domain(),
  fc.base64String(),
  fc.constantFrom('0', '1', '@e', ':7', '192.0.2.1:7@e', 'ed25519', 'tun', ' ', ''),
);

/** Lines near to what files hold. */
const aLine = fc.oneof(
  fc.string({ unit: 'binary' }),
  aName,
  fc.tuple(aName, fc.constantFrom(' ', '  ', '\t', '='), aValue).map((parts) => parts.join('')),
);

/** The message of a refusal; undefined when it resolves. Anything thrown but a ConfigError fails. */
function refusal(text: string, argv: readonly string[]): string | undefined {
  try {
    resolveTexts(text, argv);
    return undefined;
  } catch (error) {
    if (!(error instanceof ConfigError) || error.problems.length === 0) throw error;
    return error.message;
  }
}

test('arbitrary bytes in a file are settings or problems, line by line', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = new TextDecoder().decode(bytes);
      const { settings, problems } = parseConfigFile(text, 'f');
      const lines = text.split('\n').length;
      for (const { line } of [...settings, ...problems]) {
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(lines);
      }
      refusal(text, []);
    }),
  );
});

test('arbitrary lines and arguments resolve or throw a ConfigError', () => {
  const anArgument = fc.oneof(
    fc.string({ unit: 'binary' }),
    aName.map((name) => `--${name}`),
    fc.tuple(aName, aValue).map(([name, value]) => `--${name}=${value}`),
    aValue,
    fc.string().map((letters) => `-${letters}`),
  );
  fc.assert(
    fc.property(fc.array(aLine), fc.array(anArgument), (lines, argv) => {
      refusal(lines.join('\n'), argv);
    }),
    { numRuns: 500 },
  );
});

test('each option, with any value, resolves or throws a ConfigError', () => {
  fc.assert(
    fc.property(aName, aValue, fc.constantFrom('server\n', 'client\n'), (name, value, role) => {
      refusal(`${role}${name} ${value}`, []);
      refusal(role, [`--${name}=${value}`]);
      refusal(role, [`--${name}`, value]);
    }),
    { numRuns: 500 },
  );
});

/** Slips of the pen on the way to giving a secret. */
const SLIPS: readonly ((name: string, secret: string) => string)[] = [
  (name, secret) => `${name} ${secret}`,
  (name, secret) => `${name}  ${secret}`,
  (name, secret) => `${name}\t${secret}`,
  (name, secret) => `${name}=${secret}`,
  (name, secret) => `${name}:${secret}`,
  (name, secret) => `${name}${secret}`,
  (name, secret) => `${name.slice(0, -1)} ${secret}`,
  (name, secret) => `${name.slice(1)}=${secret}`,
  (name, secret) => `${name.toUpperCase()} ${secret}`,
  (name, secret) => `server\n${name} ${secret}\n${name} ${secret}2`,
];

const aSecret = fc
  .string({ unit: fc.constantFrom(...Array.from('QXZ7!+/= -')), minLength: 6, maxLength: 60 })
  .filter((text) => text.replaceAll(/[ =-]/g, '').length >= 4)
  .map((text) => `QXZ${text}`);
const aSecretOption = fc.constantFrom(
  ...OPTIONS.filter(({ secret }) => secret).map(({ name }) => name),
);

test('secrets appear in no message and no warning, however they were mistyped', () => {
  fc.assert(
    fc.property(aSecretOption, aSecret, fc.constantFrom(...SLIPS), (name, secret, slip) => {
      const text = slip(name, secret);
      const said: string[] = [];
      for (const [file, argv] of [
        [text, []],
        [`server\n${text}`, []],
        ['', text.split('\n').map((line) => `--${line}`)],
        ['', text.split(' ').map((word, index) => (index === 0 ? `--${word}` : word))],
        ['server', [`--${name}`, secret, secret]],
        ['server', [`--${name}=${secret}`, '--bogus']],
        ['server', ['--number', '--bogus', secret]],
      ] as const) {
        said.push(refusal(file, argv) ?? '');
      }
      const words = said.join('\n');
      expect(words).not.toContain('QXZ');
    }),
    { numRuns: 500 },
  );
});

test('what was written is what is read: file lines', () => {
  const anEntry = fc
    .tuple(aName, fc.string({ unit: 'grapheme', minLength: 1 }))
    .filter(([name, value]) => !/[\r\n]/.test(value) && !findOption(name)?.commandLineOnly)
    .filter(([name]) => name !== 'peer')
    .map(([name, value]) => ({ name, value: findOption(name)?.value ? value : '' }));
  fc.assert(
    fc.property(fc.array(anEntry), fc.constantFrom('\n', '\r\n'), (entries, end) => {
      const lines = entries.map(({ name, value }) => (value === '' ? name : `${name} ${value}`));
      const { settings, problems } = parseConfigFile(lines.join(end), 'f');
      expect(problems).toEqual([]);
      expect(settings.map(({ option, text }) => ({ name: option.name, value: text }))).toEqual(
        entries,
      );
      const again = settings.map(({ option, text }) =>
        text ? `${option.name} ${text}` : option.name,
      );
      expect(parseConfigFile(again.join('\n'), 'f')).toEqual({
        source: 'f',
        settings,
        sections: [],
        problems,
      });
    }),
  );
});

test('what was written is what is read: both forms of arguments', () => {
  const aSetting = fc
    .tuple(aName, fc.string({ unit: 'grapheme', minLength: 1 }))
    .filter(
      ([name]) =>
        name.length > 1 && name !== 'config' && name !== 'peer' && Boolean(findOption(name)?.value),
    );
  fc.assert(
    fc.property(fc.array(aSetting), (entries) => {
      const joined = parseArguments(entries.map(([name, value]) => `--${name}=${value}`));
      expect(joined.problems).toEqual([]);
      expect(joined.settings.map(({ option, text }) => [option.name, text])).toEqual(entries);
      const spelt = entries.filter(([, value]) => !value.startsWith('-'));
      const apart = parseArguments(spelt.flatMap(([name, value]) => [`--${name}`, value]));
      expect(apart.settings.map(({ option, text }) => [option.name, text])).toEqual(spelt);
    }),
  );
});

test('a name with one slip in it is recognised', () => {
  const aSlip = fc
    .tuple(fc.constantFrom(...names.filter((name) => name.length >= 6)), fc.nat(), fc.nat(3))
    .map(([name, position, kind]) => {
      const at = position % (name.length - 1);
      const parts = [name.slice(0, at), name.slice(at, at + 1), name.slice(at + 1)] as const;
      const [before, letter, after] = parts;
      const slips = [before + after, `${before}q${letter}${after}`, `${before}q${after}`];
      return { name, slip: slips[kind] ?? `${before}${after[0]}${letter}${after.slice(1)}` };
    })
    .filter(({ slip }) => findOption(slip) === undefined && !slip.startsWith('-'));
  fc.assert(
    fc.property(aSlip, ({ name, slip }) => {
      expect(editDistance(slip, name)).toBe(1);
      const problem: ConfigProblem | undefined = parseConfigFile(slip, 'f').problems[0];
      const suggested = /did you mean `(.*)`/.exec(problem?.expected ?? '')?.[1] ?? '';
      // Where another option is as near, either will do.
      expect(editDistance(slip, suggested)).toBe(1);
    }),
    { numRuns: 300 },
  );
});
