import { parted, valued, type Option } from './option.ts';
import { remoteEndpoint, syntax, type Syntax } from './syntax.ts';
import { seconds, type Seconds } from '../units.ts';

const TIME = 'a time in UTC as in 2027-01-31T12:00:00Z';

const wholeTime = syntax<Seconds>('TIME', TIME, (text) => {
  const millis = Date.parse(text);
  const sound = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) && !Number.isNaN(millis);
  return sound && formatTime(millis / 1000) === text ? seconds(millis / 1000) : undefined;
});

/** `invited-until`; nothing, for a peer that has joined. */
const invitationEnd: Syntax<Seconds> = {
  ...wholeTime,
  read: (text) => (text === '' ? { ok: true, value: seconds(0) } : wholeTime.read(text)),
};

/** A unix time as `invited-until` has it. */
export function formatTime(time: number): string {
  return new Date(1000 * time).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Clients that are to join. */
export const INVITE_OPTIONS: readonly Option[] = [
  parted(
    {
      name: 'invite-address',
      group: 'invite',
      role: 'server',
      fallback: "the outer device's address, if it is a public one, and fou-local-port",
      help:
        'Where clients reach this server, for the codes of `ipipou invite`: also another address or port ' +
        'than its own, where a NAT stands before it. A server that says so may be without peers.',
    },
    remoteEndpoint,
    ['inviteHost', 'invitePort'],
    ({ host, port }) => ({ inviteHost: host, invitePort: port }),
  ),
  valued(
    {
      name: 'invited-until',
      group: 'invite',
      role: 'server',
      peer: 'own',
      fallback: 'none: the peer is no invitation',
      kept: ({ invitedUntil }) => invitedUntil,
      help:
        'The peer is an invitation until then: its public key admits nobody, but lets a client register its ' +
        'own once, which then takes its place. Written by `ipipou invite`.',
    },
    invitationEnd,
    'invitedUntil',
  ),
];
