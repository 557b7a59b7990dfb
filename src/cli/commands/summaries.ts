/** What each command is for, in the order that help lists them: read by help, which loads no command for it. */
export const SUMMARIES = {
  run: 'run a tunnel in the foreground (what happens without a command)',
  up: 'start a tunnel in the background',
  down: 'take a tunnel down',
  show: 'show the tunnels of this network namespace, and their peers',
  status: 'say in one line and by the exit code whether a tunnel works',
  watch: 'show the tunnels of this network namespace live, with what passes now',
  events: 'follow what happens to the tunnels of this network namespace',
  logs: "show a tunnel's log, wherever it is",
  metrics: 'tell Prometheus how the tunnels of this network namespace are',
  ui: 'show the tunnels of this network namespace on a web page',
  init: 'make a server: its config with fresh keys, and start it',
  invite: 'add a client to a server, by one line to run there',
  join: 'make a client of a server by the code of an invitation',
  set: 'add, change or remove one peer of a running tunnel, or change how much it logs',
  expose: 'expose services of a peer of a running server',
  unexpose: 'expose services of a peer no longer',
  syncconf: "make a running tunnel's peers those of a file",
  reload: "read a tunnel's config again; a client also authenticates again",
  save: "write a running tunnel's live changes into its file",
  check: 'say what is wrong with a config, or unwise',
  doctor: 'say what this machine has and lacks, or what is wrong with a tunnel',
  demo: 'show tunnels through a NAT at work, in namespaces of this machine',
  bench: 'measure tunnels of many kinds against each other, in namespaces of this machine',
  genconf: 'make the files of a server and its clients, with fresh keys',
  keygen: 'make a key pair',
  pubkey: 'print the public key of a private key',
  service: 'install or remove the systemd units',
  help: 'list commands and options, or explain a command',
  version: 'print the version',
} as const;

/** Names and summaries. */
export function listed(): readonly { readonly name: string; readonly summary: string }[] {
  return Object.entries(SUMMARIES).map(([name, summary]) => ({ name, summary }));
}
