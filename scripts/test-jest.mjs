// Runs jest over folders of test/ and reads its JSON report: one result a folder.
import { readFile, rm } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { capture, root, ScriptError } from './process.mjs';

/**
 * @param {{ suites: readonly string[], env?: Record<string, string>, label?: string, timeout?: number }} options
 * `label` names the variant (an instruction set, a sanitizer) in the results; `timeout`: milliseconds for a test.
 * @returns {Promise<{ name: string, passed: number, failed: number, skipped: number }[]>}
 */
export async function runJest({ suites, env = {}, label, timeout }) {
  const report = join(root, 'build', `jest-${label ?? 'all'}.json`);
  await rm(report, { force: true });
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const paths = suites.map((suite) => join(root, 'test', suite) + sep);
  const limit = timeout ? [`--testTimeout=${timeout}`] : [];
  const args = [jest, '--json', '--outputFile', report, ...limit, '--testPathPatterns', ...paths];
  const { code } = await capture(process.execPath, args, { env, output: 'progress' });
  const counts = countBySuite(await readReport(report), suites, root);
  if (code !== 0 && counts.every(({ failed }) => failed === 0)) {
    throw new ScriptError(`jest exited with ${code}, though no test failed`);
  }
  return counts.map((count) => ({
    ...count,
    name: label ? `${count.name} (${label})` : count.name,
  }));
}

async function readReport(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new ScriptError(`jest wrote no report: ${error.message}`);
  }
}

/** Sums a jest report by the folder of test/ that each file lies in; a file that did not run is one failure. */
export function countBySuite(report, suites, base) {
  const counts = new Map(suites.map((name) => [name, { name, passed: 0, failed: 0, skipped: 0 }]));
  for (const file of report.testResults) {
    const suite = relative(join(base, 'test'), file.name).split(sep)[0];
    const count = counts.get(suite);
    if (!count) throw new ScriptError(`jest ran ${file.name}, which no suite asked for`);
    for (const { status } of file.assertionResults) {
      if (status === 'passed') count.passed += 1;
      else if (status === 'failed') count.failed += 1;
      else count.skipped += 1;
    }
    const silent = !file.assertionResults.some(({ status }) => status === 'failed');
    if (file.status === 'failed' && silent) count.failed += 1;
  }
  return [...counts.values()];
}
