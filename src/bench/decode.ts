/*
 * Decoders of JSON that somebody else may have written: each tests one shape within bounds and says
 * where it fails. They never throw.
 */

export type Decoded<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/** `where` is the path to the value, for reasons. */
export type Decoder<T> = (value: unknown, where: string) => Decoded<T>;

type Fields<T> = { readonly [K in keyof T]-?: Decoder<T[K]> };

function refuse(where: string, expected: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason: `${where}: expected ${expected}` };
}

/** At most `longest` characters, none of them a control character. */
export function text(longest: number, pattern = /^\P{Cc}*$/u): Decoder<string> {
  return (value, where) =>
    typeof value === 'string' && value.length <= longest && pattern.test(value)
      ? { ok: true, value }
      : refuse(where, `text of at most ${longest} characters`);
}

export function number(least: number, greatest: number): Decoder<number> {
  return (value, where) =>
    typeof value === 'number' && value >= least && value <= greatest
      ? { ok: true, value }
      : refuse(where, `a number from ${least} to ${greatest}`);
}

export function integer(least: number, greatest: number): Decoder<number> {
  return (value, where) =>
    Number.isInteger(value)
      ? number(least, greatest)(value, where)
      : refuse(where, `a whole number from ${least} to ${greatest}`);
}

export function oneOf<const T extends string | number | boolean>(
  ...values: readonly T[]
): Decoder<T> {
  return (value, where) => {
    const found = values.find((each) => each === value);
    return found === undefined ? refuse(where, values.join(' or ')) : { ok: true, value: found };
  };
}

export function optional<T>(decoder: Decoder<T>): Decoder<T | undefined> {
  return (value, where) =>
    value === undefined ? { ok: true, value: undefined } : decoder(value, where);
}

export function list<T>(most: number, decoder: Decoder<T>): Decoder<readonly T[]> {
  return (value, where) => {
    if (!Array.isArray(value) || value.length > most) {
      return refuse(where, `a list of at most ${most}`);
    }
    const decoded: T[] = [];
    for (const [index, each] of value.entries()) {
      const result = decoder(each, `${where}[${index}]`);
      if (!result.ok) return result;
      decoded.push(result.value);
    }
    return { ok: true, value: decoded };
  };
}

/** An object of any keys of a shape, all values alike. */
export function record<T>(
  most: number,
  key: Decoder<string>,
  decoder: Decoder<T>,
): Decoder<Readonly<Record<string, T>>> {
  return (value, where) => {
    const entries = isObject(value) ? Object.entries(value) : undefined;
    if (entries === undefined || entries.length > most) {
      return refuse(where, `an object of at most ${most} entries`);
    }
    const decoded: [string, T][] = [];
    for (const [name, each] of entries) {
      const keyed = key(name, `${where}: a key`);
      if (!keyed.ok) return keyed;
      const result = decoder(each, `${where}.${name}`);
      if (!result.ok) return result;
      decoded.push([name, result.value]);
    }
    return { ok: true, value: Object.fromEntries(decoded) };
  };
}

/** An object of known fields; others are refused. */
export function object<T>(fields: Fields<T>): Decoder<T> {
  return (value, where) => {
    if (!isObject(value)) return refuse(where, 'an object');
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
    if (unknown !== undefined) return { ok: false, reason: `${where}: unknown field ${unknown}` };
    const decoded: Record<string, unknown> = {};
    for (const [name, decoder] of Object.entries<Decoder<unknown>>(fields)) {
      const result = decoder(value[name], `${where}.${name}`);
      if (!result.ok) return result;
      if (result.value !== undefined) decoded[name] = result.value;
    }
    // Every field was decoded by the decoder of its type.
    return { ok: true, value: decoded as T };
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
