// clang-format and clang-tidy over the C++ sources, from wheels pinned in requirements-check.txt.
//
// clang-tidy looks at native/ alone, for its analyzer takes seconds a file. How each file is compiled it reads from
// the databases that CMake wrote for the addon and the native tests. A run over the sources of the last clean one
// is skipped.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import {
  capture,
  filesUnder,
  hashInputs,
  root,
  run,
  ScriptError,
  step,
  withLock,
  works,
} from './process.mjs';
import { configureForAnalysis } from './setup.mjs';

const SOURCES = ['native', 'test/native'];
const REQUIREMENTS = join(root, 'scripts', 'requirements-check.txt');
const CONFIG = join(root, '.clang-tidy');
const VENV = join(root, 'build', 'venv');
const AT_ONCE = 2;

/**
 * @param {{ fix?: boolean }} [options] fix: formats the files instead
 * @returns {Promise<string[]>} the problems
 */
export async function checkCpp({ fix } = {}) {
  const files = sources(/\.(cc|h)$/);
  if (files.length === 0) throw new ScriptError('no C++ source found');
  return [...(await formatProblems(files, { fix })), ...(await tidy())];
}

function sources(pattern) {
  return filesUnder(SOURCES).filter((file) => pattern.test(file));
}

/** @param {readonly string[]} files @returns {Promise<string[]>} */
export async function formatProblems(files, { fix } = {}) {
  await ensureWheels();
  const mode = fix ? ['-i'] : ['--dry-run', '--Werror'];
  return problemOf(join(VENV, 'bin', 'clang-format'), [...mode, ...files]);
}

async function problemOf(program, args) {
  const { code, stdout, stderr } = await capture(program, args);
  return code === 0 ? [] : [(stdout + stderr).trim()];
}

async function tidy() {
  const stamp = join(root, 'build', 'clang-tidy.stamp');
  const inputs = hashInputs([
    'native',
    'CMakeLists.txt',
    '.clang-tidy',
    'scripts/requirements-check.txt',
  ]);
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === inputs) return [];
  return step('clang-tidy', async () => {
    const queue = await compiledFiles();
    const problems = [];
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift())
        problems.push(...(await tidyProblems(next)));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (problems.length === 0) await writeFile(stamp, inputs);
    return problems;
  });
}

/** Each source once, with a folder whose compile_commands.json says how it is compiled. */
async function compiledFiles() {
  const found = new Map();
  for (const folder of await configureForAnalysis()) {
    const database = JSON.parse(await readFile(join(folder, 'compile_commands.json'), 'utf8'));
    for (const { file } of database) if (!found.has(file)) found.set(file, { file, folder });
  }
  const analysed = filesUnder(['native']).filter((file) => file.endsWith('.cc'));
  const missed = analysed.filter((file) => !found.has(file));
  if (missed.length > 0) {
    throw new ScriptError(
      `compiled nowhere: ${missed.map((file) => relative(root, file)).join(', ')}`,
    );
  }
  return analysed.map((file) => found.get(file));
}

/**
 * @param {{ file: string, folder: string }} compiled a source, and the folder of its compile_commands.json
 * @returns {Promise<string[]>}
 */
export async function tidyProblems({ file, folder }) {
  await ensureWheels();
  // The compiler is gcc, so flags and warnings that clang does not know are no finding.
  const options = ['--quiet', '--extra-arg=-Wno-unknown-warning-option', `--config-file=${CONFIG}`];
  return problemOf(join(VENV, 'bin', 'clang-tidy'), [...options, '-p', folder, file]);
}

/** build/venv with the pinned wheels; made again when the pins change. */
async function ensureWheels() {
  const stamp = join(VENV, 'requirements.stamp');
  const wanted = await readFile(REQUIREMENTS, 'utf8');
  const isCurrent = async () => existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted;
  if (await isCurrent()) return;
  await withLock('venv', async () => {
    if (!(await isCurrent())) await installWheels(stamp, wanted);
  });
}

async function installWheels(stamp, wanted) {
  await step('installing clang-format and clang-tidy into build/venv (pip)', async () => {
    await rm(VENV, { recursive: true, force: true });
    await mkdir(join(root, 'build'), { recursive: true });
    await makeVenv();
    const pip = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '-r',
      REQUIREMENTS,
    ];
    await run(join(VENV, 'bin', 'python3'), pip);
    await writeFile(stamp, wanted);
  });
}

async function makeVenv() {
  if (await works('python3', ['-m', 'venv', VENV])) return;
  if (!(await works('python3', ['--version']))) {
    throw new ScriptError(
      'missing: python3; on Debian or Ubuntu: apt-get install python3 python3-venv',
    );
  }
  if (process.getuid?.() !== 0) {
    throw new ScriptError('python3 has no venv; on Debian or Ubuntu: apt-get install python3-venv');
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], { env });
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'python3-venv'], {
    env,
  });
  await rm(VENV, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', VENV]);
}
