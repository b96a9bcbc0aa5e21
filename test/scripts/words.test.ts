import { execFileSync } from 'node:child_process';
import { call, folderWith } from './call';

/** What git lists is what is looked at: tracked files and new ones, without the ignored. */
function problems(files: Readonly<Record<string, string>>): Promise<string[]> {
  const folder = folderWith(files);
  execFileSync('git', ['init', '-q'], { cwd: folder });
  return call('check-words', 'findWords', folder);
}

const host = (...parts: string[]) => parts.join('.');

test.each([
  ['a registry', `see https://${host('registry', 'npmjs', 'org')}/x`],
  ['a package index', `"${host('files', 'pythonhosted', 'org')}"`],
  ['a hub', `https://${host('huggingface', 'co')}/models`],
  ['a path of one machine', `const folder = '/${'home'}/somebody/models';`],
])('%s in a file is found', async (_, line) => {
  expect(await problems({ 'lib/a.ts': `fine\n${line}\n` })).toEqual([
    expect.stringMatching(/^lib\/a\.ts:2: /),
  ]);
});

test.each([
  ['a longer host', `https://${host('huggingface', 'com')}`],
  ['another word', `not${host('hf', 'co')}`],
  ['a path below a name', `build/${'work'}/x and lib/${'home'}/y`],
])('%s is no finding', async (_, line) => {
  expect(await problems({ 'lib/a.ts': line })).toEqual([]);
});

test('ignored and binary files are left alone', async () => {
  const line = `https://${host('hf', 'co')}`;
  const files = { '.gitignore': 'build/\n', 'build/a.txt': line, 'model.bin': `\0${line}` };
  expect(await problems(files)).toEqual([]);
});
