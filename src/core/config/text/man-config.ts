import { formatUsage, groupOptions } from './describe.ts';
import { CLIENT_EXAMPLE, FORMAT, PEERS_PAGE, SERVER_EXAMPLE } from './man.ts';
import { example, formatEntry, paragraph, roff } from './roff.ts';

/** The page ipipou.conf(5): the config file of a tunnel. `version` stands in its footer. */
export function formatConfigPage(version = ''): string {
  const lines = [
    `.TH IPIPOU.CONF 5 "" "${roff(version === '' ? 'ipipou' : `ipipou ${version}`)}" ""`,
    '.SH NAME',
    'ipipou.conf \\- config file of a tunnel of ipipou',
    '.SH SYNOPSIS',
    '.I /etc/ipipou/NAME.conf',
    '.SH DESCRIPTION',
    ...paragraph(
      'What ipipou up NAME and the service ipipou@NAME run. It may hold secrets: nobody but root ' +
        'should read it.',
    ),
    '.PP',
    ...FORMAT,
    ...PEERS_PAGE,
    '.SH OPTIONS',
    'Defaults are in brackets; N is the value of',
    '.BR number .',
    ...groupOptions().flatMap(({ title, note, options }) => {
      const here = options.filter(({ commandLineOnly }) => !commandLineOnly);
      return [
        `.SS ${roff(title)}`,
        ...(note === undefined ? [] : paragraph(note)),
        ...here.flatMap((option) => {
          // As a file spells it: without hyphens, and by its whole name.
          const usage = formatUsage({ ...option, short: undefined, fileOnly: true });
          return formatEntry(option, usage);
        }),
      ];
    }),
    '.SH EXAMPLES',
    ...example("A server, with the client's public key:", SERVER_EXAMPLE),
    '.PP',
    ...example('Its client:', CLIENT_EXAMPLE),
    '.SH SEE ALSO',
    '.BR ipipou (8)',
  ];
  return `${lines.join('\n')}\n`;
}
