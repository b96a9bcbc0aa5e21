/**
 * The one error class of multihead and the closed list of its codes.
 *
 * native/base/error.h holds the same list for the native core; scripts/check-errors.mjs compares them.
 */

/** Every code a {@link MultiheadError} can carry, with its meaning. */
export const ERROR_CODES = {
  INVALID_ARGUMENT: "the caller's value is wrong",
  SHAPE_MISMATCH: 'two values that must agree in shape do not',
  UNSUPPORTED: 'legal, but not implemented here',
  UNKNOWN_MODEL: 'no family for this model_type',
  WEIGHT_MISSING: 'the plan names a tensor that the weights lack',
  WEIGHT_INVALID: 'a weight file or tensor is malformed',
  FILE_ERROR: 'the operating system refused a file',
  OUT_OF_MEMORY: 'host or device memory is exhausted',
  DEVICE_UNAVAILABLE: 'the requested device cannot be used',
  DEVICE_FAILED: 'a device broke while it was in use',
  DISPOSED: 'the model was disposed before the call',
  ABORTED: "the caller's signal fired",
  OVERLOADED: 'a configured queue limit was reached',
  INTERNAL: 'a defect of this library',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error is about: the place, what was found there and what was expected. */
export interface ErrorDetails {
  readonly where: string;
  readonly got: string;
  readonly expected?: string;
}

/**
 * The only error type that multihead throws or rejects with.
 *
 * `message` is `"{where}: {got}, expected {expected}"`, for example
 * `encoder.layer.3.attention.query.weight: shape [768, 767], expected [768, 768]`.
 *
 * @example
 * try {
 *   await model.encode(42 as never);
 * } catch (error) {
 *   if (error instanceof MultiheadError && error.code === 'INVALID_ARGUMENT') console.error(error.details);
 * }
 */
export class MultiheadError extends Error {
  override readonly name = 'MultiheadError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails, options?: { cause?: unknown }) {
    super(
      `${details.where}: ${details.got}${details.expected === undefined ? '' : `, expected ${details.expected}`}`,
      options,
    );
    this.code = code;
    this.details = details;
  }
}
