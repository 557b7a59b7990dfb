/** Commands of the operator, by what they are for; the options of a config are named so. */

/** Of the tunnel's life: what they are about is waited for. */
export const LIFE_HOOKS = ['pre-up', 'post-up', 'pre-down', 'post-down'] as const;
/** Of peers: one after the other, and nothing waits. */
export const PEER_HOOKS = ['peer-up', 'peer-moved', 'peer-down', 'mtu-changed'] as const;

/** What may refuse a peer that has proved itself: it alone waits for the answer. */
export const VERDICT_HOOKS = ['verify'] as const;
export const HOOK_NAMES = [...LIFE_HOOKS, ...PEER_HOOKS, ...VERDICT_HOOKS] as const;

export type LifeHook = (typeof LIFE_HOOKS)[number];
export type PeerHook = (typeof PEER_HOOKS)[number];
export type HookName = (typeof HOOK_NAMES)[number];

/** Commands for the shell, as they were given. */
export type Hooks = Readonly<Partial<Record<HookName, string>>>;
