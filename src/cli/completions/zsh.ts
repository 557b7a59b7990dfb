import { IMPLIED } from './model.ts';
import type { Choice, CompletedCommand, Flag } from './types.ts';

/** The function for zsh, to be found by its name `_ipipou` in a folder of fpath. */
export function zshCompletion(commands: readonly CompletedCommand[]): string {
  return `#compdef ipipou
# Completion of ipipou in zsh. Made from its tables of commands and options by \`npm run docs\`.

_ipipou_of() {
  local kind
  local -a found
  for kind; do
    case $kind in
      config) found+=(/etc/ipipou/*.conf(N:t:r)) ;;
      tunnel) found+=(/run/ipipou/*/*(N/:t)) ;;
      device) found+=(/sys/class/net/*(N:t)) ;;
      file) _files ;;
      folder) _files -/ ;;
      *) found+=($kind) ;;
    esac
  done
  compadd -a found
}

_ipipou() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quote(`${name}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
  )
  local command=${IMPLIED}
  if (( CURRENT > 2 )) && [[ -n \${(M)commands:#$words[2]:*} ]]; then
    command=$words[2]
    shift words
    (( CURRENT-- ))
  elif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  case $command in
${commands.map(commandCase).join('\n')}
  esac
}

_ipipou "$@"
`;
}

function commandCase({ name, flags, places, endless }: CompletedCommand): string {
  const specs = [
    ...flags.map(flagSpec),
    ...places.map((choice, place) => {
      const last = endless && place === places.length - 1;
      return quote(`${last ? '*' : place + 1}:${action(choice, ' ')}`);
    }),
  ];
  const lines = specs.length === 0 ? [`'*: :'`] : specs;
  return `    ${name})\n      _arguments ${lines.join(' \\\n        ')} ;;`;
}

function flagSpec({ spellings, help, value }: Flag): string {
  const said = help === '' ? '' : `[${help.replaceAll(/[\\:[\]]/g, String.raw`\$&`)}]`;
  const valued = value === undefined ? '' : `:${action(value, value.placeholder)}`;
  const [only = ''] = spellings;
  if (spellings.length === 1) return quote(`*${only}${said}${valued}`);
  return `'*'{${spellings.join(',')}}${quote(`${said}${valued}`)}`;
}

/** A message, then what completes the word; a blank before it: it is called as it stands. */
function action({ words, kinds }: Choice, message: string): string {
  const what = [...kinds, ...words].join(' ');
  return `${message.replaceAll(':', '\\:')}:${what === '' ? '' : ` _ipipou_of ${what}`}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
