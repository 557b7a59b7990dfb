// Joins the compiled modules of .cache/modules into the few files of dist, which are what is shipped: three hundred files
// of their own take Node longer to find than all else that a start does. What not every command needs stays apart (chunks).
import { chmodSync, copyFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';
import { PROJECT } from './setup.mjs';

const MODULES = path.join(PROJECT, '.cache/modules');
const DIST = path.join(PROJECT, 'dist');

/** What is started by its path: the command, and the thread of the `tun` plane. */
const ENTRIES = ['cli/main', 'adapters/planes/tun/worker'];

const bundle = await rolldown({
  input: Object.fromEntries(ENTRIES.map((name) => [name, path.join(MODULES, `${name}.js`)])),
  // Node's own modules, and those that are installed: their names begin with neither a dot nor a slash.
  external: /^[^./]/,
  platform: 'node',
});
const { output } = await bundle.write({
  dir: DIST,
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name]-[hash].js',
});
await bundle.close();
const page = await rolldown({ input: path.join(PROJECT, 'ui/page.ts'), platform: 'browser' });
await page.write({ file: path.join(DIST, 'ui/page.js') });
await page.close();
for (const name of ['index.html', 'page.css', 'icon.svg']) {
  copyFileSync(path.join(PROJECT, 'ui', name), path.join(DIST, 'ui', name));
}
chmodSync(path.join(DIST, 'cli/main.js'), 0o755);

// Of an earlier build. The eBPF programs are build-bpf.mjs's.
const fresh = new Set(output.map(({ fileName }) => fileName));
for (const entry of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
  const name = path.relative(DIST, path.join(entry.parentPath ?? entry.path, entry.name));
  if (entry.isFile() && !fresh.has(name) && !/^(?:bpf|ui)\//.test(name))
    rmSync(path.join(DIST, name));
}
