// publint and attw (are the types wrong?) over the packed tarball: what users get, not what the checkout has.
import { join } from 'node:path';
import { makePackage } from './pack.mjs';
import { capture, root } from './process.mjs';

/** @returns {Promise<string[]>} the problems */
export async function checkPackage() {
  const tarball = await makePackage();
  return [
    ...(await problemOf('publint/src/cli.js', ['run', tarball, '--strict'])),
    ...(await problemOf('@arethetypeswrong/cli/dist/index.js', [tarball, '--no-color'])),
  ];
}

async function problemOf(path, args) {
  const program = join(root, 'node_modules', path);
  const { code, stdout, stderr } = await capture(process.execPath, [program, ...args]);
  return code === 0 ? [] : [(stdout + stderr).trim()];
}
