/** Signals: what a fired one does to a job, and that nothing is left on it. */

import { getEventListeners } from 'node:events';
import { onAbort, settle, throwIfAborted } from '../../lib/abort';
import { checkSignal } from '../../lib/check';
import { errorOf, expectError } from '../binding/support/errors';

function job<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const done = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  let cancelled = 0;
  return {
    done,
    cancel: () => {
      cancelled += 1;
    },
    resolve,
    reject,
    get cancelled() {
      return cancelled;
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('a job that ends gives its value or its error, and lets go of the signal', async () => {
  const { signal } = new AbortController();
  const [good, bad] = [job<number>(), job<number>()];
  const results = [settle('x', good, signal), settle('x', bad, signal)];
  expect(listeners(signal)).toBe(2);
  good.resolve(7);
  bad.reject(new Error('broken'));
  expect(await results[0]).toBe(7);
  await expect(results[1]).rejects.toThrow('broken');
  await turn();
  expect(listeners(signal)).toBe(0);
});

test('a signal that fires rejects at once, cancels once, and is let go', async () => {
  const controller = new AbortController();
  const work = job<number>();
  const result = settle('forward', work, controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  const error = await expectError(() => result, 'ABORTED', 'forward: the signal fired');
  expect(error.cause).toBe(reason);
  expect(work.cancelled).toBe(1);
  expect(listeners(controller.signal)).toBe(0);
  work.reject(new Error('late, and heard by nobody'));
  await turn();
});

test('a signal that has fired already cancels at once', async () => {
  const work = job<number>();
  expect((await errorOf(() => settle('x', work, AbortSignal.abort()))).code).toBe('ABORTED');
  expect(work.cancelled).toBe(1);
  work.resolve(1);
});

test('without a signal the job is its own', async () => {
  const work = job<number>();
  work.resolve(3);
  expect(await settle('x', work, undefined)).toBe(3);
});

test('onAbort takes back', () => {
  const controller = new AbortController();
  let fired = 0;
  const release = onAbort(controller.signal, () => {
    fired += 1;
  });
  release();
  controller.abort();
  expect(fired).toBe(0);
  onAbort(controller.signal, () => {
    fired += 1;
  })();
  expect(fired).toBe(1);
  onAbort(undefined, () => {
    fired += 1;
  })();
  expect(fired).toBe(1);
});

test('throwIfAborted', async () => {
  throwIfAborted('x', undefined);
  throwIfAborted('x', new AbortController().signal);
  await expectError(() => throwIfAborted('load', AbortSignal.abort()), 'ABORTED', 'load: ');
});

test('what only looks like a signal is refused', async () => {
  const { signal } = new AbortController();
  expect(checkSignal('s', undefined)).toBeUndefined();
  expect(checkSignal('s', signal)).toBe(signal);
  const halves = [{ aborted: false }, { aborted: false, addEventListener: () => {} }];
  for (const value of [null, true, 'abort', {}, [], new AbortController(), ...halves]) {
    await expectError(() => checkSignal('s', value), 'INVALID_ARGUMENT', 'expected an AbortSignal');
  }
});
