// Builds and runs the native tests; each executable ends with a line `N passed, N failed`.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { capture, run, say } from './process.mjs';
import { buildNativeTests } from './setup.mjs';

const COUNTS = /^(\d+) passed, (\d+) failed$/;

/**
 * @param {{ sanitizer?: 'address' | 'thread' }} options
 * @returns {Promise<{ name: string, passed: number, failed: number }>}
 */
export async function runNative({ sanitizer }) {
  const folder = await buildNativeTests({ sanitizer });
  const tests = await listTests(folder);
  const name = sanitizer ? `native (${sanitizer})` : 'native';
  const total = { name, passed: 0, failed: 0 };
  for (const test of tests) {
    const { passed, failed } = await runOne(test, folder);
    say(`${name}: ${test.name}: ${passed} passed, ${failed} failed`);
    total.passed += passed;
    total.failed += failed;
  }
  return total;
}

/** What CMake's add_test registered. */
async function listTests(folder) {
  const { stdout } = await run('ctest', ['--test-dir', folder, '--show-only=json-v1']);
  return JSON.parse(stdout).tests.filter(({ command }) => command?.length > 0);
}

async function runOne({ name, command }, folder) {
  const result = await capture(command[0], command.slice(1));
  const output = result.stdout + result.stderr;
  await mkdir(join(folder, 'log'), { recursive: true });
  await writeFile(join(folder, 'log', `${name}.txt`), output);
  const counts = readCounts(result.stdout);
  if (result.code === 0 && counts && counts.failed === 0) return counts;
  process.stderr.write(`${output.trimEnd().split('\n').slice(-120).join('\n')}\n`);
  if (counts && counts.failed > 0) return counts;
  say(`${name} exited with ${result.code}${counts ? '' : ' and printed no counts'}`);
  return { passed: counts?.passed ?? 0, failed: 1 };
}

/** The counts in the last line of a test program, or undefined when it did not get that far. */
export function readCounts(output) {
  const match = COUNTS.exec(output.trimEnd().split('\n').at(-1) ?? '');
  return match ? { passed: Number(match[1]), failed: Number(match[2]) } : undefined;
}
