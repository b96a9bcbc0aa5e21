// `npm test`: installs and builds what is missing, runs every suite and ends with `N passed, N failed`.
//
//   --only native,unit   these suites only        --isa   binding and parity under each instruction set
//   --sanitizer address|thread   native tests and binding suite compiled with that sanitizer
// A suite that runs no test is a failure: nothing may pass by not being there.
import { readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureDemoModel } from './demo-model.mjs';
import { main, root, run, ScriptError, say } from './process.mjs';
import { ensureAddon, ensureBuilt, ensureInstalled } from './setup.mjs';
import { runJest } from './test-jest.mjs';
import { runNative } from './test-native.mjs';
import { report } from './test-report.mjs';
import { runTypes } from './test-types.mjs';

const SANITIZERS = ['address', 'thread'];
/** Milliseconds for a test; sanitized code is ten times slower. */
const SANITIZED_TIMEOUT = 1_200_000;
/** What a forced instruction set can change: everything that runs a model. */
const ISA_SUITES = ['binding', 'parity'];

await main(async () => {
  const options = readOptions();
  await ensureInstalled();
  await mkdir(join(root, 'build'), { recursive: true });
  const results = await selectRun(options);
  const { lines, code } = report(results);
  console.log(['', ...lines].join('\n'));
  return code;
});

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      isa: { type: 'boolean', default: false },
      sanitizer: { type: 'string' },
    },
  });
  if (values.sanitizer !== undefined && !SANITIZERS.includes(values.sanitizer)) {
    throw new ScriptError(`--sanitizer: ${values.sanitizer}, expected ${SANITIZERS.join(' or ')}`);
  }
  return values;
}

function selectRun({ only, isa, sanitizer }) {
  if (sanitizer) return runSanitized(sanitizer);
  if (isa) return runForcedIsas();
  return runSuites(only?.split(','));
}

/** Folders of test/ that hold jest suites. */
function jestSuites() {
  return readdirSync(join(root, 'test'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .filter((name) => holdsTests(join(root, 'test', name)))
    .sort();
}

function holdsTests(folder) {
  return readdirSync(folder, { recursive: true }).some((name) => String(name).endsWith('.test.ts'));
}

async function runSuites(only) {
  const all = ['native', 'types', ...jestSuites()];
  const unknown = only?.filter((name) => !all.includes(name)) ?? [];
  if (unknown.length > 0) {
    throw new ScriptError(`--only: ${unknown.join(', ')}, expected some of ${all.join(', ')}`);
  }
  const wanted = only ?? all;
  const inJest = wanted.filter((name) => name !== 'native' && name !== 'types');
  const results = [];
  if (wanted.includes('native')) results.push(await runNative({}));
  if (wanted.includes('types')) results.push(await runTypes());
  if (inJest.length > 0) {
    await ensureBuilt();
    results.push(...(await runJest({ suites: inJest, env: await modelEnvironment() })));
  }
  return results;
}

async function modelEnvironment() {
  const given = process.env.MULTIHEAD_TEST_MODEL;
  return { MULTIHEAD_TEST_MODEL: given || (await ensureDemoModel({ log: say })) };
}

async function runForcedIsas() {
  await ensureBuilt();
  const addon = createRequire(import.meta.url)(join(root, 'build', 'Release', 'multihead.node'));
  const model = await modelEnvironment();
  const results = [];
  for (const { name, supported } of addon.isas()) {
    if (!supported) {
      say(`skipped: this processor does not support ${name}`);
      continue;
    }
    const env = { ...model, MULTIHEAD_ISA: name };
    results.push(...(await runJest({ suites: ISA_SUITES, env, label: name })));
  }
  return results;
}

async function runSanitized(sanitizer) {
  const native = await runNative({ sanitizer });
  const prebuild = await ensureAddon({ sanitizer });
  const library = sanitizer === 'address' ? 'libasan.so' : 'libtsan.so';
  const path = (await run('g++', [`-print-file-name=${library}`])).stdout.trim();
  const env = {
    ...(await modelEnvironment()),
    LD_PRELOAD: path,
    MULTIHEAD_PREBUILD: prebuild,
    // Node frees little at exit, so leaks are looked for in the native tests only.
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
    // A report ends the process, or one from a worker of jest would be a line on stderr and no failure.
    TSAN_OPTIONS: `halt_on_error=1 suppressions=${join(root, 'test', 'binding', 'tsan.supp')}`,
  };
  return [
    native,
    ...(await runJest({ suites: ['binding'], env, label: sanitizer, timeout: SANITIZED_TIMEOUT })),
  ];
}
