// Packs what `npm publish` would upload, with dist and this platform's binary, into build/pack.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { root, run, ScriptError, step, withLock } from './process.mjs';
import { ensureDist, ensureInstalled, ensurePrebuilds } from './setup.mjs';

/** @returns {Promise<string>} the path of the tarball */
export async function makePackage() {
  await ensureInstalled();
  await ensureDist();
  await ensurePrebuilds();
  const folder = join(root, 'build', 'pack');
  return withLock('pack', () =>
    step('packing', async () => {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await run('npm', [
        'pack',
        '--ignore-scripts',
        '--loglevel=error',
        '--pack-destination',
        folder,
      ]);
      const [name] = await readdir(folder);
      if (!name) throw new ScriptError(`npm pack left nothing in ${folder}`);
      return join(folder, name);
    }),
  );
}
