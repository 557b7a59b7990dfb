import { ipBatch, inside } from '../../adapters/lab/namespaces.ts';
import { run } from '../../adapters/lab/process.ts';
import type { Probe } from '../contestant.ts';

/* What a contestant needs of this machine, tried rather than looked up. */

/** The reason why one of these programs cannot be run here. */
export async function lacksProgram(...names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const { code } = await run(['sh', '-c', 'command -v "$1"', 'sh', name]);
    if (code !== 0) return `${name} is not installed`;
  }
  return undefined;
}

/** The reason why the kernel refuses such lines of `ip` in a namespace that is thrown away. */
export async function refuses(probe: Probe, what: string, lines: readonly string[]) {
  for (const line of lines) {
    const { code, stderr } = await run(inside(probe.namespace, ['ip', ...line.split(' ')]));
    if (code === 0) continue;
    const words = stderr.trim().split('\n')[0] ?? '';
    return `this kernel has no ${what} (${words})`;
  }
  return undefined;
}

/** The same for a kind of device; it is removed again. */
export async function lacksLink(
  probe: Probe,
  kind: string,
  more = '',
): Promise<string | undefined> {
  const add = `link add probe0 type ${kind}${more === '' ? '' : ` ${more}`}`;
  const refused = await refuses(probe, kind, [add]);
  if (refused === undefined) await ipBatch(probe.namespace, ['link del probe0']);
  return refused;
}

export async function lacksTun(probe: Probe): Promise<string | undefined> {
  const refused = await refuses(probe, 'TUN', ['tuntap add dev probe0 mode tun']);
  if (refused === undefined) await ipBatch(probe.namespace, ['link del probe0']);
  return refused;
}

/** Loads what modules of these there are; a kernel without modules has them or has not. */
export async function loadModules(): Promise<void> {
  const modules = ['ipip', 'fou', 'ip_gre', 'vxlan', 'geneve', 'wireguard', 'tun', 'l2tp_eth'];
  const more = ['l2tp_netlink', 'nft_queue', 'nfnetlink_queue', 'sch_netem', 'sch_tbf', 'cls_bpf'];
  for (const module of [...modules, ...more]) {
    await run(['modprobe', '-q', module]).catch(() => undefined);
  }
}
