import { millis } from '../core/units.ts';
import type { Contestant, Tunnel } from './contestant.ts';
import type { Side } from './side.ts';
import { busySeconds, programSeconds } from './cpu.ts';
import { iperf, iperfArguments, IPERF_PORT, startIperfServer, type Received } from './iperf.ts';
import { ping, ReplyWatch, type RoundTrips } from './ping.ts';
import { profiled } from './profile.ts';
import type { Step } from './scenes.ts';
import type { Site } from './site.ts';

/** Where and by whom a step is taken. */
export type Stage = {
  readonly site: Site;
  readonly contestant: Contestant;
  readonly tunnel: Tunnel;
  /** The server, then the clients. */
  readonly sides: readonly Side[];
  readonly seconds: number;
};

type Values = Readonly<Record<string, number>>;

/** How long a contestant may take to recover before that counts as never. */
const RECOVER_TIMEOUT = millis(3_000);
/** Between packets meanwhile, milliseconds: some recover within a few. */
const RECOVER_INTERVAL = 2;
/** Seconds of pings with nothing else going on. */
const IDLE_PING = 0.5;
const MEGA = 1e6;
/** CPU-%: 100 is one processor. */
const PERCENT = 100;

/** Takes one measurement; rejects when it yields nothing. */
export async function takeStep(
  step: Exclude<Step, { kind: 'profile' }>,
  stage: Stage,
): Promise<Values> {
  if (step.kind === 'ping') return idlePing(stage);
  if (step.kind === 'tcp') return tcp(step, stage);
  if (step.kind === 'udp') return udp(step, stage);
  if (step.kind === 'peers') return peers(step.count, stage);
  return recover(stage);
}

/** What the machine does while one stream goes up. */
export async function takeProfile({ site, tunnel, seconds }: Stage) {
  const server = tunnel.serverAddress;
  const flow = { server, port: IPERF_PORT, seconds, down: false, streams: 1 };
  return profiled(site, iperfArguments(flow));
}

async function idlePing({ site, tunnel }: Stage): Promise<Values> {
  return roundTrips(
    'ping',
    await ping(site.lab, site.lab.client(), tunnel.serverAddress, IDLE_PING),
  );
}

function roundTrips(id: string, { min, avg, max, mdev }: RoundTrips): Values {
  return { [`${id}Min`]: min, [`${id}Avg`]: avg, [`${id}Max`]: max, [`${id}Mdev`]: mdev };
}

async function tcp(step: Step & { kind: 'tcp' }, stage: Stage): Promise<Values> {
  const { site, tunnel, seconds } = stage;
  const { down, streams, id } = step;
  const flow = { server: tunnel.serverAddress, port: IPERF_PORT, seconds, down, streams };
  const load = async () => iperf(site.lab, site.lab.client(), flow);
  if (id !== 'tcpUpMany') {
    const { received, use } = await observed(stage, load);
    const shares = id === 'tcpUp' ? programShares(stage, use) : {};
    return { ...throughput(id, received, use), ...shares };
  }
  const { received, use, pinged } = await observed(stage, load, async () =>
    ping(site.lab, site.lab.client(), tunnel.serverAddress, seconds),
  );
  return { ...throughput(id, received, use), ...(pinged ? roundTrips('load', pinged) : {}) };
}

/** Runs a load and sees what the machine and the programs of each side did meanwhile. */
async function observed(
  { sides }: Stage,
  load: () => Promise<Received>,
  beside?: () => Promise<RoundTrips>,
) {
  const [server, ...clients] = sides.map(({ programs }) => programs);
  const look = async () =>
    Promise.all([busySeconds(), programSeconds(clients.flat()), programSeconds(server ?? [])]);
  // Under load every reply may be lost: then there is no time to tell.
  const pinging = beside?.().catch(() => undefined);
  const before = await look();
  const began = performance.now();
  const received = await load();
  const elapsed = (performance.now() - began) / 1000;
  const after = await look();
  const pinged = await pinging;
  const [busy = 0, client = 0, servers = 0] = after.map((value, i) => value - (before[i] ?? 0));
  return { received, pinged, use: { busy, elapsed, client, server: servers } };
}

/** Seconds: that processors were busy, that passed, and that the programs of each side used. */
type Use = {
  readonly busy: number;
  readonly elapsed: number;
  readonly client: number;
  readonly server: number;
};

function throughput(id: string, { bytes, seconds }: Received, { busy, elapsed }: Use): Values {
  const megabits = (bytes * 8) / MEGA;
  return {
    [id]: megabits / seconds,
    [`${id}Cpu`]: (busy / elapsed) * PERCENT,
    [`${id}Efficiency`]: megabits / Math.max(busy * PERCENT, 1),
  };
}

/** CPU of each side can be told apart only for programs: kernels of namespaces are one. */
function programShares({ sides }: Stage, { elapsed, client, server }: Use): Values {
  if (sides.every(({ programs }) => programs.length === 0)) return {};
  const percent = (busy: number): number => (busy / elapsed) * PERCENT;
  return { daemonClient: percent(client), daemonServer: percent(server) };
}

async function udp(step: Step & { kind: 'udp' }, stage: Stage): Promise<Values> {
  const { site, tunnel, seconds } = stage;
  const { id, size, rate } = step;
  const flow = { server: tunnel.serverAddress, port: IPERF_PORT, seconds, down: false, streams: 1 };
  const asked = rate === undefined ? { size } : { size, rate };
  const { received, use } = await observed(stage, async () =>
    iperf(site.lab, site.lab.client(), { ...flow, udp: asked }),
  );
  const arrived = received.packets - received.lost;
  if (arrived <= 0) throw new Error('no packet arrived');
  return {
    [`${id}Pps`]: arrived / received.seconds,
    [`${id}Loss`]: (received.lost / received.packets) * PERCENT,
    [`${id}Cost`]: (use.busy / arrived) * MEGA,
  };
}

/** So many clients send at one time, each to a port of its own. */
async function peers(count: number, stage: Stage): Promise<Values> {
  const { site, tunnel, seconds } = stage;
  const clients = site.lab.clients.slice(0, count);
  if (clients.length < count) throw new Error(`it serves ${stage.contestant.clients} clients`);
  const port = (index: number): number => IPERF_PORT + 1 + index;
  const servers = await Promise.all(
    clients.map(async (_, index) => startIperfServer(site.lab, site.lab.server, port(index))),
  );
  try {
    const { received, use } = await observed(stage, async () => {
      const each = clients.map(async (namespace, index) =>
        iperf(site.lab, namespace, {
          ...{ server: tunnel.serverAddress, port: port(index), seconds },
          ...{ down: false, streams: 1 },
        }),
      );
      return together(await Promise.all(each));
    });
    // They do not begin and end together: what all moved counts over the whole time.
    return throughput(`peers${count}`, { ...received, seconds: use.elapsed }, use);
  } finally {
    await Promise.all(servers.map(async (server) => server.stop()));
  }
}

function together(each: readonly Received[]): Received {
  const sum = (key: keyof Received): number => each.reduce((total, one) => total + one[key], 0);
  const seconds = sum('seconds') / each.length;
  return { bytes: sum('bytes'), seconds, packets: sum('packets'), lost: sum('lost') };
}

/** The client goes on sending; milliseconds until the first reply that comes through again. */
async function recover({ site, contestant, tunnel }: Stage): Promise<Values> {
  if (contestant.kind === 'bare') throw new Error('no tunnel: nothing to recover');
  if (contestant.router === 'routes') throw new Error('cannot pass a NAT at all');
  const { lab } = site;
  const watch = await ReplyWatch.start(lab, lab.client(), tunnel.serverAddress, RECOVER_INTERVAL);
  try {
    await watch.replyAfter(0, RECOVER_TIMEOUT);
    await lab.remapNat();
    const remapped = Date.now();
    const replied = await watch.replyAfter(remapped, RECOVER_TIMEOUT).catch(() => undefined);
    if (replied === undefined) throw new Error(`not in ${RECOVER_TIMEOUT / 1000} s`);
    return { recover: replied - remapped };
  } finally {
    await watch.stop();
  }
}
