import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { call, folderWith, root } from './call';

const problems = (module: string, name: string, ...args: unknown[]) =>
  call<string[]>(module, name, ...args);

describe('biome', () => {
  const config = JSON.stringify({
    ...JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')),
    $schema: undefined,
    vcs: undefined,
    files: { includes: ['*.ts'] },
    json: { formatter: { enabled: false } }, // the configuration itself is looked at too
  });
  const check = (source: string) =>
    problems('check-tools', 'biomeProblems', folderWith({ 'biome.json': config, 'a.ts': source }));

  test('clean code is fine', async () => {
    expect(await check("export const a = 'a';\n")).toEqual([]);
  });
  test('another format is found', async () => {
    expect(await check('export const a = "a"\n')).toEqual([
      expect.stringContaining('Formatter would have printed'),
    ]);
  });
  test('a warning is found', async () => {
    const source = 'export function f(a: any) {\n  return a.b;\n}\n';
    expect(await check(source)).toEqual([expect.stringContaining('noExplicitAny')]);
  });
});

describe('tsc', () => {
  const check = (source: string) => {
    const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
    const config = { compilerOptions: { ...compilerOptions, rootDir: '.', types: [] } };
    const folder = folderWith({ 'tsconfig.json': JSON.stringify(config), 'a.ts': source });
    return problems('check-tools', 'typeProblems', folder);
  };

  test('sound types are fine', async () => {
    expect(await check('export const a: number = 1;\n')).toEqual([]);
  });
  test('a wrong type is found', async () => {
    expect(await check("export const a: number = 'one';\n")).toHaveLength(1);
  });
});

describe('publint and attw', () => {
  const check = (manifest: object, files: Readonly<Record<string, string>>) => {
    const base = { name: 'seeded', version: '1.0.0', license: 'MIT', files: ['*.js', '*.d.ts'] };
    const folder = folderWith({
      'package.json': JSON.stringify({ ...base, ...manifest }),
      ...files,
    });
    execFileSync('npm', ['pack', '--silent'], { cwd: folder });
    return problems('check-tools', 'packageProblems', join(folder, 'seeded-1.0.0.tgz'));
  };
  const types = './index.d.ts';

  test('a sound package is fine', async () => {
    const manifest = { type: 'commonjs', exports: { '.': { types, default: './index.js' } } };
    const files = {
      'index.js': 'exports.a = 1;\n',
      'index.d.ts': 'export declare const a: number;\n',
    };
    expect(await check(manifest, files)).toEqual([]);
  });
  test('an entry that is not in the package is found', async () => {
    expect(await check({ type: 'commonjs', exports: './absent.js' }, {})).not.toEqual([]);
  });
  test('types of another module kind are found', async () => {
    const manifest = { type: 'commonjs', exports: { '.': { types, default: './index.mjs' } } };
    const files = {
      'index.mjs': 'export const a = 1;\n',
      'index.d.ts': 'export declare const a: number;\n',
    };
    expect(await check({ ...manifest, files: ['*'] }, files)).not.toEqual([]);
  });
});

describe('clang', () => {
  test('clang-format finds another format', async () => {
    const config = readFileSync(join(root, '.clang-format'), 'utf8');
    const folder = folderWith({
      '.clang-format': config,
      'good.cc': 'int f() { return 1; }\n',
      'bad.cc': 'int f(){return 1;}\n',
    });
    const check = (name: string) => problems('check-cpp', 'formatProblems', [join(folder, name)]);
    expect(await check('good.cc')).toEqual([]);
    expect(await check('bad.cc')).toHaveLength(1);
  });

  test.each([
    [
      'a use after a move',
      'int f(std::string a) {\n  std::string b = std::move(a);\n  return int(a.size());\n}',
    ],
    ['a name in another style', 'int GetSize(const std::string& a) { return int(a.size()); }'],
  ])('clang-tidy finds %s', async (_, bad) => {
    const include = '#include <string>\n#include <utility>\n';
    const good = `${include}int size_of(const std::string& a) { return int(a.size()); }\n`;
    const folder = folderWith({ 'good.cc': good, 'bad.cc': `${include}${bad}\n` });
    const check = (name: string) => {
      const file = join(folder, name);
      const database = [{ directory: folder, file, command: `g++ -std=c++17 -c ${file}` }];
      const compiled = folderWith({ 'compile_commands.json': JSON.stringify(database) });
      return problems('check-cpp', 'tidyProblems', { file, folder: compiled });
    };
    expect(await check('good.cc')).toEqual([]);
    expect(await check('bad.cc')).toHaveLength(1);
  });
});
