import { parseDecimal, syntax } from './syntax.ts';

/** Where the routes of `allowed-ips` stand; see docs/MANUAL.md. */
export type RoutingTable = 'main' | 'auto' | 'off' | number;

/** What may leave beside the tunnel. */
export type KillSwitch = 'strict' | 'lan';

const NAMED = ['main', 'auto', 'off'] as const;
/** Those of the kernel: default, main and local (linux/rtnetlink.h, rt_class_t). */
const KERNEL_TABLES = new Set([253, 254, 255]);

export const tableValue = {
  ...syntax<RoutingTable>(
    'TABLE',
    "main, auto, off, or the number of a routing table that is not the kernel's (253 to 255)",
    (text) => {
      const named = NAMED.find((name) => name === text);
      if (named !== undefined) return named;
      const number = parseDecimal(text, 1, 0xffff_ffff);
      return number === undefined || KERNEL_TABLES.has(number) ? undefined : number;
    },
  ),
  choices: NAMED,
};
