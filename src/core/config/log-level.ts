import { VERBOSITY_MAX } from './limits.ts';
import type { LogConfig } from './tunnel-config.ts';

const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** The most talkative level that is logged at a `verb`; beyond the last one nothing is left to say. */
export function levelOf(verb: number): LogConfig['level'] {
  return LEVELS[Math.min(verb, VERBOSITY_MAX)] ?? 'debug';
}
