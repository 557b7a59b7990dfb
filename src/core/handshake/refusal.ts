/**
 * Why a packet of session 2 was refused:
 *
 * - `length`: no such packet has these first bytes and this length
 * - `index`: it names no session of its receiver, or none at all
 * - `mac`: altered, or made by somebody who cannot know the key (of mac1, of the mac of a RESPONSE)
 * - `undecipherable`: not authentic
 * - `replayed`: a counter that came before, or is too old to tell
 * - `malformed`: authentic, and not as the protocol has it
 */
export type HandshakeRefusal =
  'length' | 'index' | 'mac' | 'undecipherable' | 'replayed' | 'malformed';

export type HandshakeRefused = { readonly ok: false; readonly reason: HandshakeRefusal };

export type Heard<T> = { readonly ok: true; readonly value: T } | HandshakeRefused;

export function refusedFor(reason: HandshakeRefusal): HandshakeRefused {
  return { ok: false, reason };
}
