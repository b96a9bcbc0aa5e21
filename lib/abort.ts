/** AbortSignals: one kind of error for all, and no listener left behind. */

import { MultiheadError } from './errors';

/** Work that can be given up; `done` then rejects or is ignored. */
export interface Job<T> {
  readonly done: Promise<T>;
  cancel(): void;
}

export function abortError(where: string, signal: AbortSignal): MultiheadError {
  return new MultiheadError(
    'ABORTED',
    { where, got: 'the signal fired before the work was done' },
    { cause: signal.reason },
  );
}

export function throwIfAborted(where: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(where, signal);
}

/** Runs `f` when the signal fires, at once if it has; the result takes that back. */
export function onAbort(signal: AbortSignal | undefined, f: () => void): () => void {
  if (!signal) return () => {};
  if (signal.aborted) f();
  else signal.addEventListener('abort', f, { once: true });
  return () => signal.removeEventListener('abort', f);
}

/** What the job gives, or ABORTED as soon as the signal fires; then the job is cancelled. */
export function settle<T>(where: string, job: Job<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return job.done;
  return new Promise((resolve, reject) => {
    const release = onAbort(signal, () => {
      reject(abortError(where, signal));
      job.cancel();
    });
    job.done.then(resolve, reject).finally(release);
  });
}
