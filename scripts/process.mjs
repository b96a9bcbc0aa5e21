// What every script here needs: run a program quietly, say one line a step, hold a lock, hash inputs.
//
// No dependencies, so that the scripts work on a fresh clone with no node_modules.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** A failure that is the user's to fix: printed as it is, without a stack. */
export class ScriptError extends Error {}

/** One line about what happens, on stderr so that stdout stays for results. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs a program to its end and returns what it wrote.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, output?: 'quiet' | 'progress' }} [options]
 * `progress` passes what it writes to stderr on while it comes; `quiet` only keeps it.
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export function capture(command, args, { cwd = root, env = {}, output = 'quiet' } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks = { stdout: [], stderr: [] };
    for (const name of ['stdout', 'stderr']) {
      child[name].on('data', (chunk) => {
        chunks[name].push(chunk);
        if (output === 'progress' && name === 'stderr') process.stderr.write(chunk);
      });
    }
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const text = (name) => Buffer.concat(chunks[name]).toString();
      const stderr = text('stderr') + (signal ? `\nkilled by ${signal}` : '');
      resolve({ code: code ?? 1, stdout: text('stdout'), stderr });
    });
  });
}

/** Like `capture`, but throws with the last lines of the output when the program fails. */
export async function run(command, args, options = {}) {
  const result = await capture(command, args, options);
  if (result.code !== 0) {
    const tail = (result.stdout + result.stderr).trimEnd().split('\n').slice(-60).join('\n');
    throw new ScriptError(
      `${[command, ...args].join(' ')} failed with exit code ${result.code}\n${tail}`,
    );
  }
  return result;
}

/** Whether a program can be started and exits with 0. */
export async function works(command, args) {
  try {
    return (await capture(command, args)).code === 0;
  } catch {
    return false;
  }
}

/** Runs `f` and says what is done and how long it took. */
export async function step(label, f) {
  say(`${label} ...`);
  const start = Date.now();
  const result = await f();
  say(`${label}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return result;
}

/** Runs the main function of a script: an expected failure prints its message only. */
export async function main(f) {
  try {
    process.exitCode = (await f()) ?? 0;
  } catch (error) {
    say(error instanceof ScriptError ? error.message : error.stack);
    process.exitCode = 1;
  }
}

/** Every file below `paths` (relative to `base`), sorted; a path that is absent has none. */
export function filesUnder(paths, { base = root } = {}) {
  const found = [];
  const visit = (path) => {
    if (!existsSync(path)) return;
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path)) visit(join(path, name));
    } else {
      found.push(path);
    }
  };
  for (const path of paths) visit(join(base, path));
  return found.sort();
}

/** A hash of the names and contents of every file below `paths`, and of `extra`. */
export function hashInputs(paths, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const file of filesUnder(paths)) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

const LOCK_POLL_MS = 250;

/**
 * Runs `f` while no other process of this checkout does; waits for one that does.
 *
 * The lock is an abstract socket, which Linux frees with the process that holds it, however that ends: there is
 * no stale lock to judge. Elsewhere there is no such socket, and concurrent runs are the caller's affair.
 */
export async function withLock(name, f) {
  if (process.platform !== 'linux') return f();
  const address = `\0multihead-${createHash('sha256').update(`${root} ${name}`).digest('hex')}`;
  let held = await tryLock(address);
  if (!held) say(`waiting for another process that holds the lock "${name}"`);
  while (!held) {
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
    held = await tryLock(address);
  }
  try {
    return await f();
  } finally {
    held.close();
  }
}

/** The listening server that is the lock, or undefined while another process holds it. */
function tryLock(address) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(address, () => resolve(server.unref()));
  });
}
