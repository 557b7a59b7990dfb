import { COMMAND_LINE, findOption } from '../../core/config/setting.ts';
import type { Filled } from '../../core/config/slots.ts';
import { ConfigError } from '../../core/errors.ts';

/** What a flag of a command says that means an option of the table, by that option's rules. */
export function readAs(option: string, flag: string, text: string): Filled {
  const row = findOption(option);
  if (row === undefined) throw new TypeError(`no option ${option}`);
  const reading = row.read(text);
  if (reading.ok) return reading.value;
  const { expected } = reading;
  const value = row.secret ? undefined : text;
  throw new ConfigError([
    { source: COMMAND_LINE, line: undefined, key: `--${flag}`, value, expected },
  ]);
}

/** What is wrong with a flag's value, where no option's rules say it. */
export function wrongValue(flag: string, value: string, expected: string): ConfigError {
  return new ConfigError([
    { source: COMMAND_LINE, line: undefined, key: `--${flag}`, value, expected },
  ]);
}
