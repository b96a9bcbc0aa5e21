// Brings a checkout to where code can run: packages installed, addon and dist built, each only if needed.
//
// What is up to date is decided by content, never by time: the lock file against what npm recorded as
// installed, and a hash of the sources against the one stored beside the last build.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { hashInputs, root, run, ScriptError, say, step, withLock, works } from './process.mjs';

const JOBS = '2';

/** Installs node_modules with `npm ci` unless they already are what package-lock.json asks for. */
export async function ensureInstalled() {
  if (await isInstalled()) return;
  await withLock('install', async () => {
    if (await isInstalled()) return;
    await step('installing packages (npm ci)', () =>
      run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']),
    );
  });
}

/** Compares the lock file with the record that npm keeps of what it installed. */
async function isInstalled() {
  const wanted = await readJson(join(root, 'package-lock.json'));
  const present = await readJson(join(root, 'node_modules', '.package-lock.json'));
  if (!wanted) throw new ScriptError('package-lock.json is missing: run npm install once');
  if (!present) return false;
  return Object.entries(wanted.packages).every(([path, { version, optional }]) => {
    if (path === '') return true;
    const found = present.packages[path];
    return found ? found.version === version : optional === true;
  });
}

async function readJson(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw new ScriptError(`${path}: ${error.message}`);
  }
}

/** Compiles the addon and dist unless both are as new as their sources. Needs `ensureInstalled` first. */
export async function ensureBuilt() {
  await ensureAddon();
  await ensureDist();
}

/**
 * Compiles the addon into build/Release, or with a sanitizer into build/<sanitizer>/build/Release: node-gyp-build
 * takes the latter when MULTIHEAD_PREBUILD names build/<sanitizer>.
 *
 * @param {{ sanitizer?: 'address' | 'thread' }} [options]
 * @returns {Promise<string>} the folder to name in MULTIHEAD_PREBUILD
 */
export async function ensureAddon({ sanitizer } = {}) {
  const base = sanitizer ? join(root, 'build', sanitizer) : root;
  const out = join(base, 'build', 'Release');
  const product = join(out, 'multihead.node');
  const { version } = await readJson(join(root, 'package.json'));
  const hash = () => hashInputs(['CMakeLists.txt', 'native'], `${version} ${sanitizer}`);
  await ensureProduct({
    name: sanitizer ? `addon-${sanitizer}` : 'addon',
    label: `compiling the addon${sanitizer ? ` with the ${sanitizer} sanitizer` : ''} (cmake-js)`,
    product,
    hash,
    make: async () => {
      await requireCompiler();
      await dropForeignCache(out);
      const cmakeJs = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js');
      const options = ['--out', out, '--log-level=warn', '--CDCMAKE_EXPORT_COMPILE_COMMANDS=ON'];
      if (sanitizer) options.push(`--CDMULTIHEAD_SANITIZER=${sanitizer}`);
      // Configured each time: a run that was stopped in between leaves a cache without build files.
      await run(process.execPath, [cmakeJs, 'configure', ...options]);
      await run(process.execPath, [cmakeJs, 'build', ...options, '--parallel', JOBS]);
    },
  });
  return base;
}

/**
 * Compiles the native tests into build/native-tests (build/native-<sanitizer>) and returns that folder.
 *
 * @param {{ sanitizer?: 'address' | 'thread' }} [options]
 */
export async function buildNativeTests({ sanitizer } = {}) {
  const label = sanitizer ? `the native tests with the ${sanitizer} sanitizer` : 'the native tests';
  return withLock(`native-${sanitizer ?? 'tests'}`, async () => {
    const out = await configureNativeTests(sanitizer);
    await step(`compiling ${label}`, () => run('cmake', ['--build', out, '--parallel', JOBS]));
    return out;
  });
}

async function configureNativeTests(sanitizer) {
  await requireCompiler();
  const out = join(root, 'build', sanitizer ? `native-${sanitizer}` : 'native-tests');
  await dropForeignCache(out);
  const options = {
    CMAKE_EXPORT_COMPILE_COMMANDS: 'ON',
    MULTIHEAD_TESTS: 'ON',
    MULTIHEAD_SANITIZER: sanitizer ?? '',
  };
  const definitions = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
  const isConfigured = existsSync(join(out, 'CMakeCache.txt'));
  const generator = !isConfigured && (await works('ninja', ['--version'])) ? ['-G', 'Ninja'] : [];
  await run('cmake', ['-S', root, '-B', out, ...generator, ...definitions]);
  return out;
}

/** Folders whose compile_commands.json say how every C++ file is compiled. */
export async function configureForAnalysis() {
  await ensureAddon();
  const tests = await withLock('native-tests', () => configureNativeTests());
  return [join(root, 'build', 'Release'), tests];
}

/** Compiles lib/ into dist/ and writes the ES module face of the same names. */
export async function ensureDist() {
  const dist = join(root, 'dist');
  await ensureProduct({
    name: 'dist',
    label: 'compiling lib (tsc)',
    product: join(dist, 'index.mjs'),
    hash: () => hashInputs(['lib', 'tsconfig.json', 'package.json', 'scripts/setup.mjs']),
    make: async () => {
      await rm(dist, { recursive: true, force: true });
      await run(process.execPath, [
        join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
        '-p',
        root,
      ]);
      await writeModuleFace(dist);
    },
  });
}

/** Node's own detection of a CommonJS module's names misses re-exports, so each is named. */
async function writeModuleFace(dist) {
  const names = Object.keys(createRequire(import.meta.url)(join(dist, 'index.js'))).sort();
  const lines = names.map((name) => `export const ${name} = multihead.${name};`);
  await writeFile(
    join(dist, 'index.mjs'),
    `import multihead from './index.js';\n\n${lines.join('\n')}\n`,
  );
  await writeFile(join(dist, 'index.d.mts'), "export * from './index.js';\n");
}

/**
 * Puts a stripped copy of the addon into prebuilds/<platform>-<arch>, under the name that node-gyp-build looks
 * for. prebuildify does the naming; the node-gyp that it calls is a shim that compiles with cmake-js.
 */
export async function ensurePrebuilds() {
  const folder = `prebuilds/${process.platform}-${process.arch}`;
  const libc = process.platform === 'linux' ? '.glibc' : '';
  await ensureAddon();
  await ensureProduct({
    name: 'prebuilds',
    label: `making ${folder} (prebuildify)`,
    product: join(root, folder, `multihead${libc}.node`),
    hash: () => hashInputs(['build/Release/multihead.node', 'scripts/node-gyp-shim.mjs']),
    make: async () => {
      await requireTools(['strip']);
      const work = join(root, 'build', 'prebuildify');
      await mkdir(work, { recursive: true });
      const prebuildify = createRequire(import.meta.url)('prebuildify');
      await promisify(prebuildify)({
        cwd: work,
        out: root,
        name: 'multihead',
        targets: [`node@${process.versions.node}`],
        napi: true,
        strip: true,
        tagLibc: process.platform === 'linux',
        nodeGyp: join(root, 'scripts', 'node-gyp-shim.mjs'),
        quiet: true,
      });
    },
  });
}

/** Makes a product again when it is missing or when the hash of its inputs is not the stored one. */
async function ensureProduct({ name, label, product, hash, make }) {
  const stamp = join(root, 'build', `${name}.stamp`);
  const isCurrent = async () =>
    existsSync(product) && existsSync(stamp) && (await readFile(stamp, 'utf8')) === hash();
  if (await isCurrent()) return;
  await withLock(name, async () => {
    if (await isCurrent()) return;
    // Hashed before: a source that changes meanwhile makes the next run build again.
    const inputs = hash();
    await step(label, make);
    if (!existsSync(product)) throw new ScriptError(`${label} made no ${product}`);
    await mkdir(dirname(stamp), { recursive: true });
    await writeFile(stamp, inputs);
  });
}

/** Removes a CMake folder that was configured when the checkout lay elsewhere. */
async function dropForeignCache(folder) {
  const cache = join(folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const text = await readFile(cache, 'utf8');
  if (text.includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${root}\n`)) return;
  say(`removing ${folder}: it was configured for another checkout`);
  await rm(folder, { recursive: true, force: true });
}

async function requireCompiler() {
  // CMake drives either; cmake-js prefers ninja where it is.
  const maker = (await works('ninja', ['--version'])) ? 'ninja' : 'make';
  await requireTools(['g++', 'cmake', maker]);
}

/** @throws {ScriptError} naming every program that is missing and how to get it */
export async function requireTools(names) {
  const missing = [];
  for (const name of names) {
    if (!(await works(name, ['--version']))) missing.push(name);
  }
  if (missing.length === 0) return;
  throw new ScriptError(
    `missing: ${missing.join(', ')}; on Debian or Ubuntu: apt-get install ${missing.join(' ')}`,
  );
}
