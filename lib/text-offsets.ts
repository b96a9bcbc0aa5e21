/** Places in a text: the tokenizer counts code points, JavaScript strings count UTF-16 units. */

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
