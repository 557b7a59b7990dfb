import type { Level } from '../core/events/words.ts';

export type LogLevel = Level;

/** Values a log line may carry. Secrets are never passed to a log. */
export type LogFields = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/** Structured logging: an event in words, and its fields. */
export interface Log {
  (level: LogLevel, event: string, fields?: LogFields): void;
}
