// Joins the compiled modules of .cache/modules into the few files of dist, which are what is shipped: three hundred files
// of their own take Node longer to find than all else that a start does. What not every command needs stays apart (chunks).
import { chmodSync, copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';
import { PROJECT } from './setup.mjs';

const MODULES = path.join(PROJECT, '.cache/modules');
const DIST = path.join(PROJECT, 'dist');

/** What is started by its path: the command, and the thread of the `tun` plane, which shares nothing with it. */
const ENTRIES = ['cli/main', 'adapters/planes/tun/worker'];

const output = [];
for (const name of ENTRIES) {
  const bundle = await rolldown({
    input: { [name]: path.join(MODULES, `${name}.js`) },
    // Node's own modules, and those that are installed: their names begin with neither a dot nor a slash.
    external: /^[^./]/,
    platform: 'node',
  });
  const written = await bundle.write({
    dir: DIST,
    format: 'cjs',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
  });
  output.push(...written.output);
  await bundle.close();
}
const page = await rolldown({ input: path.join(PROJECT, 'ui/page.ts'), platform: 'browser' });
await page.write({ file: path.join(DIST, 'ui/page.js') });
await page.close();
for (const name of ['index.html', 'page.css', 'icon.svg']) {
  copyFileSync(path.join(PROJECT, 'ui', name), path.join(DIST, 'ui', name));
}
chmodSync(path.join(DIST, 'cli/main.js'), 0o755);
writeFileSync(path.join(DIST, 'package.json'), '{ "type": "commonjs" }\n');

// Of an earlier build. The eBPF programs are build-bpf.mjs's.
const fresh = new Set(output.map(({ fileName }) => fileName));
for (const entry of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
  const name = path.relative(DIST, path.join(entry.parentPath ?? entry.path, entry.name));
  if (entry.isFile() && !fresh.has(name) && name !== 'package.json' && !/^(?:bpf|ui)\//.test(name))
    rmSync(path.join(DIST, name));
}
