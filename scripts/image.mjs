// npm run image [-- --out FOLDER (this clone's)] [--fetch]: a container image for this machine's architecture, as an archive with
// an OCI layout, which `podman load`, `docker load` (25 or later) and skopeo take. No container tool is needed: one
// layer is what apt says that the Debian package depends on, the other is the package. The same sources and the same
// state of Debian's archive give the same bytes.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { ownVersion } from './debian-node.mjs';
import { PROJECT } from './setup.mjs';
import { sourceEpoch } from './source-epoch.mjs';

/** Debian packages that were fetched, by their versions. */
const CACHE = path.join(PROJECT, '.cache/image');
/** What a container has no use for; who holds the copyright stays. */
const USELESS = ['man', 'locale', 'lintian', 'bash-completion', 'zsh', 'fish', 'info'];
/** What only the package's scripts need, which do not run here. */
const FOR_SCRIPTS = new Set(['adduser']);
const MERGED = ['bin', 'lib', 'lib64', 'sbin'];

/** The layer of everything that the package needs, from libc upwards. */
function layOutDebian(root, depends) {
  for (const name of MERGED) {
    mkdirSync(path.join(root, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, path.join(root, name));
  }
  for (const deb of closure(depends)) unpack(deb, root);
  for (const folder of ['etc', 'tmp', 'run', 'var/lib', 'proc', 'sys', 'dev']) {
    mkdirSync(path.join(root, folder), { recursive: true });
  }
  writeFileSync(path.join(root, 'etc/passwd'), 'root:x:0:0:root:/:/usr/sbin/nologin\n');
  writeFileSync(path.join(root, 'etc/group'), 'root:x:0:\n');
}

/** All packages that `depends` needs on a machine without any, fetched: their files. */
function closure(depends) {
  const node = `nodejs=${ownVersion() ?? ownVersion({ fresh: true })}`;
  const names = depends.map((name) => (name === 'nodejs' ? node : name));
  mkdirSync(CACHE, { recursive: true });
  const nothing = path.join(CACHE, 'no-status');
  writeFileSync(nothing, '');
  const status = ['-o', `Dir::State::status=${nothing}`, '--no-install-recommends', '--simulate'];
  const said = capture('apt-get', [...status, 'install', ...names]);
  const found = [...said.matchAll(/^Inst (\S+) \((\S+) /gm)].map(([, name, version]) => {
    return { name, version, file: fileOf(name, version) };
  });
  fetchAll(found.filter(({ file }) => !existsSync(file)));
  return found.map(({ file }) => file);
}

function fetchAll(wanted) {
  if (wanted.length === 0) return;
  const work = mkdtempSync(path.join(CACHE, 'fetch-'));
  try {
    const names = wanted.map(({ name, version }) => `${name}=${version}`);
    capture('apt-get', ['download', ...names], { cwd: work });
    for (const name of readdirSync(work)) {
      const deb = path.join(work, name);
      const field = (which) => capture('dpkg-deb', ['-f', deb, which]).trim();
      renameSync(deb, fileOf(field('Package'), field('Version')));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function fileOf(name, version) {
  return path.join(CACHE, `${name}_${encodeURIComponent(version)}.deb`);
}

/** Folders that the tree has as links (`/lib`) stay links. */
function unpack(deb, root) {
  const useless = USELESS.map((name) => `--exclude=./usr/share/${name}`);
  const tar = ['-x', '--keep-directory-symlink', ...useless, '-C', root];
  const all = 'deb=$1 && shift && dpkg-deb --fsys-tarfile "$deb" | tar "$@"';
  capture('bash', ['-o', 'pipefail', '-c', all, 'bash', deb, ...tar]);
}

/** A layer of a tree: its descriptor, and the hash of what is inside the compression. */
function packLayer(root, blobs, epoch) {
  const tar = path.join(blobs, 'layer.tar');
  const options = [
    ...['--sort=name', `--mtime=@${epoch}`, '--owner=0', '--group=0', '--numeric-owner'],
    ...['--format=gnu', '-C', root, '-cf', tar, '.'],
  ];
  capture('tar', options);
  const inside = `sha256:${hashOf(readFileSync(tar))}`;
  capture('gzip', ['-n', tar]);
  const layer = addFile(`${tar}.gz`, blobs, 'application/vnd.oci.image.layer.v1.tar+gzip');
  return { layer, inside };
}

function addFile(file, blobs, mediaType) {
  const digest = hashOf(readFileSync(file));
  const { size } = statSync(file);
  renameSync(file, path.join(blobs, digest));
  return { mediaType, digest: `sha256:${digest}`, size };
}

function addJson(value, blobs, mediaType) {
  const file = path.join(blobs, 'json');
  writeFileSync(file, JSON.stringify(value));
  return addFile(file, blobs, mediaType);
}

/** The image by the OCI image specification 1.0; with `fetch` only what it needs is fetched. */
function buildImage({ out, epoch, fetch }) {
  const work = mkdtempSync(path.join(tmpdir(), 'ipipou-image-'));
  try {
    const make = [path.join(PROJECT, 'scripts/deb.mjs'), '--out', work];
    const deb = capture(process.execPath, make).trim();
    const field = (name) => capture('dpkg-deb', ['-f', deb, name]).trim();
    const [version, architecture] = [field('Version'), field('Architecture')];
    const depends = field('Depends')
      .split(', ')
      .map((term) => term.split(' ')[0])
      .filter((name) => !FOR_SCRIPTS.has(name));
    if (fetch) return `${closure(depends).length} packages in ${CACHE}`;

    const layout = path.join(work, 'layout');
    const blobs = path.join(layout, 'blobs/sha256');
    mkdirSync(blobs, { recursive: true });
    const trees = ['debian', 'ipipou'].map((name) => path.join(work, name));
    for (const tree of trees) mkdirSync(tree);
    layOutDebian(trees[0], depends);
    unpack(deb, trees[1]);
    const layers = trees.map((tree) => packLayer(tree, blobs, epoch));

    const created = `${new Date(epoch * 1000).toISOString().slice(0, 19)}Z`;
    const config = {
      created,
      ...{ architecture, os: 'linux' },
      config: {
        Entrypoint: ['/usr/bin/ipipou'],
        Cmd: ['help'],
        Env: ['PATH=/usr/sbin:/usr/bin'],
        Volumes: { '/etc/ipipou': {}, '/var/lib/ipipou': {} },
        StopSignal: 'SIGTERM',
        Labels: {
          'org.opencontainers.image.title': 'ipipou',
          'org.opencontainers.image.version': version,
          'org.opencontainers.image.licenses': 'MIT',
        },
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ inside }) => inside) },
      history: trees.map((tree) => ({
        created,
        created_by: `npm run image: ${path.basename(tree)}`,
      })),
    };
    const manifest = {
      ...{ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' },
      config: addJson(config, blobs, 'application/vnd.oci.image.config.v1+json'),
      layers: layers.map(({ layer }) => layer),
    };
    const described = addJson(manifest, blobs, manifest.mediaType);
    // The names that podman and skopeo, and docker, give it.
    const annotations = {
      'org.opencontainers.image.ref.name': `localhost/ipipou:${version}`,
      'io.containerd.image.name': `docker.io/library/ipipou:${version}`,
    };
    const index = { schemaVersion: 2, manifests: [{ ...described, annotations }] };
    writeFileSync(path.join(layout, 'index.json'), JSON.stringify(index));
    writeFileSync(path.join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');

    mkdirSync(out, { recursive: true });
    const file = path.join(out, `ipipou_${version}_${architecture}.oci.tar`);
    const fixed = ['--sort=name', `--mtime=@${epoch}`, '--owner=0', '--group=0', '--numeric-owner'];
    const modes = ['--format=gnu', '--mode=u=rwX,go=rX'];
    const parts = ['oci-layout', 'index.json', 'blobs'];
    capture('tar', [...fixed, ...modes, '-C', layout, '-cf', file, ...parts]);
    return file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function hashOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

function capture(command, args, options = {}) {
  const env = { ...process.env, LC_ALL: 'C.UTF-8' };
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, env, ...options });
  if (done.status === 0) return done.stdout;
  const why = done.error?.message ?? done.stderr;
  throw new Error(`${command} ${args.slice(0, 3).join(' ')}: ${why}`);
}

try {
  const options = { out: { type: 'string' }, fetch: { type: 'boolean', default: false } };
  const { out = PROJECT, fetch } = parseArgs({ options }).values;
  console.log(buildImage({ out: path.resolve(out), epoch: sourceEpoch(), fetch }));
} catch (error) {
  console.error(`image: ${error.message}`);
  process.exitCode = 1;
}
