import { IMPLIED, valuedSpellings } from './model.ts';
import type { Choice, CompletedCommand, Flag } from './types.ts';

/** The script for fish. */
export function fishCompletion(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name);
  return `# Completion of ipipou in fish. Made from its tables of commands and options by \`npm run docs\`.

function __ipipou_of
    for kind in $argv
        switch $kind
            case config
                for path in /etc/ipipou/*.conf
                    string replace -r '^.*/(.*)\\.conf$' '$1' -- $path
                end
            case tunnel
                for path in /run/ipipou/*/*/
                    string replace -r '^.*/([^/]*)/$' '$1' -- $path
                end
            case device
                for path in /sys/class/net/*
                    string replace -r '^.*/' '' -- $path
                end
        end
    end
end

# The command that the line names, else ${IMPLIED}.
function __ipipou_command
    set -l tokens (commandline -opc)
    if contains -- "$tokens[2]" ${names.join(' ')}
        echo $tokens[2]
    else
        echo ${IMPLIED}
    end
end

function __ipipou_is
    test (__ipipou_command) = $argv[1]
end

# Whether the word is in that place among those of that command which are no flags; '+': there or behind.
function __ipipou_at
    __ipipou_is $argv[1]; or return 1
    set -l tokens (commandline -opc)
    set -l place 0
    set -l value no
    for token in $tokens[3..]
        if test $value = yes
            set value no
        else if contains -- $token ${valuedSpellings(commands).join(' ')}
            set value yes
        else if not string match -q -- '-*' $token
            set place (math $place + 1)
        end
    end
    test $place -eq $argv[2]; or test "$argv[3]" = + -a $place -gt $argv[2]
end

complete -c ipipou -f
${commands.map(({ name, summary }) => `complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a ${name} -d ${quote(summary)}`).join('\n')}
${commands.flatMap(commandLines).join('\n')}
`;
}

function commandLines({ name, flags, places, endless }: CompletedCommand): readonly string[] {
  return [
    ...flags.map((flag) => `complete -c ipipou -n '__ipipou_is ${name}' ${flagWords(flag)}`),
    ...places.flatMap((choice, place) => {
      if (choice.words.length + choice.kinds.length === 0) return [];
      const behind = endless && place === places.length - 1 ? ' +' : '';
      return [
        `complete -c ipipou -n '__ipipou_at ${name} ${place}${behind}' ${choiceWords(choice)}`,
      ];
    }),
  ];
}

function flagWords({ spellings, help, value }: Flag): string {
  return [
    ...spellings.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag[1]}`)),
    ...(value === undefined ? [] : ['-x']),
    ...(value === undefined ? [] : [choiceWords(value)]),
    ...(help === '' ? [] : [`-d ${quote(help)}`]),
  ]
    .filter((word) => word !== '')
    .join(' ');
}

function choiceWords({ words, kinds }: Choice): string {
  const looked = kinds.filter((kind) => kind !== 'file' && kind !== 'folder');
  const all = [...words, ...(looked.length === 0 ? [] : [`(__ipipou_of ${looked.join(' ')})`])];
  return [
    ...(looked.length < kinds.length ? ['-F'] : []),
    ...(all.length === 0 ? [] : [`-a ${quote(all.join(' '))}`]),
  ].join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
