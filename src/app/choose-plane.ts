import type { OuterConfig, TunnelConfig } from '../core/config/tunnel-config.ts';
import { IpipouError } from '../core/errors.ts';
import type { DataPlane, PlaneContext, PlaneFactory, Requirement } from '../ports/data-plane.ts';
import { unprovable, type Proved } from './peer-integrity.ts';

/** What of a config only some planes can do. */
export type Asked = {
  readonly peers: readonly Proved[];
  readonly outer?: Pick<OuterConfig, 'fragments'>;
};

const FRAGMENTS: Requirement = {
  what: 'outer-fragments',
  met: false,
  detail: 'it cannot send outer packets in fragments',
  fix: 'dataplane fou, tun or auto',
  exit: 'arguments',
};

export type PlaneChoice = {
  readonly factory: PlaneFactory;
  /** Why not the best one, or that it was asked for; undefined where there is nothing to say. */
  readonly reason: string | undefined;
};

/**
 * The plane to use: the one asked for, or with `auto` the first of `planes` whose requirements are
 * all met and that can do what is asked for. Loads kernel modules. Rejects with what is missing and what to do.
 */
export async function choosePlane(
  wanted: TunnelConfig['dataplane'],
  planes: readonly PlaneFactory[],
  asked: Asked,
): Promise<PlaneChoice> {
  if (wanted !== 'auto') {
    const factory = planes.find((plane) => plane.name === wanted);
    if (!factory) throw new IpipouError('notImplemented', `there is no data plane ${wanted}`);
    // There is no other one: opening it is the trial.
    const missing = await missingOf(factory, asked, false);
    if (missing.length > 0) throw unavailable([{ factory, missing }]);
    return { factory, reason: 'asked for by the config' };
  }
  const passedOver: Unavailable[] = [];
  for (const factory of planes) {
    const missing = await missingOf(factory, asked, true);
    if (missing.length === 0) return { factory, reason: reasonFor(passedOver) };
    passedOver.push({ factory, missing });
  }
  throw unavailable(passedOver);
}

/** Has what is chosen load its parts. What fails of that is told by opening it. */
export async function prepareChosen(choosing: Promise<PlaneChoice>): Promise<PlaneChoice> {
  const choice = await choosing;
  await choice.factory.prepare?.().catch(() => undefined);
  return choice;
}

/** Opens a plane; where it lacks something of this machine, the error says what, and what to do. */
export async function openPlane(factory: PlaneFactory, context: PlaneContext): Promise<DataPlane> {
  try {
    return await factory.open(context);
  } catch (error) {
    const requirements = await factory.probe({ load: true, trial: true });
    const missing = requirements.filter(({ met }) => !met);
    throw missing.length > 0 ? unavailable([{ factory, missing }]) : error;
  }
}

type Unavailable = { readonly factory: PlaneFactory; readonly missing: readonly Requirement[] };

async function missingOf(
  factory: PlaneFactory,
  { peers, outer }: Asked,
  trial: boolean,
): Promise<readonly Requirement[]> {
  const integrity = unprovable(factory, peers);
  if (integrity) return [integrity];
  if (outer?.fragments === true && !factory.capabilities.fragments) return [FRAGMENTS];
  return (await factory.probe({ load: true, trial })).filter((requirement) => !requirement.met);
}

function reasonFor(passedOver: readonly Unavailable[]): string | undefined {
  if (passedOver.length === 0) return undefined;
  const lacks = passedOver.map(
    ({ factory, missing }) => `${factory.name} lacks ${missing.map(briefly).join(', ')}`,
  );
  return `${lacks.join('; ')}; this one has all it needs`;
}

/** Without the explanation in parentheses: `ipipou doctor` has the whole. */
function briefly({ what }: Requirement): string {
  return what.replace(/ \(.*\)$/, '');
}

function describe({ factory, missing }: Unavailable): string {
  return `${factory.name} lacks ${missing.map(({ what, detail }) => `${what}: ${detail}`).join(', ')}`;
}

function unavailable(planes: readonly Unavailable[]): IpipouError {
  const missing = planes.flatMap((plane) => plane.missing);
  const fixes = new Set(missing.map(({ fix }) => fix).filter((fix) => fix !== undefined));
  const hint = [...fixes, 'ipipou doctor'].join('; ');
  const exit = missing.map((requirement) => requirement.exit).find((code) => code !== undefined);
  const names = planes.map(({ factory }) => factory.name).join(', ');
  return new IpipouError(
    exit ?? 'generic',
    `data plane ${names} does not work here: ${planes.map(describe).join('; ')}`,
    { hint },
  );
}
