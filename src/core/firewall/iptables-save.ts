/** Rules as iptables-save(8) and ip6tables-save print them, of either backend. */
import type { Chain, Hook, Rule, Tool, Verdict } from './chains.ts';
import {
  all,
  any,
  holdsIf,
  inPrefix,
  namesDevice,
  not,
  readPrefix,
  type Holds,
  type Packet,
} from './packet.ts';

/** Of the kernel (linux/netfilter_ipv4.h); `nat` changes destinations before others see the packet. */
const PRIORITIES: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  nat: -100,
  filter: 0,
  security: 50,
};

const HOOKS: Readonly<Record<string, Hook>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
};

export function readIptablesSave(
  text: string,
  tool: Exclude<Tool, 'nft'>,
  family: 'ip' | 'ip6',
): readonly Chain[] {
  const chains: (Chain & { readonly rules: Rule[] })[] = [];
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    else if (line.startsWith(':')) {
      const [name = '', policy] = line.slice(1).split(' ');
      const hook = HOOKS[name];
      const priority = PRIORITIES[table] ?? 0;
      const base = policy !== '-' &&
        hook && {
          hook,
          priority,
          policy: policy === 'DROP' ? ('drop' as const) : ('accept' as const),
          devices: [],
        };
      chains.push({ tool, family, table, name, base: base || undefined, rules: [] });
    } else if (line.startsWith('-A ')) {
      const [, name, ...words] = splitWords(line);
      const rule = readRule(line, words);
      if (rule) {
        chains.find((chain) => chain.table === table && chain.name === name)?.rules.push(rule);
      }
    }
  }
  return chains;
}

/** Words between blanks; one in double quotes may have blanks, and quotes behind a backslash. */
function splitWords(line: string): readonly string[] {
  return Array.from(line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g), ([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : quoted.replaceAll(/\\(.)/g, '$1'),
  );
}

type Condition = (packet: Packet) => Holds;

/** Undefined where a packet goes on whatever the rule does. */
function readRule(text: string, words: readonly string[]): Rule | undefined {
  const conditions: Condition[] = [];
  let verdict: Verdict | undefined;
  let invert = false;
  const left = words.values();
  for (const word of left) {
    if (word === '!') {
      invert = true;
      continue;
    }
    if (!word.startsWith('-')) continue;
    if (word === '-j' || word === '-g') {
      verdict = readTarget(word, left.next().value ?? '');
      // What follows belongs to the target.
      break;
    }
    if (word === '-m' || word === '--comment') {
      left.next();
      continue;
    }
    const condition = readOption(word, left);
    if (condition) conditions.push(invert ? (packet) => not(condition(packet)) : condition);
    invert = false;
  }
  if (verdict === undefined) return undefined;
  return {
    text,
    handle: undefined,
    verdict,
    holds: (packet) => all(conditions.map((condition) => condition(packet))),
  };
}

/** Targets after which the packet goes on to the next rule (iptables-extensions(8)). */
const PASSING =
  /^(LOG|NFLOG|ULOG|MARK|CONNMARK|CT|NOTRACK|TOS|DSCP|TTL|HL|SET|TRACE|TCPMSS|CLASSIFY|CHECKSUM|AUDIT|SECMARK|CONNSECMARK|RATEEST|TEE|HMARK|IDLETIMER|LED)$/;

function readTarget(option: string, target: string): Verdict | undefined {
  switch (target) {
    case 'ACCEPT':
    case 'NFQUEUE':
    case 'QUEUE':
    case 'MASQUERADE':
    case 'SNAT':
      return { kind: 'accept' };
    case 'DROP':
      return { kind: 'drop' };
    case 'REJECT':
      return { kind: 'reject' };
    case 'DNAT':
    case 'REDIRECT':
    case 'TPROXY':
      return { kind: 'divert' };
    case 'RETURN':
      return { kind: 'return' };
    default:
      if (PASSING.test(target)) return undefined;
      return { kind: option === '-g' ? 'goto' : 'jump', chain: target };
  }
}

/** What an option asks of a packet. Takes the option's values; of those that are not known, none. */
function readOption(option: string, left: Iterator<string>): Condition | undefined {
  const value = (): string => {
    const next = left.next();
    return next.done === true ? '' : next.value;
  };
  switch (option) {
    case '-p': {
      const protocol = value();
      return (packet) => holdsIf(protocol === 'all' || protocol === packet.protocol);
    }
    case '-s':
      return addressed(value(), ({ source }) => source);
    case '-d':
      return addressed(value(), ({ destination }) => destination);
    case '-i':
      return through(value(), ({ from }) => from);
    case '-o':
      return through(value(), ({ to }) => to);
    case '--dport':
    case '--dports':
      return ported(value(), ({ destinationPort }) => destinationPort);
    case '--sport':
    case '--sports':
      return ported(value(), ({ sourcePort }) => sourcePort);
    case '--ports': {
      const ports = value();
      const either = [
        ported(ports, ({ sourcePort }) => sourcePort),
        ported(ports, ({ destinationPort }) => destinationPort),
      ];
      return (packet) => any(either.map((condition) => condition(packet)));
    }
    case '--state':
    case '--ctstate': {
      const states = value().split(',');
      return ({ state, translated }) =>
        holdsIf(states.includes(state.toUpperCase()) || (translated && states.includes('DNAT')));
    }
    case '--mark': {
      // Nothing has marked it.
      const [mark = ''] = value().split('/');
      return () => holdsIf(Number(mark) === 0);
    }
    case '--dst-type': {
      const types = value().split(',');
      return ({ forHost }) => holdsIf(types.includes(forHost ? 'LOCAL' : 'UNICAST'));
    }
    case '--pkt-type': {
      const type = value();
      return () => holdsIf(type === 'unicast');
    }
    case '--limit':
    case '--hashlimit-upto':
    case '--hashlimit-above':
    case '--match-set':
    case '--src-type':
    case '--connlimit-above':
    case '--connlimit-upto':
      value();
      return () => 'some';
    case '--rpfilter':
      return () => 'yes';
    case '--invert':
      return () => 'no';
    case '--loose':
    case '--validmark':
    case '--accept-local':
    case '-f':
      return undefined;
    case '--limit-burst':
    case '--hashlimit-burst':
    case '--hashlimit-name':
    case '--hashlimit-mode':
    case '--connlimit-mask':
      value();
      return undefined;
    default:
      return () => 'unknown';
  }
}

function addressed(text: string, of: (packet: Packet) => Packet['source']): Condition {
  const prefixes = text.split(',').map(readPrefix);
  return (packet) =>
    any(prefixes.map((prefix) => (prefix ? inPrefix(of(packet), prefix) : 'unknown')));
}

function through(pattern: string, of: (packet: Packet) => string | undefined): Condition {
  return (packet) => {
    const device = of(packet);
    return holdsIf(device !== undefined && namesDevice(pattern, device, '+'));
  };
}

function ported(text: string, of: (packet: Packet) => number | undefined): Condition {
  const ranges = text.split(',').map((part) => {
    const [first = 0, last = first] = part.split(':').map(Number);
    return { first, last };
  });
  return (packet) => {
    const port = of(packet);
    if (port === undefined) return 'some';
    return any(ranges.map(({ first, last }) => holdsIf(port >= first && port <= last)));
  };
}
