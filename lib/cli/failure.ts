/** How the command line words a failure. */

import { MultiheadError } from '../errors';

/**
 * `multihead: CODE: message` on one line; with `stack` also where it was thrown and what caused it. An error that
 * is no MultiheadError is a defect, INTERNAL.
 */
export function failureLines(error: unknown, detail: 'line' | 'stack'): string[] {
  const code = error instanceof MultiheadError ? error.code : 'INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  const line = `multihead: ${code}: ${oneLine(message)}`;
  return detail === 'line' ? [line] : [line, ...stacks(error)];
}

function stacks(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const own = error.stack ?? '';
  return error.cause === undefined ? [own] : [own, 'caused by:', ...stacks(error.cause)];
}

/** commander's `error: ...` in the same form; a wrong usage is the caller's invalid argument. */
export function usageLine(text: string): string {
  return `multihead: INVALID_ARGUMENT: ${oneLine(text.replace(/^error:\s*/, ''))}\n`;
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ');
}
