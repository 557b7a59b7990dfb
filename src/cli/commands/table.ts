import type { Command } from '../command.ts';
import { benchCommand } from './bench.ts';
import { checkCommand } from './check.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { downCommand } from './down.ts';
import { eventsCommand } from './events.ts';
import { exposeCommand, unexposeCommand } from './expose.ts';
import { genconfCommand } from './genconf.ts';
import { helpCommand } from './help.ts';
import { initCommand } from './init.ts';
import { inviteCommand } from './invite.ts';
import { joinCommand } from './join.ts';
import { keygenCommand } from './keygen.ts';
import { logsCommand } from './logs.ts';
import { metricsCommand } from './metrics.ts';
import { pubkeyCommand } from './pubkey.ts';
import { reloadCommand } from './reload.ts';
import { runCommand } from './run.ts';
import { saveCommand } from './save.ts';
import { setCommand } from './set.ts';
import { serviceCommand } from './service.ts';
import { showCommand } from './show.ts';
import { statusCommand } from './status.ts';
import { syncconfCommand } from './syncconf.ts';
import { uiCommand } from './ui.ts';
import { upCommand } from './up.ts';
import { versionCommand } from './version.ts';
import { watchCommand } from './watch.ts';

/** Every command, in the order that help lists them. */
export const COMMANDS: readonly Command[] = [
  runCommand,
  upCommand,
  downCommand,
  showCommand,
  statusCommand,
  watchCommand,
  eventsCommand,
  logsCommand,
  metricsCommand,
  uiCommand,
  initCommand,
  inviteCommand,
  joinCommand,
  setCommand,
  exposeCommand,
  unexposeCommand,
  syncconfCommand,
  reloadCommand,
  saveCommand,
  checkCommand,
  doctorCommand,
  demoCommand,
  benchCommand,
  genconfCommand,
  keygenCommand,
  pubkeyCommand,
  serviceCommand,
  helpCommand,
  versionCommand,
];
