import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bareEnvironment, emptyFolder, filesBelow, installed, root, tarball } from './installed';

/** Everything that may be in the tarball. What a user does not need to run, compile or understand it stays out. */
const ALLOWED = [
  /^package\.json$/,
  /^(README|CHANGELOG|ARCHITECTURE)\.md$/,
  /^LICENSE$/,
  /^dist\/.+\.(js|d\.ts)$/,
  /^dist\/index\.(mjs|d\.mts)$/,
  /^prebuilds\/linux-x64\/multihead\.glibc\.node$/,
  /^CMakeLists\.txt$/,
  /^native\/.+\.(cc|h)$/,
  /^native\/(.+\/)?CMakeLists\.txt$/,
];
const REQUIRED = [
  'LICENSE',
  'README.md',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/index.mjs',
  'dist/index.d.mts',
  'dist/cli/main.js',
  'prebuilds/linux-x64/multihead.glibc.node',
];
/** Bytes of files, the tokenizer's binary included. */
const MOST_INSTALLED_BYTES = 15e6;
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall'];

test('the tarball holds what it should and nothing else', async () => {
  const list = execFileSync('tar', ['-tzf', await tarball()], { encoding: 'utf8' });
  const files = list
    .split('\n')
    .filter(Boolean)
    .map((name) => name.replace(/^package\//, ''));
  expect(files.filter((name) => !ALLOWED.some((pattern) => pattern.test(name)))).toEqual([]);
  expect(files).toEqual(expect.arrayContaining(REQUIRED));
});

test('the binary is stripped and asks for no library newer than glibc 2.34', async () => {
  const folder = emptyFolder();
  execFileSync('tar', ['-xzf', await tarball(), '-C', folder]);
  const binary = join(folder, 'package/prebuilds/linux-x64/multihead.glibc.node');
  expect(execFileSync('nm', [binary], { encoding: 'utf8', stdio: 'pipe' })).toBe('');
  const dynamic = execFileSync('objdump', ['-T', binary], { encoding: 'utf8' });
  const minors = [...dynamic.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  expect(minors.length).toBeGreaterThan(0);
  expect(Math.max(...minors)).toBeLessThanOrEqual(34);
  expect(dynamic).not.toContain('GLIBCXX_');
});

describe('installed', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await installed(bareEnvironment());
  });

  test('it stays below 15 MB, tokenizer included', () => {
    const files = filesBelow(join(folder, 'node_modules'));
    expect(files).toContainEqual(expect.stringMatching(/tokenizers.*\.node$/));
    const bytes = files.reduce(
      (sum, file) => sum + statSync(join(folder, 'node_modules', file)).size,
      0,
    );
    expect(bytes).toBeLessThan(MOST_INSTALLED_BYTES);
  });

  test('no package in the tree has an install script', () => {
    expect(packagesWithInstallScripts(folder)).toEqual([]);
    const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'));
    const rows = Object.entries(lock.packages as Record<string, { hasInstallScript?: boolean }>);
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.filter(([, row]) => row.hasInstallScript)).toEqual([]);
  });

  test('a seeded install script is found', () => {
    const manifest = join(folder, 'node_modules', 'commander', 'package.json');
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, JSON.stringify({ ...JSON.parse(text), scripts: { postinstall: 'x' } }));
    expect(packagesWithInstallScripts(folder)).toEqual(['commander/package.json']);
    writeFileSync(manifest, text);
  });
});

/** npm also runs node-gyp, unasked, for a package that has a binding.gyp. */
function packagesWithInstallScripts(folder: string): string[] {
  const modules = join(folder, 'node_modules');
  return filesBelow(modules).filter((file) => {
    if (file.endsWith('/binding.gyp')) return true;
    if (!/^(@[^/]+\/)?[^/]+\/package\.json$/.test(file.split('/node_modules/').at(-1) as string)) {
      return false;
    }
    const { scripts = {} } = JSON.parse(readFileSync(join(modules, file), 'utf8'));
    return INSTALL_SCRIPTS.some((name) => name in scripts);
  });
}

test("the repository's own lock file names no package that must run a script for users", () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const rows = Object.entries(
    lock.packages as Record<string, { dev?: boolean; hasInstallScript?: boolean }>,
  );
  expect(rows.filter(([, row]) => row.hasInstallScript && !row.dev)).toEqual([]);
});
