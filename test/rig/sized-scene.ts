import { afterAll, afterEach, beforeAll } from 'vitest';
import { Hosts, type Daemon } from './daemon.ts';
import type { SizedPath } from './sized-path.ts';

/** A path of a size for all tests of a suite, and the daemons of one test, which end with it. */
export type SizedScene = {
  readonly path: SizedPath;
  readonly hosts: Hosts;
  readonly daemons: Daemon[];
};

/** Sets a scene up before the tests of the suite that calls it, and takes it down after; it is empty until then. */
export function sizedScene(make: () => Promise<SizedPath>): SizedScene {
  const daemons: Daemon[] = [];
  const scene: { -readonly [Part in keyof SizedScene]?: SizedScene[Part] } = { daemons };
  beforeAll(async () => {
    scene.path = await make();
    scene.hosts = await Hosts.in(scene.path.lab);
  });
  afterEach(async () => {
    await Promise.all(daemons.splice(0).map((daemon) => daemon[Symbol.asyncDispose]()));
  });
  afterAll(async () => {
    await scene.hosts?.[Symbol.asyncDispose]();
    await scene.path?.[Symbol.asyncDispose]();
  });
  return scene as SizedScene;
}
