import { NUMBER_MAX, STATUS_GROUP, VERBOSITY, VERBOSITY_MAX } from './limits.ts';
import { flag, valued, type Option } from './option.ts';
import { AUTHENTICATION_OPTIONS, TIMING_OPTIONS } from './options-authentication.ts';
import { HOOK_OPTIONS } from './options-hooks.ts';
import { EVERYTHING_OPTIONS } from './options-everything.ts';
import { INVITE_OPTIONS } from './options-invite.ts';
import { INNER_OPTIONS, OUTER_OPTIONS } from './options-network.ts';
import { PLANE_OPTIONS } from './options-planes.ts';
import { REACH_OPTIONS } from './options-reach.ts';
import { configReference, groupName, wholeNumber } from './syntax.ts';
import { peerName } from './syntax-peers.ts';

const GENERAL_OPTIONS: readonly Option[] = [
  flag(
    {
      name: 'client',
      short: 'c',
      group: 'general',
      fallback: 'client',
      help: 'Be the client: the side that authenticates, usually behind NAT.',
    },
    { role: 'client' },
  ),
  flag(
    {
      name: 'server',
      short: 's',
      group: 'general',
      fixed: ({ config }) => config.role,
      help: 'Be the server: the side that waits. Implied by any server-only option.',
    },
    { role: 'server' },
  ),
  valued(
    {
      name: 'number',
      short: 'n',
      group: 'general',
      fallback: '0',
      fixed: ({ config }) => config.number,
      help: 'The number N that the defaults of ports, addresses, queue and device count from.',
    },
    wholeNumber('N', 0, NUMBER_MAX),
    'number',
  ),
  valued(
    {
      name: 'config',
      group: 'general',
      commandLineOnly: true,
      repeatable: true,
      help:
        'Read options from /etc/ipipou/NAME.conf, or from NAME itself if it begins with /, ./ ' +
        'or ../. Later files win over earlier ones, the command line over all.',
    },
    configReference,
    'configFile',
  ),
  valued(
    {
      name: 'peer',
      group: 'general',
      fileOnly: true,
      repeatable: true,
      help:
        'Begins the section of one more peer: the options after it, up to the next such line, are ' +
        'its own.',
    },
    peerName,
    'peer',
  ),
  flag(
    {
      name: 'reauth-only',
      group: 'general',
      role: 'client',
      help: 'Send one authentication packet for a tunnel that is up already, and exit.',
    },
    { reauthOnly: true },
  ),
  flag(
    { name: 'version', group: 'general', commandLineOnly: true, help: 'Show the version.' },
    { version: true },
  ),
  flag(
    { name: 'help', short: 'h', group: 'general', commandLineOnly: true, help: 'Show this help.' },
    { help: true },
  ),
];

const LOG_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'status-group',
      group: 'log',
      fallback: STATUS_GROUP,
      fixed: ({ config }) => config.statusGroup,
      help:
        'Members of this group of the system may run show, status, events and watch without being ' +
        'root: they are told, and change nothing. none: root alone.',
    },
    groupName,
    'statusGroup',
  ),
  valued(
    {
      name: 'verb',
      group: 'log',
      fallback: `${VERBOSITY}`,
      help: 'How much to log: 0 errors, 1 warnings, 2 information, 3 everything.',
    },
    wholeNumber('N', 0, VERBOSITY_MAX),
    'verbosity',
  ),
  flag(
    {
      name: 'v',
      group: 'log',
      repeatable: true,
      help: `Log one level more; may be repeated, up to ${VERBOSITY_MAX}.`,
    },
    { moreVerbose: true },
  ),
  flag(
    {
      name: 'no-log-time',
      group: 'log',
      fixed: ({ log }) => log.time,
      help: 'Leave the time out of log lines.',
    },
    { logTime: false },
  ),
  flag(
    {
      name: 'no-log-pid',
      group: 'log',
      fixed: ({ log }) => log.pid,
      help: 'Leave the process number out of log lines.',
    },
    { logPid: false },
  ),
];

/** Every option there is. Drives parsers, validation, help, manual and docs/OPTIONS.md. */
export const OPTIONS: readonly Option[] = [
  ...GENERAL_OPTIONS,
  ...AUTHENTICATION_OPTIONS,
  ...TIMING_OPTIONS,
  ...OUTER_OPTIONS,
  ...INNER_OPTIONS,
  ...REACH_OPTIONS,
  ...EVERYTHING_OPTIONS,
  ...INVITE_OPTIONS,
  ...PLANE_OPTIONS,
  ...HOOK_OPTIONS,
  ...LOG_OPTIONS,
];
