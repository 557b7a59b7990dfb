import type { TunnelConfig } from '../../core/config/tunnel-config.ts';
import type { TunnelFacts } from '../../core/doctor/facts.ts';
import type { RunList } from '../../ports/run-store.ts';
import { surveyTunnels, type SurveyPorts } from '../management/survey.ts';

export type DaemonPorts = SurveyPorts & { readonly runs: Pick<RunList, 'find'> };

/** Of so many peers what their daemon tells is looked at. */
const PEERS_MAX = 64;

/** What the daemon of a config's device says of it. */
export async function daemonFacts(
  { inner: { device } }: TunnelConfig,
  ports: DaemonPorts,
): Promise<TunnelFacts['daemon']> {
  const entry = ports.runs.find(device);
  if (entry === undefined) return undefined;
  const [tunnel] = await surveyTunnels([entry], ports, () => PEERS_MAX);
  if (tunnel === undefined) return undefined;
  if (tunnel.daemon !== 'answers') {
    return { silent: tunnel.why, hint: tunnel.hint ?? `ipipou show ${device}` };
  }
  return tunnel;
}
