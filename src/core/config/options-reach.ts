import { EXPOSED_RATE } from '../budgets.ts';
import { RETURN_TABLE_FIRST } from './limits.ts';
import { exposureList, sourceList } from './exposure-list.ts';
import { valued, type Option } from './option.ts';
import { publicAddresses } from './syntax-peers.ts';
import { oneOf, wholeNumber } from './syntax.ts';
import { formatMark, markValue } from './syntax-reach.ts';

/** Services behind a client, and the way of their answers. */
export const REACH_OPTIONS: readonly Option[] = [
  valued(
    {
      name: 'expose',
      group: 'reach',
      role: 'server',
      peer: 'own',
      fallback: 'none',
      kept: ({ exposed }) => exposed?.services,
      help:
        "Services of the peer's that visitors reach at this host's addresses, and that see the visitors' own " +
        'addresses: [IP:]PROTOCOL/PORT[-PORT][:TARGET][:PORT], or [IP:]all[:TARGET] for every port that nothing else ' +
        'on this host has. TARGET is a host behind the peer, of its allowed-ips. Behind a service stand its limits: ' +
        '`from PREFIXES` instead of expose-from, `rate N` new connections a second (none: any; without, ' +
        `${EXPOSED_RATE.perSecond}), of one visitor a quarter of that; \`connections N\` at one time.`,
    },
    exposureList,
    'expose',
  ),
  valued(
    {
      name: 'public-ip',
      group: 'reach',
      peer: 'own',
      fallback: 'none',
      kept: ({ publicIps }) => publicIps,
      help:
        "Public addresses that are the peer's own, of a client its own (the same at both ends): whatever comes to them " +
        'goes there, and what is sent from them leaves by the server. They are routed to the server, or of a network of its.',
    },
    publicAddresses,
    'publicIps',
  ),
  valued(
    {
      name: 'expose-from',
      group: 'reach',
      role: 'server',
      peer: 'own',
      fallback: 'none: from anywhere',
      kept: ({ exposed }) => exposed?.from,
      help: 'Where visitors of the exposed services may come from; those with a `from` of their own have that.',
    },
    sourceList,
    'exposeFrom',
  ),
  valued(
    {
      name: 'return-path',
      group: 'reach',
      role: 'client',
      fallback: 'route: what the routes of this host say',
      fixed: ({ config }) => config.returnPath !== undefined,
      help:
        'With tunnel, what comes in by the tunnel is answered by it, by this host and by those behind it, ' +
        'whatever its default route is: for services that the server exposes.',
    },
    oneOf('WAY', ['tunnel', 'route'] as const),
    'returnPath',
  ),
  valued(
    {
      name: 'return-path-table',
      group: 'reach',
      role: 'client',
      fallback: `the first free one from ${RETURN_TABLE_FIRST}`,
      fixed: ({ config }) => config.returnPath?.table,
      help: 'Number of the routing table of return-path.',
    },
    wholeNumber('N', 256, 0xffff_ffff),
    'returnTable',
  ),
  valued(
    {
      name: 'return-path-mark',
      group: 'reach',
      role: 'client',
      fallback: 'the first free one from 0x1000000/0x3f000000',
      fixed: ({ config }) => config.returnPath?.mark && formatMark(config.returnPath.mark),
      help: 'Mark of the connections, and packets, of return-path: only the bits of MASK are touched.',
    },
    markValue,
    'returnMark',
  ),
];
