import { IpipouError } from '../core/errors.ts';
import { EXIT, type ExitCode } from '../core/exit-codes.ts';

/** What went wrong, in words, without a hint. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error as the operator reads it: what failed, and a line about what to do where that is known. */
export function formatError(error: unknown): string {
  const lines = reasonOf(error)
    .split('\n')
    .map((line) => `ipipou: ${printable(line)}\n`);
  const hint = error instanceof IpipouError ? error.hint : undefined;
  return lines.join('') + (hint === undefined ? '' : `hint: ${printable(hint)}\n`);
}

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof IpipouError ? EXIT[error.exit] : EXIT.generic;
}

/** Names and kernel texts may hold anything; a terminal gets no control characters of them. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, '\u{fffd}');
}
