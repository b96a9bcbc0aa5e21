// The type tests: every file of test/types is compiled against the library's sources, never run.
//
// A file asserts with expect-type and with @ts-expect-error, so that a type that became too wide fails too.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { capture, root, say } from './process.mjs';

/** @returns {Promise<{ name: string, passed: number, failed: number }>} one test a file */
export async function runTypes() {
  const folder = join(root, 'test', 'types');
  const files = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.ts'));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { code, stdout } = await capture(process.execPath, [
    tsc,
    '-p',
    folder,
    '--pretty',
    'false',
  ]);
  if (code !== 0) say(stdout.trimEnd());
  const failing = files.filter((name) => stdout.includes(`test/types/${name}(`));
  // An error elsewhere (lib, the project itself) fails them all.
  const failed = code !== 0 && failing.length === 0 ? files.length : failing.length;
  return { name: 'types', passed: files.length - failed, failed };
}
