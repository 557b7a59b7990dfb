// Takes the captures of commands in a terminal that docs/images has, as SVG, of a live tunnel in namespaces.
//   node scripts/captures.mjs     as root, half a minute
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { base64, generateKeyPair, IMAGES, MAIN, openLab } from './picture-lab.mjs';
import { PROJECT } from './setup.mjs';
import { terminalPicture } from './terminal-picture.mjs';

const ESCAPE = '\u001b';
const PEERS = ['laptop', 'office', 'phone'];
// The last of the peers does not come.
const { lab, folder, env, start, close } = await openLab({ clients: PEERS.length - 1 });
try {
  await takeAll();
} finally {
  await close();
}

async function takeAll() {
  const own = generateKeyPair();
  const keys = PEERS.map(() => generateKeyPair());
  const common = ['dataplane bpf', 'session v2', 'auth-secret not-a-secret-at-all'];
  const server = [
    ...['server', 'fou-dev eth0', 'tunl-ip 172.28.0.0', 'reply-on-auth-ok'],
    `auth-key-b64 ${base64(own.privateSeed)}`,
    ...common,
    ...PEERS.flatMap((name, index) => [
      `peer ${name}`,
      `auth-remote-pubkey-b64 ${base64(keys[index].publicKey)}`,
      `tunl-peer-ip 172.28.0.${index + 1}`,
    ]),
  ];
  const clientLines = (index) => [
    ...['client', 'fou-remote 203.0.113.1:10000', 'keepalive 25', ...common],
    `auth-key-b64 ${base64(keys[index].privateSeed)}`,
    `auth-remote-pubkey-b64 ${base64(own.publicKey)}`,
    ...[`tunl-ip 172.28.0.${index + 1}`, 'tunl-peer-ip 172.28.0.0'],
  ];
  await start(lab.server, server).waitFor(/ready|listening/);
  const events = lab.spawn(lab.server, [process.execPath, MAIN, 'events'], {
    env: env(lab.server),
  });
  await delay(1500);
  const daemons = lab.clients.map((client, index) => start(client, clientLines(index)));
  await Promise.all(daemons.map((daemon) => daemon.waitFor(/authenticated|established/)));
  await delay(1000);
  const pings = lab.clients.map((client, index) =>
    lab.spawn(client, ['ping', '-q', '-i', `0.0${index + 1}`, '-s', '1200', '172.28.0.0']),
  );
  await delay(8000);
  await picture('show', lab.server, ['show', '--color', 'always']);
  await picture('show-peer', lab.server, ['show', 'office', '--color', 'always']);
  await picture('watch', lab.server, ['watch', '--color', 'always'], 6);
  await picture('doctor', lab.clients[0], [
    'doctor',
    path.join(folder, lab.clients[0], 'home.conf'),
  ]);
  const unwise = path.join(folder, 'home.conf');
  const lines = ['client', 'fou-remote home.example:10000', 'tunl-ip 172.28.0.1'];
  writeFileSync(unwise, `${[...lines, 'keepalive 600', 'auth-secret abc'].join('\n')}\n`, {
    mode: 0o644,
  });
  await picture('check', lab.server, ['check', unwise]);
  await daemons[1].stop();
  start(lab.clients[1], [...clientLines(1), 'fou-local-port 10001']);
  await delay(6000);
  await events.stop('SIGINT');
  save('events', 'ipipou events', events.stdout);
  await Promise.all(pings.map((ping) => ping.stop('SIGINT')));
}

/** What a command says; of one that does not end by itself the last screen after so many seconds. */
async function picture(name, namespace, args, seconds = 0) {
  const command = [process.execPath, MAIN, ...args];
  const limited = seconds > 0 ? ['timeout', '-s', 'INT', String(seconds), ...command] : command;
  const { stdout, stderr } = await lab.exec(namespace, limited, { env: env(namespace) });
  const words = ['ipipou', ...args].join(' ').replace(' --color always', '');
  save(name, words.replaceAll(/\S*\/(?=home\.conf)/g, './'), stdout + stderr);
}

function save(name, command, said) {
  // Of what is drawn anew the last; moves of the cursor are left out, colours stay.
  const screen = said
    .split(`${ESCAPE}[H`)
    .at(-1)
    .split(ESCAPE)
    .map((part, index) =>
      index === 0 || /^\[\d*m/.test(part) ? part : part.replace(/^\[\??\d*\w/, ''),
    )
    .reduce((whole, part) => whole + (/^\[\d*m/.test(part) ? ESCAPE : '') + part);
  const text = [lab.server, ...lab.clients]
    .reduce((rest, name) => rest.replaceAll(`${folder}/${name}/`, '/etc/ipipou/'), screen)
    .replaceAll(`${folder}/`, '/etc/ipipou/')
    .trimEnd();
  const file = path.join(IMAGES, `${name}.svg`);
  writeFileSync(file, terminalPicture(command, text));
  console.log(`${path.relative(PROJECT, file)}: ${text.split('\n').length} lines`);
}
