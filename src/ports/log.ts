/** 0 error, 1 warn, 2 info, 3 debug: the numbers of `verb`. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Values a log line may carry. Secrets are never passed to a log. */
export type LogFields = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/** Structured logging: an event in words, and its fields. */
export interface Log {
  (level: LogLevel, event: string, fields?: LogFields): void;
}
