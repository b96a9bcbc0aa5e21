// The checks that are other people's programs: biome, tsc, publint, attw. Each gives its output when it complains.
import { join } from 'node:path';
import { makePackage } from './pack.mjs';
import { capture, root } from './process.mjs';

/**
 * @param {string} folder @param {{ fix?: boolean }} [options] fix: formats instead of complaining
 * @returns {Promise<string[]>} the problems
 */
export function biomeProblems(folder, { fix } = {}) {
  const options = ['--error-on-warnings', '--colors=off', ...(fix ? ['--write'] : [])];
  return complaintOf('@biomejs/biome/bin/biome', ['check', ...options], folder);
}

/** @param {string} project a tsconfig or its folder @returns {Promise<string[]>} */
export function typeProblems(project) {
  return complaintOf('typescript/bin/tsc', ['--noEmit', '--pretty', 'false', '-p', project]);
}

/** @param {string} [tarball] default: this package, packed now @returns {Promise<string[]>} */
export async function packageProblems(tarball) {
  const packed = tarball ?? (await makePackage());
  return [
    ...(await complaintOf('publint/src/cli.js', ['run', packed, '--strict'])),
    ...(await complaintOf('@arethetypeswrong/cli/dist/index.js', [packed, '--no-color'])),
  ];
}

async function complaintOf(path, args, cwd = root) {
  const program = join(root, 'node_modules', path);
  const { code, stdout, stderr } = await capture(process.execPath, [program, ...args], { cwd });
  return code === 0 ? [] : [(stdout + stderr).trim() || `${path} exited with ${code}`];
}
