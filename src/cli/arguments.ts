import { IpipouError } from '../core/errors.ts';

/** What a subcommand was given, after its shape was checked. */
export type Given = { readonly flags: ReadonlySet<string>; readonly names: readonly string[] };

export type Shape = {
  /** Accepted flags, without hyphens. */
  readonly flags?: readonly string[];
  /** Least and most plain arguments. */
  readonly names: readonly [number, number];
  /** What the plain argument is, for messages. */
  readonly what?: string;
};

/** Splits a subcommand's arguments; throws with exit `arguments` for what does not fit. */
export function readGiven(command: string, args: readonly string[], shape: Shape): Given {
  const flags = new Set<string>();
  const names: string[] = [];
  for (const argument of args) {
    if (!argument.startsWith('-')) names.push(argument);
    else if (shape.flags?.includes(argument.replace(/^--?/, ''))) {
      flags.add(argument.replace(/^--?/, ''));
    } else throw misuse(command, `unknown option ${JSON.stringify(argument)}`);
  }
  const [least, most] = shape.names;
  const what = shape.what ?? 'argument';
  if (names.length < least) throw misuse(command, `expected ${what}`);
  if (names.length > most) throw misuse(command, `unexpected ${JSON.stringify(names[most])}`);
  return { flags, names };
}

function misuse(command: string, problem: string): IpipouError {
  return new IpipouError('arguments', `${command}: ${problem}`, { hint: `ipipou help ${command}` });
}
