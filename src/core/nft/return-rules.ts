/**
 * Rules that send the answers to what came by a tunnel back by it: its connections bear a mark, their answers
 * bear it while their way is looked up. Bits outside of the mask stay as they are.
 */
import { familyOf, type InnerIp, type Ip } from '../addr.ts';
import type { Mark } from '../config/syntax-reach.ts';
import { markWords } from './mark-words.ts';
import { tableScript } from './own-table.ts';

/**
 * Where datagrams go that come for `inner` and meet a socket which is bound to no address: an answer of such a
 * socket's has the address that the host's routes choose, and would be taken for no answer.
 */
export type Answerer = { readonly inner: InnerIp; readonly chosen: Ip };

export function returnScript({
  table,
  device,
  mark,
  answerers,
}: {
  readonly table: string;
  readonly device: string;
  readonly mark: Mark;
  readonly answerers: readonly Answerer[];
}): string {
  const { is, isNot, set, others } = markWords(mark);
  const answer = `ct direction reply ${is('ct')} ${set('meta')}`;
  const segments = 'tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu';
  const chains: readonly (readonly [name: string, hook: string, rules: readonly string[]])[] = [
    [
      'arriving',
      'type filter hook prerouting priority mangle',
      [
        `iifname "${device}" ct direction original ${isNot('ct')} ${set('ct')}`,
        `iifname != "${device}" ${answer}`,
      ],
    ],
    // After those who publish ports of containers.
    [
      'unbound',
      'type nat hook prerouting priority dstnat + 10',
      answerers.map(({ inner, chosen }) => {
        const ip = familyOf(inner) === 'ipv4' ? 'ip' : 'ip6';
        const own = `iifname "${device}" ${ip} daddr ${inner} meta l4proto udp`;
        return `${own} socket wildcard 1 dnat ${ip} to ${chosen}`;
      }),
    ],
    ['from-here', 'type route hook output priority mangle', [answer]],
    // What the tunnel makes of the packet outside must not be led into the tunnel.
    [
      'leaving',
      'type filter hook postrouting priority mangle',
      [
        // Who answers has looked at the MTU of another way.
        `oifname "${device}" ${is('ct')} ${segments}`,
        `oifname "${device}" ${is('meta')} meta mark set ${others('meta')}`,
      ],
    ],
  ];
  return tableScript(
    table,
    chains.map(([name, hook, rules]) => [name, `{ ${hook}; policy accept; }`, rules]),
  );
}
