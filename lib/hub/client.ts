/**
 * The hub, through @huggingface/hub: which commit a revision names, the files of a commit, and a file's bytes.
 *
 * The library knows the hub's addresses and formats. What it lacks is added through the `fetch` it is given: the
 * token (the library refuses tokens that a mirror of the hub may issue), the abort signal, typed errors, and the
 * check that a server honours a range; and around it: retries. It is loaded on first use: a local folder never
 * pays for it (23 ms).
 */

import { MultiheadError } from '../errors';
import {
  aborted,
  connectionError,
  isConnectionError,
  retrying,
  type Sleep,
  statusError,
} from './failures';

/** A file of a repository at one commit. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** Its name in the cache, and the hash its content must have. */
  readonly etag: string;
  /** 'sha256' of the content for large files, 'git' for git's blob hash (sha1 with a header). */
  readonly hash: 'sha256' | 'git';
}

export interface HubClientOptions {
  readonly model: string;
  readonly endpoint?: string;
  readonly token?: string;
  readonly signal?: AbortSignal;
  readonly sleep: Sleep;
}

const loadLibrary = () => import('@huggingface/hub');

export class HubClient {
  constructor(private readonly options: HubClientOptions) {}

  /** The full commit hash of a branch, a tag or a hash. */
  async commitOf(revision: string): Promise<string> {
    const where = `${this.options.model}@${revision}`;
    const { modelInfo } = await loadLibrary();
    const info = await this.request(where, (fetch) =>
      modelInfo({
        name: this.options.model,
        revision,
        hubUrl: this.options.endpoint,
        additionalFields: ['sha'],
        fetch,
      }),
    );
    if (typeof info.sha !== 'string' || !isCommitHash(info.sha)) {
      throw new MultiheadError('FILE_ERROR', {
        where,
        got: `the hub named the commit ${JSON.stringify(info.sha)}`,
        expected: '40 hexadecimal digits',
      });
    }
    return info.sha;
  }

  /** Every file of a commit, unchecked: {@link selectFiles} decides which of them are wanted and checks those. */
  async listFiles(commit: string): Promise<HubFile[]> {
    const { listFiles } = await loadLibrary();
    return await this.request(`${this.options.model}@${commit}`, async (fetch) => {
      const files: HubFile[] = [];
      const repo = { type: 'model' as const, name: this.options.model };
      const hubUrl = this.options.endpoint;
      for await (const entry of listFiles({
        repo,
        revision: commit,
        recursive: true,
        hubUrl,
        fetch,
      })) {
        if (entry.type !== 'file') continue;
        files.push({
          path: entry.path,
          size: entry.lfs?.size ?? entry.size,
          etag: entry.lfs?.oid ?? entry.oid ?? '',
          hash: entry.lfs ? 'sha256' : 'git',
        });
      }
      return files;
    });
  }

  /** The bytes of a file from `offset` to its end; one try, since the caller knows what has arrived. */
  async *read(file: HubFile, commit: string, offset: number): AsyncGenerator<Uint8Array> {
    const where = `${this.options.model}@${commit}: ${file.path}`;
    const { downloadFile } = await loadLibrary();
    // The library's stream turns a failed request into a bare string; the typed error is kept here.
    let failure: unknown;
    const once = this.fetchFor(where);
    const fetch: typeof globalThis.fetch = async (...args) => {
      try {
        return await once(...args);
      } catch (error) {
        failure = error;
        throw error;
      }
    };
    const repo = { type: 'model' as const, name: this.options.model };
    const hubUrl = this.options.endpoint;
    try {
      const blob = await downloadFile({
        repo,
        path: file.path,
        revision: commit,
        hubUrl,
        fetch,
        xet: false, // plain ranges: a resumed download needs byte offsets
      });
      if (blob?.size !== file.size) {
        throw new MultiheadError('FILE_ERROR', {
          where,
          got: blob === null ? 'the hub has no such file' : `${blob.size} bytes`,
          expected: `${file.size} bytes as the hub lists`,
        });
      }
      yield* blob.slice(offset, file.size).stream() as unknown as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw this.typed(where, failure ?? error);
    }
  }

  private async request<T>(
    where: string,
    operation: (fetch: typeof globalThis.fetch) => Promise<T>,
  ): Promise<T> {
    const { signal, sleep } = this.options;
    const once = async () => {
      try {
        return await operation(this.fetchFor(where));
      } catch (error) {
        throw this.typed(where, error);
      }
    };
    return await retrying(once, { where, signal, sleep });
  }

  /** The `fetch` for the library: one try, success or a typed error. */
  private fetchFor(where: string): typeof globalThis.fetch {
    const { token, signal } = this.options;
    return async (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set('User-Agent', 'multihead');
      // fetch itself drops this header on a redirect to another origin.
      if (token !== undefined) headers.set('Authorization', `Bearer ${token}`);
      const response = await fetch(input, { ...init, headers, signal });
      if (!response.ok) {
        await response.body?.cancel();
        throw statusError(where, response);
      }
      const range = headers.get('Range');
      if (range !== null && !answersRange(response, range)) {
        await response.body?.cancel();
        throw new MultiheadError('FILE_ERROR', {
          where,
          got: `the hub answered ${response.status} with range ${response.headers.get('Content-Range')}`,
          expected: `206 with ${range}`,
        });
      }
      return response;
    };
  }

  private typed(where: string, error: unknown): MultiheadError {
    const { signal } = this.options;
    if (signal?.aborted) return aborted(where, signal);
    if (error instanceof MultiheadError) return error;
    if (isConnectionError(error)) return connectionError(where, error);
    const got = `the hub's answer cannot be read (${(error as Error).message})`;
    return new MultiheadError('FILE_ERROR', { where, got }, { cause: error });
  }
}

export function isCommitHash(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** Whether the answer starts where the range asked: a server that ignores ranges sends the file from its start. */
function answersRange(response: Response, range: string): boolean {
  // A xet file's probe answers with a description instead of bytes.
  if (response.headers.get('Content-Type')?.includes('xet-fileinfo')) return true;
  const start = /^bytes=(\d+)-/.exec(range)?.[1];
  const answered = /^bytes (\d+)-/.exec(response.headers.get('Content-Range') ?? '')?.[1];
  return response.status === 206 && answered === start;
}
