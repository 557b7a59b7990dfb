import { IpipouError } from '../core/errors.ts';

/** What a subcommand was given, after its shape was checked. */
export type Given = {
  readonly flags: ReadonlySet<string>;
  /** Of flags with a value. */
  readonly values: ReadonlyMap<string, string>;
  readonly names: readonly string[];
};

export type Shape = {
  /** Accepted flags, without hyphens. */
  readonly flags?: readonly string[];
  /** Accepted flags that a value follows, with what it is. */
  readonly valued?: Readonly<Record<string, string>>;
  /** Least and most plain arguments. */
  readonly names: readonly [number, number];
  /** What the plain argument is, for messages. */
  readonly what?: string;
};

/** Splits a subcommand's arguments; throws with exit `arguments` for what does not fit. */
export function readGiven(command: string, args: readonly string[], shape: Shape): Given {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  const names: string[] = [];
  const left = args.values();
  for (const argument of left) {
    const [, flag = '', given] = /^--?([^=]*)(?:=(.*))?$/s.exec(argument) ?? [];
    const wanted = shape.valued?.[flag];
    if (!argument.startsWith('-')) names.push(argument);
    else if (wanted !== undefined) {
      const value = given ?? left.next().value;
      if (value === undefined) throw misuse(command, `expected ${wanted} after ${argument}`);
      values.set(flag, value);
    } else if (given === undefined && shape.flags?.includes(flag)) flags.add(flag);
    else throw misuse(command, `unknown option ${JSON.stringify(argument)}`);
  }
  const [least, most] = shape.names;
  const what = shape.what ?? 'argument';
  if (names.length < least) throw misuse(command, `expected ${what}`);
  if (names.length > most) throw misuse(command, `unexpected ${JSON.stringify(names[most])}`);
  return { flags, values, names };
}

/** What is wrong with a subcommand's arguments. */
export function misuse(command: string, problem: string): IpipouError {
  return new IpipouError('arguments', `${command}: ${problem}`, { hint: `ipipou help ${command}` });
}
