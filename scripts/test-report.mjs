// What `npm test` says in the end: one line a suite, then the sum.

/**
 * A suite in which no test ran counts as one failure: nothing may pass by not being there.
 *
 * @param {readonly { name: string, passed: number, failed: number, skipped?: number }[]} results
 * @returns {{ lines: string[], code: 0 | 1 }}
 */
export function report(results) {
  const width = Math.max(0, ...results.map(({ name }) => name.length));
  const lines = results.map(({ name, passed, failed, skipped }) => {
    const rest = skipped ? `, ${skipped} skipped` : '';
    const empty = passed + failed === 0 ? ': NO TEST RAN, which counts as a failure' : '';
    return `${name.padEnd(width)}  ${passed} passed, ${failed} failed${rest}${empty}`;
  });
  const sum = (count) => results.reduce((total, result) => total + count(result), 0);
  const passed = sum((result) => result.passed);
  const failed = sum((result) => result.failed + (result.passed + result.failed === 0 ? 1 : 0));
  lines.push(`${passed} passed, ${failed} failed`);
  return { lines, code: failed === 0 && passed > 0 ? 0 : 1 };
}
