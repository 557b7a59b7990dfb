import { TOKEN_SAFE_BYTES } from './limits.ts';
import { heard, type PeerView } from './peer-view.ts';
import type { Situation } from './rules.ts';
import type { Setting } from './setting.ts';
import type { SlotName } from './slots.ts';
import type { PeerConfig } from './tunnel-config.ts';
import { DEFAULT_PEER } from './tunnel-config.ts';

/** Warnings about single sections beyond which they are counted only. */
const SECTION_WARNINGS_MAX = 20;

const KEY_UNUSED = 'no effect with session v1 and without reply-on-auth-ok';

/** What the peers of a tunnel make of their options, for warnings about what has no effect. */
export class PeerWarnings {
  /** About the default peer. */
  readonly aboutDefault: string[] = [];
  readonly aboutSections: string[] = [];
  /** Beyond those. */
  untold = 0;
  /** Of all peers, the default one too. */
  all = 0;
  withKeys = 0;
  withDefaultSecret = 0;
  verifying = 0;
  /** Whom the own key proves this side to. */
  usingKey = 0;
  /** Whose packets may come from anywhere. */
  takingAny = 0;

  look(view: PeerView, { id, proof, auth, allowedIps }: PeerConfig): void {
    const keys = proof.kind === 'ed25519' ? proof : undefined;
    this.all += 1;
    if (keys) this.withKeys += 1;
    if (allowedIps === 'any' || allowedIps.some(({ length }) => length === 0)) this.takingAny += 1;
    if (keys && heard(view, 'secret') === undefined) this.withDefaultSecret += 1;
    if (keys?.peerPublicKey) this.verifying += 1;
    if (keys?.privateSeed && (auth.replyOnAuthOk || auth.session !== 'v1')) this.usingKey += 1;
    this.#findOwn(view, keys !== undefined, id === DEFAULT_PEER);
    if (id === DEFAULT_PEER) return;
    for (const text of view.settings.flatMap(textWarnings)) this.#add(text, false);
  }

  #findOwn(view: PeerView, keys: boolean, isDefault: boolean): void {
    const { own, base } = view;
    const warnAt = (slot: SlotName, text: string) => {
      const origin = view.origins.get(slot);
      if (origin) this.#add(`${formatPlace(origin)}: ${origin.option.name}: ${text}`, isDefault);
    };
    if (own.token !== undefined && own.token.length > TOKEN_SAFE_BYTES) {
      warnAt(
        'token',
        `longer than ${TOKEN_SAFE_BYTES} bytes: packets of it may be lost on the way`,
      );
    }
    // What sections inherit is looked at once they all are known.
    if (!isDefault && !keys) warnAt('secret', 'no effect without keys');
    if (!isDefault && !own.peerPublicKey) {
      warnAt('maxTimeDiscrepancy', 'no effect without auth-remote-pubkey-b64');
    }
    if (base.role !== 'server') return;
    if (!own.expose?.length && own.exposeFrom?.length)
      warnAt('exposeFrom', 'no effect without expose');
    if (!isDefault && !heard(view, 'replyOnAuthOk') && heard(view, 'session') === 'v1') {
      warnAt('privateSeed', KEY_UNUSED);
    }
    if (!own.byRemoteIp) warnAt('remoteHost', 'admits others too without auth-by-remote-ip');
    if (!own.byRemotePort) warnAt('remotePort', 'admits other ports without auth-by-remote-port');
  }

  #add(text: string, isDefault: boolean): void {
    if (isDefault) this.aboutDefault.push(text);
    else if (this.aboutSections.length < SECTION_WARNINGS_MAX) this.aboutSections.push(text);
    else this.untold += 1;
  }
}

/** What works, but hardly as meant: a line of text each, with the place that it comes from. */
export function findWarnings(
  at: Situation,
  peers: PeerWarnings,
  hasDefault: boolean,
): readonly string[] {
  const { slots, origins, base } = at;
  const found: string[] = [];
  const warnAt = (slot: SlotName, text: string) => {
    const origin = origins.get(slot);
    if (origin) found.push(`${formatPlace(origin)}: ${origin.option.name}: ${text}`);
  };
  if (peers.withDefaultSecret > 0) {
    found.push(
      `${at.place.source}: auth-secret: not given: the default is known to everybody, choose one`,
    );
  }
  if (base.role === 'server' && slots.role === undefined) {
    found.push(`${at.place.source}: no line \`server\`: taken for one by what is set`);
  }
  if (
    base.role === 'server' &&
    hasDefault &&
    !slots.auth &&
    !slots.peerPublicKey &&
    !slots.token &&
    !slots.byRemoteIp
  ) {
    const port = slots.byRemotePort ? ' from the right port' : '';
    found.push(
      `${at.place.source}: no authentication: whoever sent the latest packet${port} is the client`,
    );
  }
  // A server that invites has nobody yet, and says what they will inherit.
  if (peers.all > 0 && peers.withKeys === 0) {
    warnAt('secret', 'no effect without keys');
    warnAt('keyType', 'no effect without keys');
  }
  if (peers.all > 0 && peers.verifying === 0) {
    warnAt('maxTimeDiscrepancy', 'no effect without auth-remote-pubkey-b64');
  }
  if (base.role === 'server' && peers.all > 0 && peers.usingKey === 0) {
    warnAt('privateSeed', KEY_UNUSED);
  }
  if (slots.returnPath !== 'tunnel') {
    warnAt('returnTable', 'no effect without return-path tunnel');
    warnAt('returnMark', 'no effect without return-path tunnel');
  } else if (peers.takingAny === 0) {
    warnAt(
      'returnPath',
      'visitors come from anywhere, and allowed-ips lets in what it names: leave it out, or add 0.0.0.0/0 (::/0)',
    );
  }
  if (slots.table !== undefined && slots.allowedIps === undefined) {
    warnAt('table', 'no effect without allowed-ips, as in `allowed-ips 0.0.0.0/0`');
  }
  return [
    ...found,
    ...at.settings.flatMap(textWarnings),
    ...peers.aboutDefault,
    ...peers.aboutSections,
    ...untold(peers),
    ...withoutTheirPlane(at),
  ];
}

/** What looks like a slip in a secret or token, which is taken as it stands. Shows nothing of it. */
function textWarnings(setting: Setting): readonly string[] {
  const { option, text } = setting;
  if (!option.secret || option.value?.placeholder !== 'TEXT') return [];
  const slips: readonly (readonly [RegExp, string])[] = [
    [/^\s/, 'begins with a space, which is part of it'],
    [/\s$/, 'ends with a space, which is part of it'],
    [/^(["']).*\1$/s, 'stands in quotes, which are part of it'],
    [/\s#/, 'has a # in it: what follows is part of it, not a comment'],
  ];
  return slips
    .filter(([slip]) => slip.test(text))
    .map(([, words]) => `${formatPlace(setting)}: ${option.name}: ${words}`);
}

function untold({ untold: count }: PeerWarnings): readonly string[] {
  return count === 0 ? [] : [`${count} more of this kind about peers`];
}

function withoutTheirPlane({ settings, slots }: Situation): readonly string[] {
  const { dataplane = 'auto' } = slots;
  return settings
    .filter(({ option: { plane } }) => {
      return plane !== undefined && dataplane !== 'auto' && dataplane !== plane;
    })
    .map((setting) => {
      const { name, plane } = setting.option;
      return `${formatPlace(setting)}: ${name}: no effect without dataplane ${plane ?? ''}`;
    });
}

function formatPlace({ source, line }: Setting): string {
  return line === undefined ? source : `${source}:${line}`;
}
