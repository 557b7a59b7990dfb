import type { Family } from '../addr.ts';
import { GUARD_LIMITS } from '../budgets.ts';
import { PACKET_LENGTH } from '../handshake/layout.ts';
import { objectNames, WORD, type ChainRules, type GuardSpec } from './guard-spec.ts';
import { bounded, rate, refuse, sourceOf, UDP_HEADER } from './guard-text.ts';

/* What of the guard (guard-rules.ts) is for first messages of session 2 that come from strangers. */

/** The first four bytes of the UDP payload. */
const BEGIN = '@th,64,32';

/** Whether session 2 can be spoken here. */
function hearsFirstMessages({ authLengths }: GuardSpec): boolean {
  return authLengths.includes(PACKET_LENGTH.init);
}

export function firstMessageObjects(spec: GuardSpec, family: Family): string[] {
  if (!hearsFirstMessages(spec)) return [];
  const { asked, askedBudgets, first, heard, heardBudgets, tested } = objectNames(spec.port);
  const { askedSources, testedAsked, testedSources } = GUARD_LIMITS;
  const table = `${WORD[family]} ${spec.table}`;
  const sources = (name: string, bounds: string) =>
    `add set ${table} ${name} { type ${family}_addr; ${bounds} }`;
  return [
    sources(asked, bounded(spec.firstQueue === undefined ? askedSources : testedAsked)),
    sources(askedBudgets, bounded(askedSources)),
    ...(spec.firstQueue === undefined
      ? []
      : [
          sources(heard, briefly(GUARD_LIMITS.heard)),
          sources(heardBudgets, bounded(testedSources)),
          `add chain ${table} ${first}`,
          `add chain ${table} ${tested}`,
        ]),
  ];
}

/** As `bounded`, in milliseconds: elements whose time is over are taken out as soon, and not once a second. */
function briefly({ size, timeout }: { size: number; timeout: number }): string {
  return `size ${size}; flags dynamic,timeout; timeout ${timeout}ms; gc-interval ${timeout / 2}ms;`;
}

/**
 * First messages of session 2 have a budget that no other stranger uses up, and what ends a handshake one for each of the
 * sources that they came from. Beyond theirs, first messages have what sources have that peers were admitted at lately.
 */
export function firstMessageRules(spec: GuardSpec, family: Family): string[] {
  const { asked, askedBudgets, first: firstChain, knownSources } = objectNames(spec.port);
  const { init, control } = PACKET_LENGTH;
  if (!hearsFirstMessages(spec)) return [];
  const from = sourceOf(family);
  const budget = `{ ${from} limit ${rate(GUARD_LIMITS.asked)} }`;
  const first = `udp length ${init + UDP_HEADER} ${BEGIN} 0xf1020000`;
  return [
    ...(spec.firstQueue === undefined
      ? [
          `${first} limit ${rate(GUARD_LIMITS.inits)} ` +
            `update @${asked} { ${from} } queue num ${spec.queue}`,
          `${first} ${from} != @${knownSources} ${refuse(spec)}`,
        ]
      : [`${first} goto ${firstChain}`]),
    `udp length ${control + UDP_HEADER} ${BEGIN} 0xf4000000 ${from} @${asked} ` +
      `update @${askedBudgets} ${budget} queue num ${spec.queue}`,
  ];
}

/**
 * First messages that the daemon tests: those of some sources at a time, each for a moment, so that who is answered by a
 * cookie is heard again with it. A source that finds no room among those is not heard.
 */
export function testedRules(spec: GuardSpec, family: Family): ChainRules[] {
  const { asked, first, heard, heardBudgets, knownSources, strangers, tested } = objectNames(
    spec.port,
  );
  const from = sourceOf(family);
  const budget = `{ ${from} limit ${rate(GUARD_LIMITS.testedSource)} }`;
  if (!hearsFirstMessages(spec) || spec.firstQueue === undefined) return [];
  return [
    {
      chain: first,
      list: [
        `${from} @${heard} update @${heardBudgets} ${budget} ` +
          `limit ${rate(GUARD_LIMITS.testedAgain)} goto ${tested}`,
        `${from} @${heard} ${refuse(spec)}`,
        `limit ${rate(GUARD_LIMITS.tested)} add @${heard} { ${from} } goto ${tested}`,
        `${from} @${knownSources} goto ${strangers}`,
        refuse(spec),
      ],
    },
    // When the set is full the packet goes on all the same.
    { chain: tested, list: [`update @${asked} { ${from} }`, `queue num ${spec.firstQueue}`] },
  ];
}
