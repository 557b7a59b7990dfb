/** Changes of sections in a config file's text, which leave every other line as it stands. */
import { ConfigError } from '../errors.ts';
import { endedBy, type PeerOption } from './edit-peers.ts';
import { contentOf, isSectionHead, wordOf } from './parse-file.ts';
import { findOption } from './setting.ts';
import type { SlotName } from './slots.ts';
import type { PeerId } from './tunnel-config.ts';

/** What was done to one peer since its file was read. */
export type SectionEdit = {
  /** What the file says of it counts no more: it was removed, if only to be added again. */
  readonly anew: boolean;
  /** What it says now besides; undefined = it is gone. */
  readonly options: readonly PeerOption[] | undefined;
};

/** By peer. */
export type SectionEdits = ReadonlyMap<PeerId, SectionEdit>;

/** Edits with one more, that sets options of a peer. */
export function notingSet(
  edits: SectionEdits,
  peer: PeerId,
  options: readonly PeerOption[],
): SectionEdits {
  const before = edits.get(peer);
  const named = new Set(options.flatMap(([name]) => slotsOf(name)));
  const kept = (before?.options ?? []).filter(([name]) => {
    return !slotsOf(name).every((slot) => named.has(slot));
  });
  const edit = { anew: before?.anew ?? false, options: [...kept, ...options] };
  return new Map(edits).set(peer, edit);
}

/** Edits with one more, that removes a peer. */
export function notingRemoval(edits: SectionEdits, peer: PeerId): SectionEdits {
  return new Map(edits).set(peer, { anew: true, options: undefined });
}

/**
 * The text with all edits made. Throws a ConfigError where a line says more than what is to be changed,
 * as `fou-remote` does when only the port is another.
 */
export function editText(text: string, edits: SectionEdits, source: string): string {
  const file = new FileLines(text, source);
  for (const [peer, { anew, options }] of edits) {
    if (anew) file.remove(peer);
    if (options !== undefined) file.set(peer, options);
  }
  return file.text;
}

/** A section's first line, and the one behind its last. */
type Span = { readonly head: number; readonly end: number };

class FileLines {
  readonly #lines: string[];
  readonly #source: string;

  constructor(text: string, source: string) {
    this.#lines = text.split('\n');
    this.#source = source;
  }

  get text(): string {
    return this.#lines.join('\n');
  }

  /**
   * Takes a section out up to its last setting, with the comments that touch it; what follows behind an empty
   * line stays, and so does what stands right above the next section.
   */
  remove(peer: PeerId): void {
    const span = this.#find(peer);
    if (span === undefined) return;
    const begin = this.#aboveHead(span.head, 0);
    const isLast = span.end === this.#lines.length;
    const rest = isLast ? span.end : this.#aboveHead(span.end, span.head + 1);
    let end = this.#lastSetting(span.head, rest) + 1;
    while (end < rest && isComment(this.#lines[end])) end += 1;
    this.#lines.splice(begin, end - begin);
    const above = this.#lines[begin - 1];
    const doubled = above?.trim() === '' && (this.#lines[begin] ?? '').trim() === '';
    if (doubled) this.#lines.splice(begin - 1, 1);
    if (isLast) this.#endLine();
  }

  /** Sets options of a section, which is added where there is none. */
  set(peer: PeerId, options: readonly PeerOption[]): void {
    const span = this.#find(peer) ?? this.#append(peer);
    let { end } = span;
    for (const option of options) {
      const ended = endedBy(slotsOf(option[0]));
      end = this.#dropLines(span.head, end, ended);
      end = this.#setOne(span.head, end, option);
    }
  }

  #setOne(head: number, end: number, [name, value]: PeerOption): number {
    const slots = slotsOf(name);
    const at = this.#lineOf(head, end, slots);
    const model = at ?? this.#lastSetting(head, end);
    const indent = model === head ? '' : (/^[ \t-]*/.exec(this.#lines[model] ?? '')?.[0] ?? '');
    const left = at === undefined ? end : this.#dropLines(head, end, slots);
    const isFlag = findOption(name)?.value === undefined;
    // An empty value is what the option takes for none.
    if (value === '' && !isFlag) return left;
    const ending = this.#lines[head]?.endsWith('\r') === true ? '\r' : '';
    const line = `${indent}${name}${isFlag ? '' : ` ${value}`}${ending}`;
    this.#lines.splice(at ?? model + 1, 0, line);
    return left + 1;
  }

  /** The first line of a section that fills one of these slots. */
  #lineOf(head: number, end: number, slots: readonly SlotName[]): number | undefined {
    for (let at = head + 1; at < end; at += 1) {
      if (slotsOf(wordOf(this.#lines[at] ?? '')).some((slot) => slots.includes(slot))) return at;
    }
    return undefined;
  }

  /** Takes those lines out that fill one of these slots and no other; where the section ends then. */
  #dropLines(head: number, end: number, slots: readonly SlotName[]): number {
    let last = end;
    for (;;) {
      const at = this.#lineOf(head, last, slots);
      if (at === undefined) return last;
      const key = wordOf(this.#lines[at] ?? '');
      if (!slotsOf(key).every((slot) => slots.includes(slot))) this.#refuse(at, key);
      this.#lines.splice(at, 1);
      last -= 1;
    }
  }

  #refuse(at: number, key: string): never {
    throw new ConfigError([
      {
        ...{ source: this.#source, line: at + 1, key, value: undefined, sentence: true },
        expected: `${key} says more than what was changed: change this line by hand`,
      },
    ]);
  }

  #find(peer: PeerId): Span | undefined {
    const isHead = (line: string): boolean => isSectionHead(line);
    const head = this.#lines.findIndex((line) => isHead(line) && nameOf(line) === peer);
    if (head < 0) return undefined;
    const next = this.#lines.findIndex((line, at) => at > head && isHead(line));
    return { head, end: next < 0 ? this.#lines.length : next };
  }

  #append(peer: PeerId): Span {
    this.#endLine();
    this.#lines.pop();
    if (this.#lines.length > 0 && this.#lines.at(-1)?.trim() !== '') this.#lines.push('');
    const head = this.#lines.push(`peer ${peer}`) - 1;
    this.#lines.push('');
    return { head, end: this.#lines.length };
  }

  /** Has the file end with a line's end. */
  #endLine(): void {
    if (this.#lines.at(-1) !== '') this.#lines.push('');
  }

  /** The last line of a section that says anything; the head, where none does. */
  #lastSetting(head: number, end: number): number {
    let at = end - 1;
    while (at > head && !isSetting(this.#lines[at] ?? '')) at -= 1;
    return at;
  }

  /** Where the comment begins that stands right above a `peer` line, not before `least`. */
  #aboveHead(head: number, least: number): number {
    let at = head;
    while (at > least && isComment(this.#lines[at - 1])) at -= 1;
    return at;
  }
}

function isComment(line = ''): boolean {
  return contentOf(line).startsWith('#');
}

function isSetting(line: string): boolean {
  return contentOf(line) !== '' && !isComment(line);
}

function nameOf(line: string): string {
  return contentOf(line).slice('peer '.length);
}

function slotsOf(name: string): readonly SlotName[] {
  return findOption(name)?.slots ?? [];
}
