import type { Server } from 'node:http';
import { formatFields } from '../../adapters/system/log.ts';
import { dropRoot } from '../../adapters/system/drop-root.ts';
import { Watcher } from '../../app/ui/watcher.ts';
import { formatEndpoint, type Endpoint } from '../../core/addr.ts';
import { IpipouError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-codes.ts';
import { misuse, readGiven } from '../arguments.ts';
import type { Command } from '../command.ts';
import { readLoopback } from '../loopback.ts';
import { aborted } from '../waiting.ts';
import { SUMMARIES } from './summaries.ts';

const LISTEN = '127.0.0.1:9587';
const GROUP = 'ipipou';

export const uiCommand: Command = {
  name: 'ui',
  summary: SUMMARIES.ui,
  usage: `ipipou ui [--listen ADDRESS:PORT] [--group GROUP]

A page with the tunnels, their peers, the traffic of the last hour, what happens and what is wrong,
until interrupted. It changes nothing and tells no secret. It listens on a loopback address alone
(${LISTEN}), and prints a link that lets one browser in, then the next; over SSH:
ssh -L 9587:${LISTEN} HOST. Started as root it goes on as nobody, in the group (${GROUP}) that
the tunnels' status-group names.`,
  async run(args, context) {
    const shape = {
      valued: { listen: 'a loopback address and a port', group: 'a group' },
      names: [0, 0] as const,
    };
    const { values } = readGiven('ui', args, shape);
    const text = values.get('listen') ?? LISTEN;
    const place = readLoopback(text);
    if (place === undefined) {
      const wanted = 'a loopback address and a port, as in 127.0.0.1:9587 or [::1]:9587';
      throw misuse('ui', `--listen takes ${wanted}: not ${JSON.stringify(text)}`);
    }
    const { createPageServer } = await import('../ui/page-server.ts');
    const { readPage } = await import('../ui/page-files.ts');
    const daemons = await context.daemons();
    const files = readPage();
    dropRoot(values.get('group') ?? GROUP);
    const watcher = new Watcher({ ...daemons, fieldsText: formatFields }, context.signal);
    // Whether anything may be seen is told now, not to the browser.
    daemons.runs.list();
    const at = `http://${formatEndpoint(place)}`;
    let links = 0;
    const server = createPageServer(place, {
      files,
      view: (wanted) => watcher.view(wanted),
      tellLink(token) {
        links += 1;
        const whose = links === 1 ? 'the page, for one browser' : 'for another browser';
        context.stderr(`${whose}: ${at}/?token=${token}\n`);
      },
      complain: (words) => context.stderr(`cannot tell: ${words}\n`),
    });
    await listen(server, place);
    watcher.start();
    await aborted(context.signal);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    return EXIT.ok;
  },
};

function listen(server: Server, place: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new IpipouError('generic', `cannot listen at ${formatEndpoint(place)}: ${error.message}`),
      ),
    );
    server.listen(place.port, place.ip, resolve);
  });
}
