import { afterAll, afterEach, beforeAll } from 'vitest';
import { up, type LabOptions, type Topology } from '../../src/adapters/lab/topology.ts';
import { Hosts, type Daemon } from './daemon.ts';
import { addressesSettled } from './traffic.ts';

/** A lab for all tests of a file, and the daemons of one test, which end with it. */
export type LabScene = {
  readonly lab: Topology;
  readonly hosts: Hosts;
  /** Starts a daemon from config lines; resolves at once. */
  readonly start: (namespace: string, lines: readonly string[], device?: string) => Promise<Daemon>;
};

/** Sets a scene up before the tests of the file that calls it, and takes it down after; it is empty until then. */
export function labScene(options: LabOptions = {}): LabScene {
  const daemons: Daemon[] = [];
  const scene: { -readonly [Part in keyof LabScene]?: LabScene[Part] } = {};
  beforeAll(async () => {
    const lab = await up(options);
    const hosts = await Hosts.in(lab);
    scene.lab = lab;
    scene.hosts = hosts;
    scene.start = async (namespace, lines, device) => {
      const daemon = await hosts.start(namespace, lines, device);
      daemons.push(daemon);
      return daemon;
    };
    await Promise.all([lab.server, ...lab.clients].map((name) => addressesSettled(lab, name)));
  });
  afterEach(async () => {
    await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
  });
  afterAll(async () => {
    await scene.hosts?.[Symbol.asyncDispose]();
    await scene.lab?.down();
  });
  return scene as LabScene;
}
