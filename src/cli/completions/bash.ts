import { IMPLIED, valuedSpellings } from './model.ts';
import type { Choice, CompletedCommand } from './types.ts';

/** The script for bash, which needs nothing of the package bash-completion. */
export function bashCompletion(commands: readonly CompletedCommand[]): string {
  return `# Completion of ipipou in bash. Made from its tables of commands and options by \`npm run docs\`.

_ipipou_of() {
  local kind path
  for kind; do
    case $kind in
      config) for path in /etc/ipipou/*.conf; do [[ -e $path ]] && path=\${path##*/} && echo "\${path%.conf}"; done ;;
      tunnel) for path in /run/ipipou/*/*/; do [[ -d $path ]] && path=\${path%/} && echo "\${path##*/}"; done ;;
      device) for path in /sys/class/net/*; do echo "\${path##*/}"; done ;;
      file) compgen -f -- "$word" ;;
      folder) compgen -d -- "$word" ;;
    esac
  done
}

_ipipou() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=${IMPLIED} first=1 place=0 words='' kinds='' flags='' i
  local valued=' ${valuedSpellings(commands).join(' ')} '
  COMPREPLY=()
  case \${COMP_WORDS[1]} in
    ${commands.map(({ name }) => name).join(' | ')})
      if ((COMP_CWORD > 1)); then command=\${COMP_WORDS[1]} first=2; fi ;;
  esac
  case $command in
${commands.map(({ name, flags }) => `    ${name}) flags='${flags.flatMap(({ spellings }) => spellings).join(' ')}' ;;`).join('\n')}
  esac
  for ((i = first; i < COMP_CWORD; i++)); do
    if [[ $valued == *" \${COMP_WORDS[i]} "* ]]; then
      ((i++))
    elif [[ \${COMP_WORDS[i]} != -* ]]; then
      ((place++))
    fi
  done
  if [[ " $flags " == *" $before "* && $valued == *" $before "* ]]; then
    case "$command $before" in
${commands.flatMap(valueCases).join('\n')}
    esac
  elif [[ $word == -* ]]; then
    words=$flags
  elif ((COMP_CWORD == 1)); then
    words='${commands.map(({ name }) => name).join(' ')}'
  else
    case "$command $place" in
${commands.flatMap(placeCases).join('\n')}
    esac
  fi
  # Names of files may have anything in them: they are never given to what expands words.
  local found
  while IFS= read -r found; do
    if [[ $found == "$word"* ]]; then COMPREPLY+=("$found"); fi
  done < <(printf '%s\n' $words; _ipipou_of $kinds)
  case " $kinds " in *' file '* | *' folder '*) compopt -o filenames 2> /dev/null ;; esac
}

complete -F _ipipou ipipou
`;
}

function valueCases({ name, flags }: CompletedCommand): readonly string[] {
  return flags.flatMap(({ spellings, value }) => {
    if (value === undefined || !completes(value)) return [];
    return [
      `      ${pattern(spellings.map((flag) => `${name} ${flag}`))}) ${assignments(value)} ;;`,
    ];
  });
}

function placeCases({ name, places, endless }: CompletedCommand): readonly string[] {
  return places.flatMap((choice, place) => {
    if (!completes(choice)) return [];
    const last = endless && place === places.length - 1;
    const which = last ? `'${name} '*` : `'${name} ${place}'`;
    return [`      ${which}) ${assignments(choice)} ;;`];
  });
}

function completes({ words, kinds }: Choice): boolean {
  return words.length + kinds.length > 0;
}

function pattern(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' | ');
}

function assignments({ words, kinds }: Choice): string {
  return [
    ...(words.length === 0 ? [] : [`words='${words.join(' ')}'`]),
    ...(kinds.length === 0 ? [] : [`kinds='${kinds.join(' ')}'`]),
  ].join(' ');
}
