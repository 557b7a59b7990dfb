import type { InnerIp, Path } from '../../core/addr.ts';
import type { PeerId } from '../../core/config/tunnel-config.ts';
import type { Millis } from '../../core/units.ts';
import type { PeerStatus, TrafficCounts, TunnelStatus } from '../../ports/control.ts';
import type { PlaneName } from '../../ports/data-plane.ts';
import type { ProcessState, RunEntry } from '../../ports/run-store.ts';
import { explainHindrance, tryDaemon, type AskPorts, type Hindrance } from './ask-daemon.ts';

/*
 * What `show` knows of the tunnels: asked of their daemons, all at once, each with a limit of its own; of
 * one that does not answer what the run record and the kernel say.
 */

/** One whose daemon answered. */
export type AnsweringTunnel = TunnelStatus & {
  readonly daemon: 'answers';
  readonly configPath: string | undefined;
  /** As in the run record. */
  readonly log: string;
  /** Those that were asked for. */
  readonly peers: readonly PeerStatus[];
};

/** One whose daemon did not; `refuses`: it answered that it cannot tell. */
export type RecordedTunnel = {
  readonly daemon: Hindrance | 'refuses';
  /** Why there is no answer, in words, and what to do. */
  readonly why: string;
  readonly hint: string | undefined;
  readonly name: string;
  readonly role: 'server' | 'client';
  readonly device: string;
  readonly plane: PlaneName;
  readonly planeReason: string | undefined;
  readonly pid: number;
  readonly processState: ProcessState | undefined;
  readonly since: Millis;
  readonly configPath: string | undefined;
  readonly log: string;
  readonly innerIps: readonly InnerIp[];
  /** Undefined where there are several peers, of which the record says nothing. */
  readonly innerPeerIps: readonly InnerIp[] | undefined;
  readonly path: Path | undefined;
  /** Whether the kernel carries packets of those who were admitted; undefined when it may. */
  readonly forwarding: boolean | undefined;
  readonly traffic: TrafficCounts | undefined;
};

export type Tunnel = AnsweringTunnel | RecordedTunnel;

export type SurveyPorts = AskPorts & {
  /** Inner traffic of a network device, whoever made it; undefined when there is none. */
  readonly deviceCounters: (device: string) => TrafficCounts | undefined;
};

/** `howMany` of a tunnel's peers are told, the first ones, or those behind the peer `after`. */
export function surveyTunnels(
  entries: readonly RunEntry[],
  ports: SurveyPorts,
  howMany: (status: TunnelStatus) => number,
  after?: PeerId,
): Promise<readonly Tunnel[]> {
  return Promise.all(entries.map((entry) => surveyTunnel(entry, ports, howMany, after)));
}

/** Pages of a tunnel's peers, in its order, behind the peer `after`; returns why there is no next one. */
export async function* peerPages(
  entry: RunEntry,
  ports: SurveyPorts,
  after: PeerId | undefined,
): AsyncGenerator<readonly PeerStatus[], RecordedTunnel | undefined> {
  let last = after;
  for (;;) {
    const request = { request: 'peers', ...(last !== undefined && { after: last }) } as const;
    const page = await tryDaemon(entry, ports, request);
    if (page.kind === 'none') return recorded(page, ports);
    if (!page.reply.ok) return refusing(entry, page.reply.error, ports);
    const { peers = [], more = false } = page.reply;
    last = peers.at(-1)?.id;
    if (last !== undefined) yield peers;
    if (last === undefined || !more) return undefined;
  }
}

async function surveyTunnel(
  entry: RunEntry,
  ports: SurveyPorts,
  howMany: (status: TunnelStatus) => number,
  after: PeerId | undefined,
): Promise<Tunnel> {
  const answer = await tryDaemon(entry, ports, { request: 'status' });
  if (answer.kind === 'none') return recorded(answer, ports);
  const { reply } = answer;
  if (!reply.ok) return refusing(entry, reply.error, ports);
  const { status } = reply;
  if (status === undefined) return refusing(entry, 'it gave no status', ports);
  const peers: PeerStatus[] = [];
  const most = Math.min(howMany(status), status.peerCount);
  const pages = peerPages(entry, ports, after);
  while (peers.length < most) {
    const { done, value } = await pages.next();
    if (done === true && value !== undefined) return value;
    if (done === true) break;
    for (const peer of value) peers.push(peer);
  }
  const { configPath, log } = entry.record;
  return { daemon: 'answers', configPath, log, ...status, peers: peers.slice(0, most) };
}

function recorded(
  answer: Parameters<typeof explainHindrance>[0],
  ports: SurveyPorts,
): RecordedTunnel {
  const { message, hint } = explainHindrance(answer);
  return fromRecord(answer.entry, { daemon: answer.why, why: message, hint }, ports);
}

function refusing(entry: RunEntry, error: string, ports: SurveyPorts): RecordedTunnel {
  const why = `its daemon (process ${entry.record.process.pid}) cannot tell: ${error}`;
  return fromRecord(entry, { daemon: 'refuses', why, hint: undefined }, ports);
}

function fromRecord(
  { device, record, state }: RunEntry,
  unanswered: Pick<RecordedTunnel, 'daemon' | 'why' | 'hint'>,
  { deviceCounters }: SurveyPorts,
): RecordedTunnel {
  const { config, plane } = record;
  const [sole] = config.peers;
  const counts = deviceCounters(device);
  return {
    ...unanswered,
    name: config.name,
    role: config.role,
    device,
    plane,
    planeReason: record.planeReason,
    pid: record.process.pid,
    processState: state,
    since: record.since,
    configPath: record.configPath,
    log: record.log,
    innerIps: config.inner.ips,
    innerPeerIps: sole?.innerIps,
    path: record.path,
    forwarding: isForwarding(unanswered.daemon, record, counts !== undefined),
    // What programs of the `bpf` plane take passes the device's own counters by.
    traffic: plane === 'bpf' ? undefined : counts,
  };
}

/** Only what is in the kernel goes on without user space, and only towards admitted peers. */
function isForwarding(
  daemon: RecordedTunnel['daemon'],
  { plane, config, path }: RunEntry['record'],
  hasDevice: boolean,
): boolean | undefined {
  if (daemon === 'starting' || daemon === 'ending') return undefined;
  // Packets of the `tun` plane have a thread of their own, which a stopped process has not.
  if (plane === 'tun') return daemon === 'dead' || daemon === 'stopped' ? false : undefined;
  // Of several peers the record does not say whether any was admitted.
  return hasDevice && (path !== undefined || config.peers.length === 0);
}
