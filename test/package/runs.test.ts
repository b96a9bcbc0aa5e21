import { cpSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bareEnvironment,
  emptyFolder,
  installed,
  modelFolder,
  type Outcome,
  outcomeOf,
  root,
} from './installed';

const USE = `
  const model = await SentenceEncoder.load(process.argv[2]);
  const { data, count, dimensions } = await model.encode(['A cat sleeps.', 'A kitten naps.', 'Shares fell.']);
  const row = (i) => data.subarray(i * dimensions, (i + 1) * dimensions);
  const dot = (i, j) => row(i).reduce((sum, value, k) => sum + value * row(j)[k], 0);
  await model.dispose();
  console.log(JSON.stringify({ node: process.versions.node, count, dimensions, near: dot(0, 1), far: dot(0, 2) }));
`;
const PROGRAMS = {
  'esm.mjs': `import { SentenceEncoder } from 'multihead';\n${USE}`,
  'cjs.cjs': `const { SentenceEncoder } = require('multihead');\n(async () => {${USE}})();`,
};

let env: Record<string, string>;
let folder: string;
beforeAll(async () => {
  env = { ...bareEnvironment(), HF_HUB_OFFLINE: '1' };
  folder = await installed(env);
  addPrograms(folder);
});

function addPrograms(target: string): void {
  for (const [name, text] of Object.entries(PROGRAMS)) writeFileSync(join(target, name), text);
}

function use(program: string, { node = 'node', cwd = folder } = {}): Promise<Outcome> {
  return outcomeOf(node, [program, modelFolder()], { cwd, env });
}

function expectVectors({ code, stdout, stderr }: Outcome, major: number): void {
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ count: 3, dimensions: 384 });
  expect(Number(result.node.split('.')[0])).toBe(major);
  expect(result.near).toBeGreaterThan(0.5);
  expect(result.far).toBeLessThan(0.3);
}

test.each(Object.keys(PROGRAMS))('%s runs under the Node that runs the tests', async (program) => {
  expectVectors(await use(program), Number(process.versions.node.split('.')[0]));
});

// The registry carries Node's own binaries, one package a platform, without a script to run.
describe.each([20, 22, 24])('under Node %i', (major) => {
  let node: string;
  beforeAll(async () => {
    node = await nodeBinary(major);
  });

  test.each(Object.keys(PROGRAMS))('%s runs', async (program) => {
    expectVectors(await use(program, { node }), major);
  });
});

async function nodeBinary(major: number): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`;
  const cache = join(root, 'build', 'nodes', String(major));
  const binary = join(cache, 'node_modules', name, 'bin', 'node');
  if (!statSync(binary, { throwIfNoEntry: false })) {
    mkdirSync(cache, { recursive: true });
    writeFileSync(join(cache, 'package.json'), '{ "private": true }');
    const args = ['install', '--no-audit', '--no-fund', `${name}@${major}`];
    const { code, stderr } = await outcomeOf('npm', args, { cwd: cache, env });
    if (code !== 0) throw new Error(`npm install ${name}@${major} failed: ${stderr}`);
  }
  return binary;
}

test('the command runs from the package', async () => {
  const args = ['--no-install', 'multihead', 'embed', '--model', modelFolder(), 'A cat sleeps.'];
  const { code, stdout, stderr } = await outcomeOf('npx', args, { cwd: folder, env });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout).embedding).toHaveLength(384);
});

describe('without a binary for the platform', () => {
  let bare: string;
  beforeAll(() => {
    bare = emptyFolder();
    // Verbatim, or the copied command would be a link to the original.
    cpSync(folder, bare, { recursive: true, verbatimSymlinks: true });
    rmSync(join(bare, 'node_modules', 'multihead', 'prebuilds'), { recursive: true });
  });

  test('the error names the command that compiles one', async () => {
    const { code, stderr } = await use('cjs.cjs', { cwd: bare });
    expect(code).not.toBe(0);
    expect(stderr).toContain("code: 'UNSUPPORTED'");
    expect(stderr).toContain('npx multihead build');
  });

  test('that command says what is missing', async () => {
    const args = ['--no-install', 'multihead', 'build'];
    const { code, stderr } = await outcomeOf('npx', args, { cwd: bare, env });
    expect(code).toBe(1);
    expect(stderr).toContain(
      'multihead: UNSUPPORTED: multihead build: a machine without g++, cmake',
    );
  });

  test('with compilers it compiles one, which runs', async () => {
    const equipped = { ...env, PATH: `${env['PATH']}:/usr/local/bin:/usr/bin:/bin` };
    const args = ['--no-install', 'multihead', 'build'];
    const { code, stderr } = await outcomeOf('npx', args, { cwd: bare, env: equipped });
    expect(stderr).toMatch(
      /fetching cmake-js@\S+, node-addon-api@\S+, node-api-headers@\S+ with npm/,
    );
    expect(code).toBe(0);
    expectVectors(await use('cjs.cjs', { cwd: bare }), Number(process.versions.node.split('.')[0]));
  }, 600_000);
});
