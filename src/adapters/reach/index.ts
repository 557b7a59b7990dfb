import type { Reach, ReachContext, ReachHost } from '../../ports/reach.ts';
import { IpipouError } from '../../core/errors.ts';
import {
  publicAddressesOf,
  type ExposingPeer,
  type PublicAddress,
} from '../../core/reach/services.ts';
import { UndoStack } from '../../core/undo-stack.ts';
import { AnswersBeside, cleanBeside } from './beside.ts';
import { cleanDns, Dns, requireDns } from './dns.ts';
import { Exposing } from './expose.ts';
import { cleanKillSwitch, KillSwitch } from './kill-switch.ts';
import { cleanMasquerading, Masquerading } from './masquerade.ts';
import { cleanPolicyRouting, PolicyRouting } from './policy-routing.ts';
import { PublicAddresses } from './public-addresses.ts';
import { readRecord, type ReachRecord } from './record.ts';
import { cleanReturnPath, ReturnPath } from './return-path.ts';

/** Rules and settings of the calling thread's network namespace. */
export const reachHost: ReachHost = {
  async open(context: ReachContext): Promise<Reach> {
    const undo = new UndoStack();
    try {
      return await open(context, undo);
    } catch (error) {
      await undo.release().catch(() => undefined);
      throw error;
    }
  },
  require: requireDns,
  killSwitch: (context, peers) => KillSwitch.open(context, peers),
  async clean(context) {
    await new PublicAddresses(context).close();
    await cleanDns(context);
    new Exposing(context).close();
    cleanMasquerading(context);
    await cleanPolicyRouting(context);
    await cleanBeside(context);
    await cleanReturnPath(context);
    cleanKillSwitch(context);
  },
};

async function open(context: ReachContext, undo: UndoStack): Promise<Reach> {
  const { config, journal } = context;
  const { returnPath, routing } = readRecord(journal);
  // What was chosen goes on; that of another config does not.
  if (returnPath && !goesOn(config, returnPath)) await cleanReturnPath(context);
  if (routing && !routesOn(config, routing)) await cleanPolicyRouting(context);
  if (!answersBeside(config)) await cleanBeside(context);
  if (config.masquerade !== true) cleanMasquerading(context);
  if (config.killSwitch === undefined) cleanKillSwitch(context);
  if (config.dns === undefined) await cleanDns(context);
  // First of all who has conntrack begin: what was there before must be known for older.
  const beside = answersBeside(config) ? await AnswersBeside.open(context) : undefined;
  undo.push('answers beside the tunnel', () => beside?.close());
  const path = config.returnPath && (await ReturnPath.open(context));
  undo.push('return path', () => path?.close());
  const { table } = config;
  const leads = table !== undefined && table !== 'off';
  const policy = leads ? await PolicyRouting.open(context) : undefined;
  undo.push('routing of allowed-ips', () => policy?.close());
  const dns = config.dns && (await Dns.open(context));
  undo.push('name servers', () => dns?.close());
  const masquerading = config.masquerade === true ? Masquerading.open(context) : undefined;
  undo.push('masquerading', () => masquerading?.close());
  const publics = new PublicAddresses(context);
  undo.push('public addresses', () => publics.close());
  const exposing = new Exposing(context);
  undo.push('exposed services', () => exposing.close());
  return {
    expose: async (peers) =>
      config.role === 'server'
        ? exposeTo(exposing, publics, peers)
        : takeAddresses(path, publicAddressesOf(peers)),
    counts: () => exposing.counts(),
    lead: async (peers) => policy?.lead(peers),
    keepOutside: async (ip) => policy?.keepOutside(ip),
    lookingUp: (work) => (policy ? policy.lookingUp(work) : work()),
    facts: () => [
      ...(policy?.facts() ?? []),
      ...(path?.facts() ?? []),
      ...(dns?.facts() ?? []),
      ...(masquerading ? ['what comes out of the tunnel is masqueraded'] : []),
    ],
    close: () => undo.release(),
  };
}

async function exposeTo(
  exposing: Exposing,
  publics: PublicAddresses,
  peers: readonly ExposingPeer[],
): Promise<void> {
  const addresses = publicAddressesOf(peers);
  await publics.check(addresses);
  exposing.set(peers);
  await publics.set(addresses);
}

async function takeAddresses(
  path: ReturnPath | undefined,
  addresses: readonly PublicAddress[],
): Promise<void> {
  if (path) return path.take(addresses.map(({ ip }) => ip));
  if (addresses.length === 0) return;
  throw new IpipouError('arguments', 'public-ip: this client has been started without any', {
    hint: 'start it anew with public-ip, or with return-path tunnel',
  });
}

/** A kill switch lets no answers out, and with a table of one's own the rules are one's own. */
function answersBeside({ table, killSwitch }: ReachContext['config']): boolean {
  return table === 'auto' && killSwitch === undefined;
}

function routesOn(
  { table }: ReachContext['config'],
  record: NonNullable<ReachRecord['routing']>,
): boolean {
  if (table === 'auto') return record.priority !== undefined;
  return table === record.table && record.priority === undefined;
}

function goesOn(
  { returnPath: wanted }: ReachContext['config'],
  { table, mark }: NonNullable<ReachRecord['returnPath']>,
): boolean {
  if (wanted === undefined) return false;
  const sameTable = wanted.table === undefined || wanted.table === table;
  const sameMark =
    wanted.mark === undefined ||
    (wanted.mark.value === mark.value && wanted.mark.mask === mark.mask);
  return sameTable && sameMark;
}
