import { HOOK_NAMES, type HookName } from '../hook-names.ts';
import { HOOK_MAX } from './limits.ts';
import { valued, type Option } from './option.ts';
import { syntax } from './syntax.ts';

const HELP: Readonly<Record<HookName, string>> = {
  'pre-up': 'Before anything is made; where it fails, the tunnel is not started.',
  'post-up': 'When the tunnel is ready.',
  'pre-down': 'Before the tunnel is taken down.',
  'post-down': 'When it has been taken down.',
  'peer-up': 'When a peer has proved itself.',
  'peer-moved': 'When a peer has come to another endpoint.',
  'peer-down': 'When a peer has fallen silent, or is gone.',
  'mtu-changed': 'When another size of packets passes to a peer.',
  verify:
    'Server: before a peer that has proved itself is let in at an endpoint; where it fails, the peer stays out.',
};

/** A command is taken as it stands; `expandHook` says what of it is replaced. */
const command = syntax(
  'COMMAND',
  `a command of 1 to ${HOOK_MAX} characters for the shell`,
  (text) => (text.trim() !== '' && text.length <= HOOK_MAX ? text : undefined),
);

/** Commands of the operator. */
export const HOOK_OPTIONS: readonly Option[] = HOOK_NAMES.map((name) =>
  valued(
    {
      name,
      group: 'hooks',
      ...(name === 'verify' && { role: 'server' }),
      fixed: ({ config }) => config.hooks[name],
      help: HELP[name],
    },
    command,
    name,
  ),
);
