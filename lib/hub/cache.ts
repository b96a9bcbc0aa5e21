/**
 * The cache on disk, in the layout that Python's huggingface_hub shares with every tool:
 *
 *   models--org--name/refs/<revision>              a commit hash
 *   models--org--name/blobs/<etag>                 contents, named by hash
 *   models--org--name/snapshots/<commit>/<path>    links into blobs
 *
 * A blob appears by a rename after its hash was checked, and a snapshot's config.json is linked last: whatever is
 * killed when, a snapshot with config.json and weights is whole.
 */

import { randomUUID } from 'node:crypto';
import {
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { isCommitHash } from './client';
import { folderOf, moduleConfigs, selectFiles, shardsOf } from './select';

/** What {@link ModelCache.inspect} found. */
export interface Inspection {
  /** Files that the snapshot needs and lacks, the tokenizer apart. */
  readonly missing: readonly string[];
  /** Whether there is a tokenizer; a model can be run on token ids without it. */
  readonly tokenizer: boolean;
  /** Why the weights cannot be used, where another reason than absence is known. */
  readonly error: unknown;
}

/** The folders of one model in the cache. */
export class ModelCache {
  readonly folder: string;
  readonly locks: string;
  private readonly where: string;

  constructor(
    cacheDir: string,
    readonly model: string,
  ) {
    const name = `models--${model.replaceAll('/', '--')}`;
    this.folder = join(cacheDir, name);
    this.locks = join(cacheDir, '.locks', name);
    this.where = `${model} in the cache ${cacheDir}`;
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that a revision named when it was last fetched; a full hash is its own. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommitHash(revision)) return revision;
    try {
      const commit = (await readFile(join(this.folder, 'refs', revision), 'utf8')).trim();
      return isCommitHash(commit) ? commit : undefined;
    } catch {
      return undefined;
    }
  }

  /** Notes that `revision` names `commit`; by a rename, so that no reader sees half of it. */
  async setRef(revision: string, commit: string): Promise<void> {
    if (isCommitHash(revision) || (await this.commitOf(revision)) === commit) return;
    const path = join(this.folder, 'refs', revision);
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
    await writeFile(temporary, commit);
    await rename(temporary, path);
  }

  /** What a snapshot lacks, judged by its own configurations, since the hub's list is not at hand. */
  async inspect(commit: string): Promise<Inspection> {
    const folder = this.snapshot(commit);
    const paths = await listTwoLevels(folder);
    const present = new Set(paths);
    const needed: string[] = [];
    let error: unknown;
    try {
      for (const index of selectFiles(this.where, paths).indexes) {
        needed.push(...shardsOf(this.where, index, await readFile(join(folder, index), 'utf8')));
      }
    } catch (failure) {
      error = failure;
      if (!present.has('config.json')) needed.push('config.json');
      needed.push('model.safetensors');
    }
    if (present.has('modules.json')) {
      needed.push(...moduleConfigs(await readFile(join(folder, 'modules.json'), 'utf8')));
    }
    return {
      missing: needed.filter((path) => !present.has(path)),
      tokenizer: paths.some((path) => /^(0_[^/]+\/)?tokenizer\.json$/.test(path)),
      error,
    };
  }

  /** Links a blob into a snapshot, replacing a link that points nowhere. */
  async link(etag: string, commit: string, path: string): Promise<void> {
    const target = join(this.snapshot(commit), path);
    if (await isFile(target)) return;
    await mkdir(dirname(target), { recursive: true });
    const temporary = `${target}.${randomUUID().slice(0, 8)}.tmp`;
    const blob = this.blob(etag);
    try {
      await symlink(relative(dirname(target), blob), temporary);
    } catch (error) {
      // Some file systems have no links; Python copies there too.
      if (!['EPERM', 'ENOSYS', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw error;
      }
      await copyFile(blob, temporary);
    }
    try {
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}

/** Whether a path leads to a file, links followed. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Files of a snapshot's root and of the folders in it, as repository paths; links that point nowhere left out. */
async function listTwoLevels(folder: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (relativeFolder: string): Promise<void> => {
    const entries = await readdir(join(folder, relativeFolder), { withFileTypes: true }).catch(
      () => [],
    );
    for (const entry of entries) {
      const path = relativeFolder === '' ? entry.name : `${relativeFolder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (folderOf(path) === '') await visit(path);
      } else if (await isFile(join(folder, path))) {
        found.push(path);
      }
    }
  };
  await visit('');
  return found;
}
