/**
 * The ways in which fetching a model fails, as typed errors, and which of them are worth another try.
 *
 * Source of the retried statuses and of the error codes in headers: huggingface_hub, utils/_http.py and errors.py.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { MultiheadError } from '../errors';

/** The hub could not be reached or would not answer now: the cache may still help. */
export class HubUnavailableError extends MultiheadError {
  /** Whether the same request may succeed soon, and when the hub asks to come back. */
  readonly retry: { readonly afterMs?: number } | undefined;

  constructor(
    details: { where: string; got: string; expected?: string },
    options: { cause?: unknown; retry?: { afterMs?: number } },
  ) {
    super('FILE_ERROR', details, { cause: options.cause });
    this.retry = options.retry;
  }
}

export function aborted(where: string, signal: AbortSignal): MultiheadError {
  const details = { where, got: 'the signal was aborted' };
  return new MultiheadError('ABORTED', details, { cause: signal.reason });
}

export function throwIfAborted(where: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(where, signal);
}

const OUT_OF_SPACE = new Set(['ENOSPC', 'EDQUOT']);
const FORBIDDEN = new Set(['EACCES', 'EPERM', 'EROFS']);

/** A refusal of the operating system as FILE_ERROR that says what would help; everything else as it is. */
export function fileError(where: string, error: unknown): unknown {
  const { code, message, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  let expected: string | undefined;
  if (OUT_OF_SPACE.has(code)) expected = 'free space, or HF_HOME on another disk';
  if (FORBIDDEN.has(code)) {
    expected = 'a folder that can be written (see HF_HOME and the cacheDir option)';
  }
  return new MultiheadError('FILE_ERROR', { where, got: message, expected }, { cause: error });
}

/** Failures of a connection after which the same request may well succeed. */
const PASSING = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);

/** Whether fetch threw this for a connection that could not be made or broke. */
export function isConnectionError(error: unknown): boolean {
  const { name, message } = error as Error;
  return name === 'TypeError' && (message === 'fetch failed' || message === 'terminated');
}

/** What fetch throws when a connection cannot be made or breaks: a TypeError whose cause has the system's code. */
export function connectionError(where: string, error: unknown): HubUnavailableError {
  const cause = (error as { cause?: NodeJS.ErrnoException }).cause;
  const code = cause?.code ?? (error as NodeJS.ErrnoException).code;
  const { message } = error as Error;
  const reason = cause?.message || code || message;
  // A body that ends early is a TypeError 'terminated', with or without a code.
  const broke = message === 'terminated';
  return new HubUnavailableError(
    { where, got: `the connection failed (${reason})`, expected: 'a hub that can be reached' },
    { cause: error, retry: broke || (code !== undefined && PASSING.has(code)) ? {} : undefined },
  );
}

/** What an answer other than success means. */
export function statusError(where: string, response: Response): MultiheadError {
  const { status, headers } = response;
  const reason =
    headers.get('X-Error-Message') || headers.get('X-Error-Code') || response.statusText;
  const got = `the hub answered ${status}${reason ? ` (${reason})` : ''}`;
  if (status === 429 || status === 408 || status >= 500) {
    const afterMs = retryAfterMs(headers.get('Retry-After'), Date.now());
    return new HubUnavailableError({ where, got }, { retry: { afterMs } });
  }
  return new MultiheadError('FILE_ERROR', { where, got, expected: remedy(status, headers) });
}

function remedy(status: number, headers: Headers): string | undefined {
  if (headers.get('X-Error-Code') === 'GatedRepo') {
    return "HF_TOKEN of an account that has accepted the model's terms on its page";
  }
  if (status === 401 || status === 403) {
    return 'an existing model and, if it is private or gated, HF_TOKEN of an account with access';
  }
  if (status === 404) return 'an existing model and revision';
  return undefined;
}

/** Retry-After in milliseconds from now: seconds or an HTTP date (RFC 9110, 10.2.3). */
export function retryAfterMs(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Tries in all before a passing failure is reported. */
const TRIES = 5;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;

/** How long to wait before try `failures + 1`; undefined when waiting is pointless. */
export function waitBeforeRetry(error: unknown, failures: number): number | undefined {
  if (!(error instanceof HubUnavailableError) || !error.retry || failures >= TRIES)
    return undefined;
  const wait = error.retry.afterMs ?? FIRST_WAIT_MS * 2 ** (failures - 1);
  return wait <= LONGEST_WAIT_MS ? wait : undefined;
}

/** Waits; injected so that tests need not. */
export type Sleep = (ms: number, signal: AbortSignal | undefined) => Promise<void>;

export const sleep: Sleep = async (ms, signal) => {
  await delay(ms, undefined, { signal });
};

/** Runs `operation` until it succeeds, fails for good, or has used up its tries. */
export async function retrying<T>(
  operation: () => Promise<T>,
  context: { readonly where: string; readonly signal?: AbortSignal; readonly sleep: Sleep },
): Promise<T> {
  for (let failures = 1; ; failures++) {
    throwIfAborted(context.where, context.signal);
    try {
      return await operation();
    } catch (error) {
      await waitOrThrow(error, failures, context);
    }
  }
}

/** Waits for the next try, or throws `error` where there is none, or ABORTED. */
export async function waitOrThrow(
  error: unknown,
  failures: number,
  { where, signal, sleep }: { where: string; signal?: AbortSignal; sleep: Sleep },
): Promise<void> {
  throwIfAborted(where, signal);
  const wait = waitBeforeRetry(error, failures);
  if (wait === undefined) throw error;
  try {
    await sleep(wait, signal);
  } catch {
    throwIfAborted(where, signal);
  }
}
