/** The packed tarball, installed as a user would: in an empty folder, by npm, with no compiler in sight. */

import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const root = join(__dirname, '..', '..');
const execute = promisify(execFile);

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; a failure is an outcome like another. */
export async function outcomeOf(
  command: string,
  args: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string | undefined>> },
): Promise<Outcome> {
  try {
    return {
      code: 0,
      ...(await execute(command, args, { maxBuffer: 64 * 1024 * 1024, ...options })),
    };
  } catch (error) {
    const { code, stdout, stderr, message } = error as Outcome & Error;
    return { code: Number(code), stdout: stdout ?? '', stderr: stderr || message };
  }
}

let packed: Promise<string> | undefined;

/** The tarball, made once a test file by the same script that publishes. */
export function tarball(): Promise<string> {
  packed ??= execute(process.execPath, [join(root, 'scripts', 'tarball.mjs')], { cwd: root }).then(
    ({ stdout }) => stdout.trim(),
  );
  return packed;
}

/** The model folder that `npm test` fetched. */
export function modelFolder(): string {
  const folder = process.env['MULTIHEAD_TEST_MODEL'];
  if (!folder)
    throw new Error('MULTIHEAD_TEST_MODEL: not set, expected a model folder; npm test sets it');
  return folder;
}

/** An empty folder of its own, removed when the test file ends. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'multihead-package-'));
  folders.push(folder);
  return folder;
}
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/**
 * The environment of a machine without compilers, and with nothing of this user's but where packages come from:
 * PATH holds node, npm, npx and sh alone, HOME is empty.
 */
export function bareEnvironment(): Record<string, string> {
  const home = emptyFolder();
  const bin = join(home, 'bin');
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  for (const name of ['npm', 'npx']) symlinkSync(programPath(name), join(bin, name));
  symlinkSync('/bin/sh', join(bin, 'sh'));
  return {
    HOME: home,
    PATH: bin,
    npm_config_userconfig: process.env['npm_config_userconfig'] ?? join(homedir(), '.npmrc'),
    npm_config_cache: process.env['npm_config_cache'] ?? join(homedir(), '.npm'),
    ...passedOn(),
  };
}

/** What a machine needs to reach the network at all. */
function passedOn(): Record<string, string> {
  const names = Object.keys(process.env).filter((name) =>
    /^(https?_proxy|no_proxy|npm_config_registry|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR))$/i.test(
      name,
    ),
  );
  return Object.fromEntries(names.map((name) => [name, process.env[name] as string]));
}

function programPath(name: string): string {
  const folder = (process.env['PATH'] ?? '')
    .split(':')
    .find((each) => statSync(join(each, name), { throwIfNoEntry: false }));
  if (!folder) throw new Error(`${name}: not in PATH`);
  return join(folder, name);
}

/** Installs the tarball into an empty folder and returns the folder. */
export async function installed(env: Readonly<Record<string, string>>): Promise<string> {
  const folder = emptyFolder();
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  const args = ['install', '--no-audit', '--no-fund', await tarball()];
  const { code, stderr } = await outcomeOf('npm', args, { cwd: folder, env });
  if (code !== 0) throw new Error(`npm install failed: ${stderr}`);
  return folder;
}

/** Every file below a folder, as paths relative to it; links are not followed. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
