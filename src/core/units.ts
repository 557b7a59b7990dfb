/**
 * Branded scalars: what looks alike but must not be mixed. Only the makers below (and the parsers
 * and decoders that call them) produce these types.
 */
declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A duration, or a reading of a clock, in milliseconds. */
export type Millis = Brand<number, 'Millis'>;
/** A duration, or a unix time, in whole seconds. */
export type Seconds = Brand<number, 'Seconds'>;
/** A UDP port, 1..65535. */
export type Port = Brand<number, 'Port'>;
/** A kernel interface index, 1.. */
export type IfIndex = Brand<number, 'IfIndex'>;

export function millis(value: number): Millis {
  return value as Millis;
}

export function seconds(value: number): Seconds {
  return value as Seconds;
}

/** The brand of a port; throws RangeError for what is no port (a bug: text is checked by the parsers). */
export function port(value: number): Port {
  if (!Number.isInteger(value) || value < 1 || value > 65535) throw new RangeError(`port ${value}`);
  return value as Port;
}

export function ifIndex(value: number): IfIndex {
  return value as IfIndex;
}

/** To the nearest whole second. */
export function toSeconds(value: Millis): Seconds {
  return seconds(Math.round(value / 1000));
}

export function toMillis(value: Seconds): Millis {
  return (value * 1000) as Millis;
}

/** One reading of both clocks: `monotonic` for timers, `unix` for what other machines see. */
export type Instant = { readonly monotonic: Millis; readonly unix: Millis };
