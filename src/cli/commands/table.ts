import type { Command, Commands } from '../command.ts';
import type { SUMMARIES } from './summaries.ts';

/** Every command, in the order that help lists them. Each is loaded alone: a start reads no more than it runs. */
export const COMMANDS = {
  run: async () => (await import('./run.ts')).runCommand,
  up: async () => (await import('./up.ts')).upCommand,
  down: async () => (await import('./down.ts')).downCommand,
  show: async () => (await import('./show.ts')).showCommand,
  status: async () => (await import('./status.ts')).statusCommand,
  watch: async () => (await import('./watch.ts')).watchCommand,
  events: async () => (await import('./events.ts')).eventsCommand,
  logs: async () => (await import('./logs.ts')).logsCommand,
  metrics: async () => (await import('./metrics.ts')).metricsCommand,
  ui: async () => (await import('./ui.ts')).uiCommand,
  init: async () => (await import('./init.ts')).initCommand,
  invite: async () => (await import('./invite.ts')).inviteCommand,
  join: async () => (await import('./join.ts')).joinCommand,
  set: async () => (await import('./set.ts')).setCommand,
  expose: async () => (await import('./expose.ts')).exposeCommand,
  unexpose: async () => (await import('./expose.ts')).unexposeCommand,
  syncconf: async () => (await import('./syncconf.ts')).syncconfCommand,
  reload: async () => (await import('./reload.ts')).reloadCommand,
  save: async () => (await import('./save.ts')).saveCommand,
  check: async () => (await import('./check.ts')).checkCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
  demo: async () => (await import('./demo.ts')).demoCommand,
  bench: async () => (await import('./bench.ts')).benchCommand,
  genconf: async () => (await import('./genconf.ts')).genconfCommand,
  keygen: async () => (await import('./keygen.ts')).keygenCommand,
  pubkey: async () => (await import('./pubkey.ts')).pubkeyCommand,
  service: async () => (await import('./service.ts')).serviceCommand,
  help: async () => (await import('./help.ts')).helpCommand,
  version: async () => (await import('./version.ts')).versionCommand,
} as const satisfies Commands & Record<keyof typeof SUMMARIES, unknown>;

/** All of them, loaded. */
export function loadAll(commands: Commands): Promise<readonly Command[]> {
  return Promise.all(Object.values(commands).map((load) => load()));
}
