import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runCli } from '../../../src/cli/cli.ts';
import type { Command, CommandContext, Commands } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/commands/table.ts';
import { loadAll } from '../../../src/cli/find-command.ts';
import type { Machine } from '../../../src/cli/machine.ts';
import { aborted } from '../../../src/cli/waiting.ts';
import { ConfigError, IpipouError, KernelError } from '../../../src/core/errors.ts';
import { EXIT, type ExitName } from '../../../src/core/exit-codes.ts';
import type { Requirement } from '../../../src/ports/data-plane.ts';

const PRIVATE = 'RuBZkT23na2Q4QH1xfmZCfRgSgPt5s362UPAFbecTso=';
const PUBLIC = 'eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=';

const NAMES = Object.keys(COMMANDS);

type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function run(
  args: readonly string[],
  given: Partial<CommandContext> & { readonly input?: string } = {},
): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const code = await runCli(args, {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    rows: () => undefined,
    flushed: async () => true,
    env: {},
    signal: new AbortController().signal,
    hurry: new AbortController().signal,
    onReload: () => () => undefined,
    stdin: async () => given.input ?? '',
    commands: COMMANDS,
    daemons: async () => {
      throw new Error('this command asks no daemon');
    },
    machine: async () => {
      throw new Error('this command needs no machine');
    },
    ...given,
  });
  return { code, stdout, stderr };
}

/** A command that does what `act` does. */
function command(act: Command['run'], more: Partial<Command> = {}): Commands {
  const acting = { name: 'act', summary: 'acts', usage: 'ipipou act', run: act, ...more };
  return { ...COMMANDS, act: async () => acting };
}

describe('the table of commands', () => {
  test('has each command by its own name, and every command says what it is', async () => {
    const commands = await loadAll(COMMANDS);
    expect(commands.map(({ name }) => name)).toEqual(NAMES);
    for (const { name, summary, usage } of commands) {
      expect(summary, name).toMatch(/^[a-z]/);
      expect(usage, name).toContain('ipipou');
      expect(Math.max(...usage.split('\n').map(({ length }) => length)), name).toBeLessThan(101);
    }
  });

  test.each(NAMES)('help %s explains it', async (name) => {
    const { code, stdout } = await run(['help', name]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^ipipou ${name}: `));
    if (name === 'run') return;
    expect((await run([name, '--help'])).stdout).toBe(stdout);
  });

  test('help lists all of them, and so does the manual', async () => {
    const help = await run(['help']);
    const page = await run(['help', '--man']);
    expect(page.stdout).toMatch(/^\.TH IPIPOU 8/);
    for (const name of NAMES) {
      expect(help.stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'));
      expect(page.stdout).toContain(name);
    }
    expect((await run(['--help'])).stdout).toBe(help.stdout);
    expect((await run(['-h'])).stdout).toBe(help.stdout);
  });
});

describe('what is refused', () => {
  test.each([
    { args: ['shwo'], says: /no command "shwo"[^]*did you mean show\?/ },
    { args: ['dwon', 'x'], says: /did you mean down\?/ },
    { args: ['frobnicate'], says: /no command "frobnicate"\nhint: ipipou help/ },
    { args: [], says: /nothing to do[^]*ipipou help/ },
    { args: ['up'], says: /up: expected a config[^]*ipipou help up/ },
    { args: ['down'], says: /down: expected a tunnel/ },
    { args: ['up', 'a', 'b'], says: /unexpected "b"/ },
    { args: ['show', '--jsn'], says: /unknown option "--jsn"/ },
    { args: ['keygen', 'x'], says: /unexpected "x"/ },
    { args: ['service', 'start'], says: /expected install or uninstall/ },
    { args: ['help', 'nix'], says: /no command "nix"/ },
    { args: ['--config', './does-not-exist.conf'], says: /cannot read config[^]*ENOENT[^]*hint:/ },
    { args: ['up', './does-not-exist.conf'], says: /cannot read config/ },
    { args: ['--sever'], says: /did you mean `--server`/ },
    { args: ['-V'], says: /^ipipou: unknown option -V: ipipou help lists them\n$/ },
    { args: ['run', '--client'], says: /fou-remote/ },
  ])('$args', async ({ args, says }) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: EXIT.arguments, stdout: '' });
    expect(stderr).toMatch(says);
  });
});

describe('errors', () => {
  test.each(Object.keys(EXIT) as ExitName[])('exit code of %s', async (exit) => {
    const commands = command(async () => {
      throw new IpipouError(exit, 'broken', { hint: 'mend it' });
    });
    expect(await run(['act'], { commands })).toEqual({
      code: EXIT[exit],
      stdout: '',
      stderr: 'ipipou: broken\nhint: mend it\n',
    });
  });

  test('of the kernel show operation, errno and its own words; control characters do not get out', async () => {
    const failure = {
      operation: 'RTM_NEWLINK',
      errno: 'EINVAL',
      words: 'bad \u001b[31m',
      subject: 'link x',
    };
    const commands = command(async () => {
      throw new KernelError('link', failure);
    });
    const { code, stderr } = await run(['act'], { commands });
    expect(code).toBe(EXIT.link);
    expect(stderr).toBe('ipipou: link x: RTM_NEWLINK: EINVAL: bad \u{fffd}[31m\n');
  });

  test('of too many open files say how to have more, whatever was being done', async () => {
    const failure = { operation: 'bpf', errno: 'EMFILE', subject: 'map x' };
    const commands = command(async () => {
      throw new KernelError('fou', failure, { hint: 'boot another kernel' });
    });
    expect((await run(['act'], { commands })).stderr).toMatch(/^hint: too many .* LimitNOFILE=/m);
  });

  test('of the config take a line each', async () => {
    const problem = { source: 'f', line: 1, key: 'k', value: undefined, expected: 'v' };
    const commands = command(async () => {
      throw new ConfigError([problem, { ...problem, line: 2 }]);
    });
    expect((await run(['act'], { commands })).stderr).toMatch(
      /^ipipou: f:1: .*\nipipou: f:2: .*\n$/,
    );
  });

  test('that nobody foresaw are generic', async () => {
    const commands = command(async () => {
      throw new TypeError('oops');
    });
    expect(await run(['act'], { commands })).toMatchObject({ code: 1, stderr: 'ipipou: oops\n' });
  });
});

describe('signals', () => {
  test('end a command that has nothing to clean up', async () => {
    const end = new AbortController();
    const commands = command(() => new Promise(() => undefined), { endsAtOnce: true });
    const running = run(['act'], { commands, signal: end.signal });
    end.abort('SIGINT');
    expect((await running).code).toBe(130);
  });

  test('are left to a command that cleans up by itself', async () => {
    const end = new AbortController();
    const commands = command(async (_args, { signal }) => {
      await aborted(signal);
      return EXIT.cleanUp;
    });
    const running = run(['act'], { commands, signal: end.signal });
    end.abort('SIGTERM');
    expect((await running).code).toBe(200);
  });
});

describe('keys', () => {
  test.each([['keygen'], ['--auth-keygen']])(
    '%s prints a pair that belongs together',
    async (word) => {
      const { code, stdout } = await run([word]);
      expect(code).toBe(0);
      const [privateKey = '', publicKey = ''] = stdout.split('\n');
      expect(stdout).toBe(`${privateKey}\n${publicKey}\n`);
      expect((await run(['pubkey'], { input: `${privateKey}\n` })).stdout).toBe(`${publicKey}\n`);
      expect((await run([word, '-v'])).stdout).toMatch(/^Private .*: \S{44}\nPublic .*: \S{44}\n$/);
    },
  );

  test('pubkey of the description’s pair', async () => {
    expect((await run(['pubkey'], { input: PRIVATE })).stdout).toBe(`${PUBLIC}\n`);
  });

  test.each(['', 'nonsense', PRIVATE.slice(4), `${PRIVATE}\n${PRIVATE}`])(
    'pubkey refuses %j and does not repeat it',
    async (input) => {
      const { code, stderr } = await run(['pubkey'], { input });
      expect(code).toBe(EXIT.arguments);
      expect(stderr).toMatch(/expected one private key, 32 bytes in base64/);
      if (input.length > 8) expect(stderr).not.toContain(input.slice(0, 8));
    },
  );
});

test.each([['version'], ['--version']])('%s', async (word) => {
  expect((await run([word])).stdout).toMatch(/^ipipou [0-9]+\.[0-9]+\.[0-9]+/);
});

describe('check', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ipipou-check-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  async function check(text: string): Promise<Ran> {
    const file = path.join(folder, 'home.conf');
    writeFileSync(file, text, { mode: 0o600 });
    const ran = await run(['check', file]);
    return { ...ran, stdout: ran.stdout.replaceAll(file, 'home.conf') };
  }

  test('tells every fault, and the exit code of a start', async () => {
    expect(await check('server\nmtu 1\nkeepalvie 5\n')).toMatchObject({
      code: 2,
      stderr: '',
      stdout: expect.stringMatching(
        /^home\.conf:2: mtu: "1": expected .*\nhome\.conf:3: unknown option keepalvie: .*\nhome\.conf: 2 faults\n$/,
      ) as string,
    });
  });

  test('tells what has no effect, and what is unwise with what to do', async () => {
    expect(await check('server\nauth-token a\nfou-remote-ip 192.0.2.1\n')).toEqual({
      code: 0,
      stderr: '',
      stdout:
        'warning: home.conf:3: fou-remote-ip: admits others too without auth-by-remote-ip\n' +
        'unwise: auth-token: whoever sees a packet of it can send it again from elsewhere\n' +
        '        keys: ipipou keygen\n' +
        'unwise: auth-lifetime 0: a peer that went away keeps its place for ever; whoever has its address and port next is taken for it\n' +
        '        auth-lifetime 3600\n' +
        'home.conf: a server on ipipou0, one peer\n',
    });
  });

  test('has nothing to say against what is wise', async () => {
    const text = `server\nauth-remote-pubkey-b64 ${PUBLIC}\nauth-secret long-enough-words\nauth-lifetime 3600\nreply-on-auth-ok\n`;
    expect((await check(text)).stdout).toBe(
      'home.conf: a server on ipipou0, one peer, nothing to say against it\n',
    );
  });
});

describe('doctor', () => {
  const met: Requirement = { what: 'a', met: true, detail: 'b', fix: undefined };
  const missing: Requirement = { what: 'module x', met: false, detail: 'gone', fix: 'get it' };
  const machine = (fou: Requirement, tun: Requirement): Partial<CommandContext> => ({
    machine: async () =>
      ({
        facts: () => [{ what: 'Node', met: true, detail: '20' }],
        planes: [
          { name: 'fou', probe: async () => [met, fou] },
          { name: 'tun', probe: async () => [tun] },
        ],
      }) as unknown as Machine, // the rest is not asked for
  });

  test('says what works, what is missing and what to do', async () => {
    const { code, stdout } = await run(['doctor'], machine(missing, met));
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /fou: does not work\n {2}ok +a: b\n {2}missing +module x: gone\n +fix: get it/,
    );
    expect(stdout).toMatch(/tun: works/);
    expect(stdout).toMatch(/dataplane auto takes tun/);
  });

  test('who lacks capabilities is told to look as root, not that nothing works', async () => {
    const given = machine(missing, missing);
    const { code, stdout } = await run(['doctor'], {
      machine: async () => ({
        ...((await given.machine?.()) as Machine),
        facts: () => [{ what: 'capabilities', met: false, detail: 'no CAP_NET_ADMIN' }],
      }),
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(/for this user: run as root to see which would/);
    expect(stdout).not.toContain('works here');
  });

  test('fails when nothing works', async () => {
    const { code, stdout } = await run(['doctor', '--json'], machine(missing, missing));
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ planes: [{ works: false }, { works: false }] });
  });
});
