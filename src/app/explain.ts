import { IpipouError } from '../core/errors.ts';
import type { Failure } from '../core/events/event.ts';

/** An error as events have it: what failed, and what to do about it where that is known. */
export function explain(error: unknown): Failure {
  if (error instanceof IpipouError) return { error: error.message, hint: error.hint };
  return { error: error instanceof Error ? error.message : String(error) };
}
