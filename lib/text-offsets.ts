/** Places in a text, and what was added to one: the tokenizer counts code points, JavaScript UTF-16 units. */

/** Start and end of a token in the JavaScript string, so that `text.slice(start, end)` is what it stands for. */
export type Span = readonly [start: number, end: number];

/**
 * Turns spans in code points into spans in UTF-16 units.
 *
 * @example
 * utf16Spans('😀 a', [[0, 1], [2, 3]]) // [[0, 2], [3, 4]]
 */
export function utf16Spans(text: string, spans: readonly Span[]): Span[] {
  if (!/[\ud800-\udfff]/.test(text)) return spans.map(([start, end]) => [start, end]);
  const units = [0];
  for (const point of text) units.push((units.at(-1) as number) + point.length);
  const at = (points: number) => units[Math.min(points, units.length - 1)] as number;
  return spans.map(([start, end]) => [at(start), at(end)]);
}

/** Code points of a text: what Python's `len` counts. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/**
 * What `whole` has after what it shares with `before`: what was added to a text whose end may have changed with it, as
 * half a character does when it becomes whole.
 */
export function addedText(before: string, whole: string): string {
  return whole.slice(sharedLength(before, whole));
}

/** Units at the begin of both that are the same; never half a pair of surrogates. */
export function sharedLength(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = b.startsWith(a) ? a.length : 0;
  while (length < most && a[length] === b[length]) length += 1;
  const isSplit = length < b.length && /[\ud800-\udbff]/.test(b[length - 1] ?? '');
  return isSplit ? length - 1 : length;
}
