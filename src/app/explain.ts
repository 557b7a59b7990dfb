import { IpipouError } from '../core/errors.ts';
import type { LogFields } from '../ports/log.ts';

/** An error as log fields: what failed, and what to do about it where that is known. */
export function explain(error: unknown): LogFields {
  if (error instanceof IpipouError) return { error: error.message, hint: error.hint };
  return { error: error instanceof Error ? error.message : String(error) };
}
