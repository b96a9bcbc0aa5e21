/**
 * One file into the cache: resumed where a former attempt stopped, checked by size and hash, renamed into place.
 *
 * The partial file has a name of its own: Python neither resumes nor touches it, and ours never meets Python's.
 */

import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MultiheadError } from '../errors';
import type { HubClient, HubFile } from './client';
import { fileError, type Sleep, throwIfAborted, waitOrThrow } from './failures';

/** Progress after which a broken connection counts as the first failure again. */
const PROGRESS_BYTES = 1 << 20;

export interface Download {
  readonly client: HubClient;
  readonly commit: string;
  readonly file: HubFile;
  /** Where the content goes: the blob's path. */
  readonly target: string;
  readonly where: string;
  readonly signal?: AbortSignal;
  readonly sleep: Sleep;
  /** Called with the number of bytes of this file that are on disk, whenever it changes. */
  readonly onBytes: (loaded: number) => void;
}

/** Makes sure that the blob is there, whole. The caller holds the model's lock. */
export async function download(job: Download): Promise<void> {
  if ((await sizeOf(job.target)) === job.file.size) {
    job.onBytes(job.file.size);
    return;
  }
  await mkdir(dirname(job.target), { recursive: true });
  // What an earlier process left behind may be no beginning of this file; then start from nothing, once.
  if ((await attempt(job)) === 'damaged') await attempt(job);
}

export function partialPath(target: string): string {
  return `${target}.multihead.incomplete`;
}

/** 'damaged': the hash is wrong, and some of the bytes came from an earlier attempt. Otherwise a wrong hash throws. */
async function attempt(job: Download): Promise<'complete' | 'damaged'> {
  const { file } = job;
  const partial = partialPath(job.target);
  const start = await bytesOnDisk(job.target, file.size);
  const hash = newHash(file);
  if (start > 0) await hashFile(hash, partial);
  const handle = await open(partial, start > 0 ? 'a' : 'w');
  try {
    job.onBytes(start);
    await receive(job, handle, hash, start);
    // The content reaches the disk before the name does: a power cut must not leave a blob of zeros.
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (hash.digest('hex') === file.etag) {
    await rename(partial, job.target);
    return 'complete';
  }
  await rm(partial, { force: true });
  if (start > 0) return 'damaged';
  throw hashError(job);
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    (found) => found.size,
    () => undefined,
  );
}

/** Bytes of a blob that need no download: all of a finished one, what is there of a partial one. */
export async function bytesOnDisk(target: string, size: number): Promise<number> {
  if ((await sizeOf(target)) === size) return size;
  const left = (await sizeOf(partialPath(target))) ?? 0;
  return left <= size ? left : 0;
}

/** Appends what is missing, with another request for the rest whenever the connection breaks. */
async function receive(
  job: Download,
  handle: FileHandle,
  hash: Hash,
  start: number,
): Promise<void> {
  const { file, client, where } = job;
  let loaded = start;
  let failures = 0;
  while (loaded < file.size) {
    const before = loaded;
    try {
      for await (const chunk of client.read(file, job.commit, loaded)) {
        if (loaded + chunk.length > file.size) throw tooLong(where, file.size);
        await handle.appendFile(chunk);
        hash.update(chunk);
        loaded += chunk.length;
        job.onBytes(loaded);
        throwIfAborted(where, job.signal);
      }
      if (loaded < file.size) throw tooShort(where, loaded, file.size);
    } catch (error) {
      failures = loaded - before >= PROGRESS_BYTES ? 1 : failures + 1;
      await waitOrThrow(fileError(where, error), failures, job);
    }
  }
}

function newHash(file: HubFile): Hash {
  if (file.hash === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${file.size}\0`);
}

async function hashFile(hash: Hash, path: string): Promise<void> {
  for await (const chunk of createReadStream(path)) hash.update(chunk);
}

function tooLong(where: string, size: number): MultiheadError {
  return new MultiheadError('FILE_ERROR', {
    where,
    got: 'the hub sent more bytes than the file has',
    expected: `${size} bytes`,
  });
}

function tooShort(where: string, loaded: number, size: number): MultiheadError {
  return new MultiheadError('FILE_ERROR', {
    where,
    got: `the hub's answer ended after ${loaded} bytes`,
    expected: `${size} bytes`,
  });
}

function hashError({ file, where }: Download): MultiheadError {
  const code = file.path.endsWith('.safetensors') ? 'WEIGHT_INVALID' : 'FILE_ERROR';
  return new MultiheadError(code, {
    where,
    got: 'content with another hash, which was deleted',
    expected: `${file.hash === 'git' ? 'git blob' : 'sha256'} ${file.etag}`,
  });
}
