/** The examples of the documentation comments compile: each is a program against the library's sources. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as library from '../../lib/index';

const ROOT = join(__dirname, '..', '..');
const LIB = join(ROOT, 'lib');
/** Their examples go on from a model of their own class, which is not declared here yet. */
const OF_OTHER_MODELS =
  /(causal-lm|seq2seq-lm|cross-encoder|masked-lm|sequence-classifier|token-classifier|text-generator|text-offsets)\.ts$/;
// Below the root, where the compiler finds the packages.
const FOLDER = join(ROOT, 'build', 'examples');

/** What an example takes for granted, unless it declares it. */
const GIVEN: Readonly<Record<string, string>> = {
  model: 'declare const model: lib.SentenceEncoder;',
  encoder: 'declare const encoder: lib.Plan;',
  text: 'declare const text: string;',
};

interface Example {
  readonly file: string;
  readonly code: string;
}

function examplesOf(file: string): Example[] {
  const comments = readFileSync(join(LIB, file), 'utf8').match(/\/\*\*[\s\S]*?\*\//g) ?? [];
  return comments.flatMap((comment) => {
    const lines = comment.split('\n').map((line) => line.replace(/^\s*\*( |\/$|$)/, ''));
    const start = lines.findIndex((line) => line.startsWith('@example'));
    if (start < 0) return [];
    const rest = lines.slice(start + 1);
    const end = rest.findIndex((line) => line.startsWith('@'));
    return [
      {
        file,
        code: rest
          .slice(0, end < 0 ? undefined : end)
          .join('\n')
          .trim(),
      },
    ];
  });
}

function programOf({ file, code }: Example): string {
  const declared = (name: string) =>
    new RegExp(`(const|let) (${name}\\b|\\{[^}]*\\b${name}\\b)`).test(code);
  // After a dot it is a property, after three it is spread.
  const uses = (name: string) => new RegExp(`(?<!\\w|(?<!\\.\\.)\\.)${name}\\b`).test(code);
  const names = Object.keys(library).filter((name) => uses(name) && !declared(name));
  // What a module keeps to itself has examples too.
  const own = ['checkPlan', 'loadAddon'].filter((name) => uses(name));
  return [
    `import type * as lib from '../../lib/index';`,
    `import { ${names.join(', ')} } from '../../lib/index';`,
    ...own.map((name) => `import { ${name} } from '../../lib/${file.replace(/\.ts$/, '')}';`),
    ...Object.keys(GIVEN)
      .filter((name) => uses(name) && !declared(name))
      .map((name) => GIVEN[name]),
    'export async function example() {',
    code,
    '}',
    'export type { lib };',
  ].join('\n');
}

test('every example of lib compiles', () => {
  const files = (readdirSync(LIB, { recursive: true }) as string[]).filter(
    (name) => name.endsWith('.ts') && !OF_OTHER_MODELS.test(name),
  );
  const examples = files.flatMap(examplesOf);
  expect([...new Set(examples.map(({ file }) => file))]).toEqual(
    expect.arrayContaining(['blocks.ts', 'transformer.ts', 'sentence-encoder.ts', 'errors.ts']),
  );
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  examples.forEach((example, i) => {
    const name = `${basename(example.file, '.ts')}-${i}.ts`;
    writeFileSync(join(FOLDER, name), programOf(example));
  });
  const compilerOptions = { rootDir: '../..', noEmit: true, noUnusedLocals: false };
  writeFileSync(
    join(FOLDER, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['.'] }),
  );
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  let output = '';
  try {
    execFileSync(process.execPath, [tsc, '-p', FOLDER, '--pretty', 'false'], { encoding: 'utf8' });
  } catch (error) {
    output = (error as { stdout: string }).stdout;
  }
  expect(output).toBe('');
  expect(examples.length).toBeGreaterThan(12);
});
