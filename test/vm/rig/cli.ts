import { runInVm } from './machine.ts';

/*
 * npm run vm -- CMD [ARG…]: one command in a guest, for people. VM_TIMEOUT: seconds, default 600.
 * VM_KERNEL: another kernel package to boot (machine.ts). VM_ARGUMENTS: more for its command line.
 */

const command = process.argv.slice(2);
if (command.length === 0) {
  console.error('usage: npm run vm -- COMMAND [ARGUMENT…]');
  process.exitCode = 2;
} else {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  const outDir = process.env['VM_OUT_DIR'];
  const result = await runInVm({
    command,
    timeoutSeconds: Number(process.env['VM_TIMEOUT'] ?? 600),
    signal: abort.signal,
    ...(outDir === undefined ? {} : { outDir }),
  });
  if (result.kind !== 'exited') console.error(`the guest ${result.kind}:\n${result.console}`);
  process.exitCode = result.kind === 'exited' ? result.code : 125;
}
