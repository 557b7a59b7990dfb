/*
 * What is measured, one row each: the word in results, its unit, and which way is better.
 * `Measures` of a turn hold what could be measured; the reason why something could not is kept
 * beside it.
 */

export type Measure = {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** Decimals in tables. */
  readonly digits: number;
  /** Compared with the bare path of the same round: what a busy machine does to both cancels out. */
  readonly relative: boolean;
};

/** Sizes of UDP payloads in bytes. */
export const SIZES = [64, 256, 700, 1400] as const;
/** How many clients send at one time. */
export const PEERS = [1, 4, 16] as const;

export const MEASURES: readonly Measure[] = [
  measure('start', 'start to the first reply', 'ms', 'lower', 0),
  measure('recover', 'recovery after the NAT remaps', 'ms', 'lower', 0),
  ...pings('ping', 'ping, idle'),
  ...pings('load', 'ping, under load'),
  ...throughput('tcpUp', 'TCP up, one stream'),
  ...throughput('tcpDown', 'TCP down, one stream'),
  ...throughput('tcpUpMany', 'TCP up, four streams'),
  ...throughput('tcpDownMany', 'TCP down, four streams'),
  measure('daemonClient', 'CPU of the client’s programs, TCP up', 'CPU-%', 'lower', 0),
  measure('daemonServer', 'CPU of the server’s programs, TCP up', 'CPU-%', 'lower', 0),
  ...packets('udpRate', 'UDP at a given rate, 1400 bytes'),
  ...SIZES.flatMap((size) => packets(`udp${size}`, `UDP at saturation, ${size} bytes`)),
  ...PEERS.flatMap((count) => throughput(`peers${count}`, `TCP up of ${count} clients together`)),
];

const BY_ID = new Map(MEASURES.map((each) => [each.id, each]));

export function findMeasure(id: string): Measure | undefined {
  return BY_ID.get(id);
}

function measure(
  id: string,
  title: string,
  unit: string,
  better: Measure['better'],
  digits: number,
  relative = false,
): Measure {
  return { id, title, unit, better, digits, relative };
}

function pings(id: string, title: string): readonly Measure[] {
  return (['Min', 'Avg', 'Max', 'Mdev'] as const).map((key) =>
    measure(`${id}${key}`, `${title}, ${key.toLowerCase()}`, 'ms', 'lower', 3),
  );
}

/** Mbit/s of what arrived, CPU of the whole machine (100 is one processor), and what a CPU-% moves. */
function throughput(id: string, title: string): readonly Measure[] {
  return [
    measure(id, title, 'Mbit/s', 'higher', 0, true),
    measure(`${id}Cpu`, `${title}: CPU`, 'CPU-%', 'lower', 0),
    measure(`${id}Efficiency`, `${title}: efficiency`, 'Mbit/s per CPU-%', 'higher', 2, true),
  ];
}

/** Packets a second that arrived, the share that did not, and what one costs the whole machine. */
function packets(id: string, title: string): readonly Measure[] {
  return [
    measure(`${id}Pps`, title, 'packets/s', 'higher', 0, true),
    measure(`${id}Loss`, `${title}: loss`, '%', 'lower', 2),
    measure(`${id}Cost`, `${title}: CPU a packet`, 'µs', 'lower', 2, true),
  ];
}
