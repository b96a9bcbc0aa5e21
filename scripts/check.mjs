// `npm run check`: every formatter, linter and structural check; ends with `N passed, N failed`.
//
// --fix formats instead of complaining. --only biome,types,... runs these checks only.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkCpp } from './check-cpp.mjs';
import { findErrorDrift } from './check-errors.mjs';
import { findLayerViolations } from './check-layers.mjs';
import { biomeProblems, packageProblems, typeProblems } from './check-tools.mjs';
import { findWords } from './check-words.mjs';
import { main, root, ScriptError, say } from './process.mjs';
import { ensureAddon, ensureInstalled } from './setup.mjs';

/** Each check gives the list of what is wrong, one line or one program's output an entry. */
const CHECKS = {
  biome: ({ fix }) => biomeProblems(root, { fix }),
  types: () => typeProblems(root),
  'test types': () => typeProblems(join(root, 'test')),
  errors: () => findErrorDrift(root),
  words: () => findWords(root),
  layers: async () => {
    await ensureAddon();
    return findLayerViolations(root);
  },
  package: () => packageProblems(),
  cpp: ({ fix }) => checkCpp({ fix }),
};

await main(async () => {
  const { values } = parseArgs({
    options: { fix: { type: 'boolean', default: false }, only: { type: 'string' } },
  });
  const names = values.only?.split(',') ?? Object.keys(CHECKS);
  const unknown = names.filter((name) => !(name in CHECKS));
  if (unknown.length > 0) {
    throw new ScriptError(
      `--only: ${unknown.join(', ')}, expected some of ${Object.keys(CHECKS).join(', ')}`,
    );
  }
  await ensureInstalled();
  let failed = 0;
  for (const name of names) {
    const problems = await CHECKS[name](values);
    if (problems.length > 0) failed += 1;
    for (const problem of problems) say(problem);
    say(`check ${name}: ${problems.length === 0 ? 'ok' : 'FAILED'}`);
  }
  console.log(`${names.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
});
