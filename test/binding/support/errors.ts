import { type ErrorCode, MultiheadError } from '../../../lib/errors';

/** The MultiheadError that `f` throws or rejects with; fails on any other outcome. */
export async function errorOf(f: () => unknown): Promise<MultiheadError> {
  let outcome: unknown;
  try {
    outcome = await f();
  } catch (error) {
    if (error instanceof MultiheadError) return error;
    throw new Error(`another error than a MultiheadError: ${error}`, { cause: error });
  }
  throw new Error(`no error, but ${String(outcome)}`);
}

/** Expects `f` to fail with this code and a message that contains `text`. */
export async function expectError(
  f: () => unknown,
  code: ErrorCode,
  text: string,
): Promise<MultiheadError> {
  const error = await errorOf(f);
  expect(`${error.code} ${error.message}`).toContain(text);
  expect(error.code).toBe(code);
  return error;
}
