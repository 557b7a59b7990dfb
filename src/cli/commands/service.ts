import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { packageFile } from '../../adapters/system/package-files.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { readGiven } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { SUMMARIES } from './summaries.ts';

const execute = promisify(execFile);

/** Where an administrator's own units go (systemd.unit(5)). */
const UNIT_FOLDER = '/etc/systemd/system';
const SERVICE = 'ipipou@.service';
const TARGET = 'ipipou.target';
/** What the unit of the package runs; an installation puts its own program there. */
const PACKAGED = '/usr/bin/ipipou';

export const serviceCommand: Command = {
  name: 'service',
  summary: SUMMARIES.service,
  usage: `ipipou service install|uninstall

Writes ${SERVICE} and ${TARGET} to ${UNIT_FOLDER}, so that
\`systemctl enable --now ipipou@NAME\` runs /etc/ipipou/NAME.conf with this very program;
\`systemctl reload ipipou@NAME\` reads the config again; a client authenticates again as well.
Uninstall removes both files; stop and disable the services first.`,
  endsAtOnce: true,
  async run(args, context) {
    const shape = { names: [1, 1] as const, what: 'install or uninstall' };
    const [word = ''] = readGiven('service', args, shape).names;
    const folder = context.env['IPIPOU_UNIT_DIR'] ?? UNIT_FOLDER;
    if (word === 'install' && !existsSync(packageFile('systemd'))) {
      throw new IpipouError('generic', 'the units came with the Debian package already', {
        hint: 'systemctl enable --now ipipou@NAME',
      });
    }
    if (word === 'install') await install(folder);
    else if (word === 'uninstall') await uninstall(folder);
    else throw new IpipouError('arguments', `service: expected ${shape.what}`);
    await reloadManager(context);
    context.stdout(
      word === 'install'
        ? `installed ${join(folder, SERVICE)}\nnext: systemctl enable --now ipipou@NAME runs /etc/ipipou/NAME.conf, now and after every boot\n`
        : `removed ${join(folder, SERVICE)}\n`,
    );
    return EXIT.ok;
  },
};

async function install(folder: string): Promise<void> {
  const units = packageFile('systemd');
  const template = await readFile(join(units, SERVICE), 'utf8');
  const program = [process.execPath, resolve(process.argv[1] ?? '')].map(quote).join(' ');
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, SERVICE),
      template.replaceAll(PACKAGED, () => program),
      {
        mode: 0o644,
      },
    );
    await copyFile(join(units, TARGET), join(folder, TARGET));
  } catch (error) {
    throw notWritten(folder, error);
  }
}

async function uninstall(folder: string): Promise<void> {
  try {
    for (const name of [SERVICE, TARGET]) await rm(join(folder, name), { force: true });
  } catch (error) {
    throw notWritten(folder, error);
  }
}

function notWritten(folder: string, error: unknown): IpipouError {
  const message = error instanceof Error ? error.message : String(error);
  return new IpipouError('generic', `cannot write to ${folder}: ${message}`, {
    hint: 'run as root',
    cause: error,
  });
}

/** A word of ExecStart=: quoted, `%` doubled against specifiers, `$` against variables (systemd.service(5)). */
function quote(word: string): string {
  const safe = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
  return `"${safe.replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
}

async function reloadManager(context: CommandContext): Promise<void> {
  // systemd runs where this folder is (sd_booted(3)); elsewhere there is nobody to tell.
  if (!existsSync('/run/systemd/system')) return;
  await execute('systemctl', ['daemon-reload']).catch((error: unknown) => {
    context.stderr(`systemctl daemon-reload failed: ${String(error)}\n`);
  });
}
