/**
 * A whole commit of a model into the cache: list, lock, fetch every needed blob, then link them into the snapshot.
 *
 * Links come after all blobs and config.json's comes last, so that a snapshot is either unusable or whole.
 */

import { mkdir, readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { MultiheadError } from '../errors';
import type { ModelCache } from './cache';
import type { HubClient, HubFile } from './client';
import { bytesOnDisk, download } from './download';
import { fileError, type Sleep } from './failures';
import { acquireLock } from './lock';
import { selectFiles, shardsOf } from './select';

/** One step of a download. */
export interface DownloadProgress {
  /** The file being fetched, as the repository names it. */
  readonly file: string;
  /** Bytes of all needed files that are on disk, those of earlier downloads included. */
  readonly loaded: number;
  /** Bytes of all needed files. */
  readonly total: number;
}

export interface SnapshotJob {
  readonly client: HubClient;
  readonly cache: ModelCache;
  readonly model: string;
  readonly commit: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
  readonly sleep: Sleep;
}

/** Fetches what the cache lacks of a commit. */
export async function fetchSnapshot(job: SnapshotJob): Promise<void> {
  const where = `${job.model}@${job.commit}`;
  const listed = new Map<string, HubFile>();
  for (const file of await job.client.listFiles(job.commit)) listed.set(file.path, file);
  const selection = selectFiles(where, [...listed.keys()]);
  const wanted = selection.files.map((path) => listedFile(where, listed, path));
  const path = join(job.cache.locks, 'multihead.lock');
  const context = { where, signal: job.signal, sleep: job.sleep };
  const release = await acquireLock(path, context).catch((error) => {
    throw fileError(path, error);
  });
  try {
    for (const index of selection.indexes) {
      const file = listedFile(where, listed, index);
      await fetchFile(job, file, () => {});
      const text = await readFile(job.cache.blob(file.etag), 'utf8');
      for (const shard of shardsOf(where, index, text))
        wanted.push(listedFile(where, listed, shard));
    }
    await fetchAll(job, wanted);
    await linkAll(job, wanted);
  } finally {
    await release();
  }
}

/** The listed file, with an etag that can be a file name and a size that can be a size. */
function listedFile(where: string, listed: ReadonlyMap<string, HubFile>, path: string): HubFile {
  const file = listed.get(path);
  if (!file) {
    throw new MultiheadError('WEIGHT_MISSING', {
      where,
      got: `no ${path}, which its weight index names`,
    });
  }
  const digits = file.hash === 'sha256' ? 64 : 40;
  if (file.etag.length === digits && /^[0-9a-f]+$/.test(file.etag) && isSize(file.size))
    return file;
  throw new MultiheadError('FILE_ERROR', {
    where: `${where}: ${path}`,
    got: `listed with hash ${JSON.stringify(file.etag)} and size ${file.size}`,
    expected: `${digits} hexadecimal digits and a number of bytes`,
  });
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

async function fetchAll(job: SnapshotJob, files: readonly HubFile[]): Promise<void> {
  const onDisk = new Map<HubFile, number>();
  let total = 0;
  let loaded = 0;
  for (const file of files) {
    const bytes = await bytesOnDisk(job.cache.blob(file.etag), file.size);
    onDisk.set(file, bytes);
    loaded += bytes;
    total += file.size;
  }
  await checkSpace(job.cache.folder, total - loaded);
  for (const file of files) {
    await fetchFile(job, file, (bytes) => {
      loaded += bytes - (onDisk.get(file) ?? 0);
      onDisk.set(file, bytes);
      job.onProgress?.({ file: file.path, loaded, total });
    });
  }
}

async function fetchFile(
  { client, cache, model, commit, signal, sleep }: SnapshotJob,
  file: HubFile,
  onBytes: (loaded: number) => void,
): Promise<void> {
  const target = cache.blob(file.etag);
  const where = `${model}@${commit}: ${file.path}`;
  try {
    await download({ client, commit, file, target, where, signal, sleep, onBytes });
  } catch (error) {
    throw fileError(where, error);
  }
}

/** Says that the disk is too small before it is full. */
async function checkSpace(folder: string, needed: number): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    if (needed <= free) return;
    throw new MultiheadError('FILE_ERROR', {
      where: folder,
      got: `${free} bytes free`,
      expected: `${needed} bytes for the model (HF_HOME names another place)`,
    });
  } catch (error) {
    throw fileError(folder, error);
  }
}

async function linkAll({ cache, commit }: SnapshotJob, files: readonly HubFile[]): Promise<void> {
  const isLast = (file: HubFile) => Number(/^(0_[^/]+\/)?config\.json$/.test(file.path));
  const ordered = [...files].sort((a, b) => isLast(a) - isLast(b));
  try {
    for (const { etag, path } of ordered) await cache.link(etag, commit, path);
  } catch (error) {
    throw fileError(cache.snapshot(commit), error);
  }
}
