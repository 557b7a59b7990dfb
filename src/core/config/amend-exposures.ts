/** A change of what a running tunnel's peer exposes: `+SERVICES` adds to it, `-SERVICES` takes away from it. */
import { ConfigError } from '../errors.ts';
import { noSuchPeer, type PeerOption } from './edit-peers.ts';
import { formatService, type Exposed } from './exposure.ts';
import { exposureList, formatExposures } from './exposure-list.ts';
import { COMMAND_LINE, findOption } from './setting.ts';
import { wrong, type Reading } from './syntax.ts';
import type { PeerConfig } from './tunnel-config.ts';

/** The options of a peer with whole lists in place of such changes. Throws a ConfigError. */
export function amendExposures(
  options: readonly PeerOption[],
  peer: string,
  peers: readonly PeerConfig[],
): readonly PeerOption[] {
  const before = peers.find(({ id }) => id === peer);
  return options.map((option): PeerOption => {
    const [name, text] = option;
    if (findOption(name)?.slots[0] !== 'expose' || !/^[+-]/.test(text)) return option;
    if (before === undefined) throw noSuchPeer(peer, peers);
    const amended = amend(text, before.exposed);
    if (amended.ok) return [name, amended.value];
    const { expected } = amended;
    throw new ConfigError([
      { source: COMMAND_LINE, line: undefined, key: name, value: text.slice(1), expected },
    ]);
  });
}

function amend(text: string, before: Exposed | undefined): Reading<string> {
  const reading = exposureList.read(text.slice(1));
  if (!reading.ok) return reading;
  const there = before?.services ?? [];
  const named = new Set(reading.value.map(formatService));
  const others = there.filter((service) => !named.has(formatService(service)));
  // What is there already has other limits then.
  if (text.startsWith('+')) {
    return { ok: true, value: formatExposures([...others, ...reading.value]) };
  }
  const known = there.map(formatService);
  if ([...named].every((name) => known.includes(name))) {
    return { ok: true, value: formatExposures(others) };
  }
  return wrong(`services that the peer exposes: ${known.length === 0 ? 'none' : known.join(', ')}`);
}
