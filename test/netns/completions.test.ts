import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/adapters/lab/process.ts';
import { COMMANDS } from '../../src/cli/commands/table.ts';
import { patience } from '../rig/patience.ts';
import { PROJECT } from '../vm/rig/project.ts';

/* The scripts in completions/ in the shells that they are for; those are Debian's, which is why this is no unit test. */

const SCRIPTS = path.join(PROJECT, 'completions');
/** The name of a file, in the folder that completes it, which would betray itself if a shell expanded it. */
const TRAP = 'f$(touch trapped)`touch trapped`';

let folder: string;
/** Lies over /etc. */
let etc: string;

beforeAll(async () => {
  folder = await mkdtemp('/tmp/ipipou-completions-');
  await writeFile(path.join(folder, 'file.conf'), '');
  await writeFile(path.join(folder, TRAP), '');
  await mkdir(path.join(folder, 'folder'));
  etc = await mkdtemp('/tmp/ipipou-etc-');
  await mkdir(path.join(etc, 'ipipou'));
  for (const name of ['home', 'other']) await writeFile(path.join(etc, `ipipou/${name}.conf`), '');
});

afterAll(async () => {
  await Promise.all([folder, etc].map((made) => rm(made, { recursive: true, force: true })));
});

/** What a shell offers for the last word of the line, sorted. */
type Complete = (line: string) => Promise<readonly string[]>;

async function shell(argv: readonly string[], input = ''): Promise<readonly string[]> {
  // A machine of its own kind: two configs, a running tunnel, no other device than this namespace has.
  const setting = [
    `mount -t overlay overlay -o lowerdir=${etc}:/etc /etc`,
    'mount -t tmpfs tmpfs /run && mkdir -p /run/ipipou/1/ipipou7',
    `cd ${folder}`,
    'exec "$@"',
  ].join(' && ');
  const done = await run(['unshare', '--mount', 'sh', '-c', setting, 'sh', ...argv], {
    input,
    timeout: patience(60_000),
    env: { HOME: folder, TERM: 'dumb' },
  });
  const lines = done.stdout.split('\n').map((line) => line.trim());
  return [...new Set(lines.filter((line) => line !== ''))].toSorted();
}

const bash: Complete = (line) => {
  const words = line.split(' ');
  const program = `
    source ${SCRIPTS}/ipipou.bash
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _ipipou
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return shell(['bash', '--norc', '-c', program, 'bash', ...words]);
};

const fish: Complete = async (line) => {
  const program = `source ${SCRIPTS}/ipipou.fish; complete -C "$argv[1]"`;
  const shown = await shell(['fish', '--no-config', '-c', program, line]);
  return [...new Set(shown.map((row) => row.split('\t')[0] ?? ''))].toSorted();
};

/** A real line editor, on a terminal, whose compadd tells what it was given. */
const zsh: Complete = async (line) => {
  const told = path.join(folder, 'told');
  const ready = path.join(folder, 'ready');
  await Promise.all([told, ready].map((file) => rm(file, { force: true })));
  await writeFile(path.join(folder, '.zshrc'), ZSHRC);
  await writeFile(path.join(folder, 'drive.zsh'), ZSH_DRIVER);
  await shell(['zsh', '-f', path.join(folder, 'drive.zsh'), line]);
  const lines = (await readFile(told, 'utf8')).split('\n').filter((row) => row !== '');
  return [...new Set(lines.filter((row) => row !== 'END'))].toSorted();
};

const ZSHRC = `
fpath=(${SCRIPTS} $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' verbose no
compadd () {
  if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits
  builtin compadd -A hits "$@"
  (( $#hits )) && print -rl -- $hits >> told
  builtin compadd "$@"
}
comppostfuncs=(ended)
ended () { print -r -- END >> told }
precmd () { : > ready }
bindkey '^I' list-choices
`;

/** Types the line and a TAB; what the terminal shows has to be read, or the shell waits. */
const ZSH_DRIVER = String.raw`
zmodload zsh/zpty
zpty -b shell ZDOTDIR=$HOME zsh -i
for i in {1..300}; do [[ -e ready ]] && break; zpty -r -t shell shown; sleep 0.1; done
zpty -w -n shell "$1"$'\t'
for i in {1..300}; do
  [[ -e told && "$(<told)" == *END* ]] && break
  zpty -r -t shell shown
  sleep 0.1
done
zpty -d shell
`;

const COMMAND_NAMES = Object.keys(COMMANDS).toSorted();

describe.each([
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
] as const)('%s', (_, complete) => {
  test.each([
    ['ipipou ', COMMAND_NAMES],
    ['ipipou help ', COMMAND_NAMES],
    ['ipipou show --', ['--after', '--color', '--json', '--limit']],
    ['ipipou show home ', ['peer']],
    ['ipipou service ', ['install', 'uninstall']],
    ['ipipou demo --plane ', ['auto', 'bpf', 'fou', 'tun']],
    ['ipipou --dataplane ', ['auto', 'bpf', 'fou', 'tun']],
    ['ipipou run --server --fou-family ', ['auto', 'ipv4', 'ipv6']],
    ['ipipou --fou-dev ', ['lo']],
  ])('%s', async (line, expected) => {
    expect(await complete(line)).toEqual(expected);
  });

  test('names of configs, running tunnels and files', async () => {
    const found = await complete('ipipou down ');
    expect(found).toEqual(expect.arrayContaining(['home', 'other', 'ipipou7']));
    expect(found.join(' ')).toContain('file.conf');
    expect(await complete('ipipou up h')).toEqual(expect.arrayContaining(['home']));
    await expect(readFile(path.join(folder, 'trapped'))).rejects.toThrow('ENOENT');
  });

  test('options on the command line, and those of a peer', async () => {
    const options = await complete('ipipou --auth');
    expect(options).toEqual(expect.arrayContaining(['--auth-key-b64', '--auth-keygen']));
    const peers = await complete('ipipou set home peer laptop ');
    expect(peers).toEqual(expect.arrayContaining(['auth-token', 'keepalive', 'remove']));
    const more = await complete('ipipou set home peer laptop keepalive 5 ');
    expect(more).toEqual(peers.filter((word) => word !== 'remove'));
  });
});
