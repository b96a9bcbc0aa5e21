/**
 * `multihead build`: compiles the addon where the package carries none that fits.
 *
 * The compiler's helpers (cmake-js, headers) are no dependencies of the package: this command alone needs them, so
 * it fetches the pinned versions with npm into a temporary folder, and says so.
 */

import { spawn } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { MultiheadError } from '../errors';
import { positiveInteger } from './options';

const packageRoot = join(__dirname, '..', '..');
const HELPERS = ['cmake-js', 'node-addon-api', 'node-api-headers'];
const SOURCES = ['CMakeLists.txt', 'native', 'package.json'];
/** Each a list of alternatives. */
const PROGRAMS = [['g++'], ['cmake'], ['make', 'ninja'], ['npm']];

export function buildCommand(): Command {
  return new Command('build')
    .description('compile the native addon here; needs g++, CMake, make and npm')
    .option('--jobs <count>', 'files to compile at once', positiveInteger, 2)
    .action(build);
}

async function build({ jobs }: { jobs: number }): Promise<void> {
  await requirePrograms();
  const scratch = await mkdtemp(join(tmpdir(), 'multihead-build-'));
  try {
    await installHelpers(scratch);
    // Below the helpers, so that the headers are found as any package of the project would be.
    const project = join(scratch, 'multihead');
    await mkdir(project);
    for (const name of SOURCES) {
      await cp(join(packageRoot, name), join(project, name), { recursive: true });
    }
    console.error('multihead: compiling the addon');
    const cmakeJs = join(scratch, 'node_modules', 'cmake-js', 'bin', 'cmake-js');
    const out = join(project, 'build', 'Release');
    const options = ['--directory', project, '--out', out, '--parallel', String(jobs)];
    await run(process.execPath, [cmakeJs, 'build', ...options], scratch);
    console.log(await putInPlace(join(out, 'multihead.node')));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The versions that this release is developed with. */
async function installHelpers(scratch: string): Promise<void> {
  const { devDependencies } = require(join(packageRoot, 'package.json')) as {
    devDependencies: Record<string, string>;
  };
  const dependencies = Object.fromEntries(HELPERS.map((name) => [name, devDependencies[name]]));
  const list = Object.entries(dependencies).map((entry) => entry.join('@'));
  console.error(`multihead: fetching ${list.join(', ')} with npm into a temporary folder`);
  await writeFile(join(scratch, 'package.json'), JSON.stringify({ private: true, dependencies }));
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', '--ignore-scripts', ...quiet], scratch);
}

/** Renamed into place, so that a process that loads the addon at this moment sees a whole one. */
async function putInPlace(product: string): Promise<string> {
  const folder = join(packageRoot, 'build', 'Release');
  const target = join(folder, 'multihead.node');
  await mkdir(folder, { recursive: true });
  await copyFile(product, `${target}.new`);
  await rename(`${target}.new`, target);
  return target;
}

async function requirePrograms(): Promise<void> {
  const missing: string[] = [];
  for (const names of PROGRAMS) {
    const tries = names.map((name) => run(name, ['--version'], packageRoot));
    await Promise.any(tries).catch(() => missing.push(names[0] as string));
  }
  if (missing.length === 0) return;
  throw new MultiheadError('UNSUPPORTED', {
    where: 'multihead build',
    got: `a machine without ${missing.join(', ')}`,
    expected: `these programs (on Debian or Ubuntu: apt-get install ${missing.join(' ')})`,
  });
}

/** Runs a program; its output is shown only when it fails, and then the last lines. */
function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk) => output.push(chunk));
    child.stderr.on('data', (chunk) => output.push(chunk));
    child.on('error', (cause) => reject(programFailed(command, cause.message, cause)));
    child.on('close', (code) => {
      if (code === 0) return resolve();
      const text = Buffer.concat(output).toString().trimEnd();
      console.error(text.split('\n').slice(-40).join('\n'));
      reject(programFailed(command, `exit code ${code}`));
    });
  });
}

function programFailed(command: string, got: string, cause?: unknown): MultiheadError {
  return new MultiheadError(
    'UNSUPPORTED',
    { where: `multihead build: ${command}`, got },
    { cause },
  );
}
