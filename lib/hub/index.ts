/**
 * Where models come from: a folder, else the cache shared with Python, else the hub.
 *
 * Online the hub is asked which commit the revision names, and what the cache lacks of it is fetched. When the hub
 * cannot be reached, the cache answers, with a warning.
 */

import { stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { MultiheadError } from '../errors';
import { ModelCache } from './cache';
import { HubClient, isCommitHash } from './client';
import { fileError, HubUnavailableError, type Sleep, sleep, throwIfAborted } from './failures';
import { accessToken, cacheFolder, endpoint, expandHome, isOffline } from './settings';
import { type DownloadProgress, fetchSnapshot } from './snapshot';

export type { DownloadProgress };

export interface ResolveOptions {
  /** A branch, a tag or a commit hash. Default: 'main'. */
  readonly revision?: string;
  /** Default: HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
  /** Never touch the network. Default: false; HF_HUB_OFFLINE wins over false. */
  readonly localFilesOnly?: boolean;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Stops a download; what has arrived is kept and the next call goes on from there. */
  readonly signal?: AbortSignal;
}

export interface ResolvedModel {
  /** Absolute path. */
  readonly folder: string;
  /** The full commit hash; undefined for a folder of the caller's. */
  readonly revision?: string;
}

/**
 * Finds or fetches a model.
 *
 * A string that starts with `.`, `/` or `~`, or that names an existing directory, is a folder. Everything else is a
 * model id, `name` or `org/name`. Of a model only configurations, tokenizer and safetensors are fetched.
 *
 * A full commit hash that is whole in the cache needs no network. A branch or tag is looked up on the hub on every
 * call; when the hub cannot be reached (or answers 429 or 5xx five times), the commit that the cache last saw under
 * that name is used and a process warning says so. With `localFilesOnly` or HF_HUB_OFFLINE only the cache is read.
 *
 * HF_ENDPOINT names another hub; HF_TOKEN or the token file (HF_TOKEN_PATH, HF_HOME/token) is sent to it. Node's own
 * fetch is used, which heeds HTTPS_PROXY only under NODE_USE_ENV_PROXY=1 (Node 22.21, 24 and later); before, install
 * a proxy agent with undici's setGlobalDispatcher.
 *
 * @throws {MultiheadError} INVALID_ARGUMENT: neither a folder nor a well-formed id, or a malformed option ·
 * FILE_ERROR: no such folder, model or revision, no access, no network and not in the cache, disk full or not
 * writable, a small file with a wrong hash · UNSUPPORTED: a model without safetensors · WEIGHT_INVALID: a weight file
 * with a wrong hash or a malformed weight index · WEIGHT_MISSING: a shard that the hub does not have · ABORTED
 *
 * @example
 * const { folder } = await resolveModel('sentence-transformers/all-MiniLM-L6-v2', {
 *   onProgress: ({ file, loaded, total }) => console.log(file, loaded, total),
 * });
 */
export async function resolveModel(
  idOrFolder: string,
  options: ResolveOptions = {},
): Promise<ResolvedModel> {
  return await resolveModelWith(idOrFolder, options, sleep);
}

/** {@link resolveModel} with its way of waiting between tries, which tests replace. */
export async function resolveModelWith(
  idOrFolder: string,
  options: ResolveOptions,
  sleep: Sleep,
): Promise<ResolvedModel> {
  try {
    return await resolveUntyped(idOrFolder, options, sleep);
  } catch (error) {
    throw fileError(String(idOrFolder), error);
  }
}

/** Errors of the file system may leave as they are; {@link resolveModelWith} types them. */
async function resolveUntyped(
  idOrFolder: string,
  options: ResolveOptions,
  sleep: Sleep,
): Promise<ResolvedModel> {
  if (typeof idOrFolder !== 'string' || idOrFolder === '' || idOrFolder.includes('\0')) {
    throw notAModel(idOrFolder);
  }
  throwIfAborted(idOrFolder, options.signal);
  const folder = await asFolder(idOrFolder);
  if (folder !== undefined) return { folder };
  checkId(idOrFolder);
  const revision = options.revision ?? 'main';
  checkRevision(revision);
  const cache = new ModelCache(chosenCache(options.cacheDir), idOrFolder);
  if (options.localFilesOnly || isOffline()) return await fromCache(cache, revision);
  return await fromHub(idOrFolder, revision, cache, options, sleep);
}

function chosenCache(cacheDir: unknown): string {
  if (cacheDir === undefined) return cacheFolder();
  if (typeof cacheDir === 'string' && cacheDir !== '') return resolve(expandHome(cacheDir));
  throw new MultiheadError('INVALID_ARGUMENT', {
    where: 'cacheDir',
    got: cacheDir === '' ? 'an empty string' : typeof cacheDir,
    expected: 'the path of a folder',
  });
}

/** The absolute path when the string means a folder; undefined when it has to be a model id. */
async function asFolder(text: string): Promise<string | undefined> {
  const path = resolve(expandHome(text));
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  const exists = 'isDirectory' in found;
  if (exists && found.isDirectory()) return path;
  if (!/^[.~]/.test(text) && !isAbsolute(text)) return undefined;
  if (!exists) throw fileError(path, found);
  throw new MultiheadError('FILE_ERROR', {
    where: path,
    got: 'a file',
    expected: 'the folder of a model',
  });
}

/** The hub's own rules: letters, digits, `-`, `_`, `.`, at most one slash, no `--` and no `..`. */
function checkId(id: string): void {
  const part = '[A-Za-z0-9_](?:[\\w.-]*[A-Za-z0-9_])?';
  const wellFormed = new RegExp(`^(?:${part}/)?${part}$`).test(id);
  if (!wellFormed || id.length > 96 || /--|\.\.|\.git$/.test(id)) throw notAModel(id);
}

function notAModel(got: unknown): MultiheadError {
  return new MultiheadError('INVALID_ARGUMENT', {
    where: 'model',
    got: typeof got === 'string' ? JSON.stringify(got) : typeof got,
    expected: "an existing folder or a model id, 'name' or 'org/name'",
  });
}

/** A revision becomes a path in the cache and a part of an address: git's own rules for names, minus the rare ones. */
function checkRevision(revision: unknown): asserts revision is string {
  const wellFormed =
    typeof revision === 'string' &&
    /^[\w.+@-]+(\/[\w.+@-]+)*$/.test(revision) &&
    !/(^|\/)\.|\.\.|\.lock(\/|$)/.test(revision);
  if (wellFormed) return;
  throw new MultiheadError('INVALID_ARGUMENT', {
    where: 'revision',
    got: typeof revision === 'string' ? JSON.stringify(revision) : typeof revision,
    expected: 'a branch, a tag or a commit hash',
  });
}

async function fromCache(cache: ModelCache, revision: string): Promise<ResolvedModel> {
  const commit = await cache.commitOf(revision);
  const where = `${cache.model}@${revision}`;
  const expected = 'a model that was fetched before, or a call that may use the network';
  if (commit === undefined) {
    const got = `not in the cache (${cache.folder})`;
    throw new MultiheadError('FILE_ERROR', { where, got, expected });
  }
  const { missing, error } = await cache.inspect(commit);
  if (missing.length === 0) return { folder: cache.snapshot(commit), revision: commit };
  if (error instanceof MultiheadError && error.code === 'UNSUPPORTED') throw error;
  const got = `the cache (${cache.snapshot(commit)}) lacks ${missing.join(', ')}`;
  throw new MultiheadError('FILE_ERROR', { where, got, expected });
}

async function fromHub(
  model: string,
  revision: string,
  cache: ModelCache,
  options: ResolveOptions,
  sleep: Sleep,
): Promise<ResolvedModel> {
  const { signal, onProgress } = options;
  const token = await accessToken();
  const client = new HubClient({ model, endpoint: endpoint(), token, signal, sleep });
  let commit: string;
  try {
    commit = isCommitHash(revision) ? revision : await client.commitOf(revision);
  } catch (error) {
    if (!(error instanceof HubUnavailableError)) throw error;
    return await fallBack(cache, revision, error);
  }
  if (!(await isWhole(cache, commit))) {
    await fetchSnapshot({ client, cache, model, commit, signal, onProgress, sleep });
  }
  // A cache that cannot be written is still good for reading.
  await cache.setRef(revision, commit).catch(() => {});
  return { folder: cache.snapshot(commit), revision: commit };
}

async function isWhole(cache: ModelCache, commit: string): Promise<boolean> {
  const { missing, tokenizer } = await cache.inspect(commit);
  return tokenizer && missing.length === 0;
}

/** The cache's answer for a hub that does not give one; the hub's error where the cache has none either. */
async function fallBack(
  cache: ModelCache,
  revision: string,
  reason: HubUnavailableError,
): Promise<ResolvedModel> {
  let cached: ResolvedModel;
  try {
    cached = await fromCache(cache, revision);
  } catch {
    throw reason;
  }
  process.emitWarning(`${reason.message}; using the cached commit ${cached.revision}`, {
    type: 'MultiheadWarning',
  });
  return cached;
}
