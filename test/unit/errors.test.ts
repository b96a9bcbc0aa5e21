/**
 * The error type, and where each code is reached by a test:
 *
 * INVALID_ARGUMENT check.test.ts · SHAPE_MISMATCH weights/memory.test.ts · UNSUPPORTED models/bert.test.ts ·
 * UNKNOWN_MODEL models/bert.test.ts · WEIGHT_MISSING transformer.test.ts · WEIGHT_INVALID weights/hostile.test.ts ·
 * FILE_ERROR weights/valid.test.ts · OUT_OF_MEMORY plan/weights.test.ts · DEVICE_UNAVAILABLE transformer.test.ts ·
 * DISPOSED sentence-encoder.test.ts · ABORTED abort.test.ts · OVERLOADED batching.test.ts
 *
 * DEVICE_FAILED and INTERNAL are defects, which no caller can bring about.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_CODES, MultiheadError } from '../../lib/errors';
import { toMultiheadError } from '../../lib/native';

test('every code is expected by some test, except those of defects', () => {
  const files = (readdirSync(__dirname, { recursive: true }) as string[])
    .filter((name) => name.endsWith('.test.ts') && !name.endsWith('errors.test.ts'))
    .map((name) => readFileSync(join(__dirname, name), 'utf8'));
  const missing = Object.keys(ERROR_CODES).filter(
    (code) => !files.some((text) => text.includes(`'${code}'`)),
  );
  expect(missing).toEqual(['DEVICE_FAILED', 'INTERNAL']);
});

test('the message says where, what was got and what was expected', () => {
  const details = { where: 'w', got: 'g', expected: 'e' };
  const cause = new Error('below');
  const error = new MultiheadError('FILE_ERROR', details, { cause });
  expect(error).toMatchObject({ name: 'MultiheadError', code: 'FILE_ERROR', details, cause });
  expect(error.message).toBe('w: g, expected e');
  expect(new MultiheadError('INTERNAL', { where: 'w', got: 'g' }).message).toBe('w: g');
  expect(error).toBeInstanceOf(Error);
});

describe('what the addon throws', () => {
  test('becomes an error of the same code', () => {
    const thrown = Object.assign(new Error('x'), { code: 'ABORTED', where: 'w', got: 'g' });
    expect(toMultiheadError(thrown)).toMatchObject({ code: 'ABORTED', message: 'w: g' });
    const whole = toMultiheadError({ code: 'DISPOSED', where: 'w', got: 'g', expected: 'e' });
    expect(whole.details).toEqual({ where: 'w', got: 'g', expected: 'e' });
    expect(toMultiheadError(whole)).toBe(whole);
  });

  test.each([
    [new Error('odd')],
    [undefined],
    [null],
    ['odd'],
    [{ code: 'ENOENT', where: 'w', got: 'g' }],
    [{ code: 'toString', where: 'w', got: 'g' }],
    [{ code: 'ABORTED', where: 1, got: 'g' }],
  ])('and is no error of ours is INTERNAL: case %#', (thrown) => {
    const error = toMultiheadError(thrown);
    expect(error.code).toBe('INTERNAL');
    expect(error.cause).toBe(thrown);
  });
});
