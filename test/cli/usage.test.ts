import { multihead } from './run';

const COMMANDS = ['embed', 'info', 'doctor', 'build'];

test.each([[], ...COMMANDS.map((name) => [name])])('help for multihead %s', async (...names) => {
  const { code, stdout, stderr } = await multihead([...names, '--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`Usage: multihead ${names[0] ?? ''}`);
});

test('the help names every command', async () => {
  const { stdout } = await multihead(['--help']);
  for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
});

test('--version is the package’s', async () => {
  const { version } = require('../../package.json');
  expect(await multihead(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test.each([
  ['an unknown command', ['dance']],
  ['an unknown option', ['doctor', '--fast']],
  ['a missing option', ['embed', 'a text']],
  ['a missing argument', ['info']],
  ['an argument too many', ['info', 'a', 'b']],
  ['a number that is none', ['embed', '-m', 'x', '--batch', 'many', 'a text']],
  ['a number below one', ['embed', '-m', 'x', '--threads', '0', 'a text']],
  ['half a number', ['embed', '-m', 'x', '--max-length', '1.5', 'a text']],
])('%s is wrong usage: exit code 2 and one line', async (_, args) => {
  const { code, stdout, stderr } = await multihead(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^multihead: INVALID_ARGUMENT: .+\n$/);
});

test.each(['embed', 'info'])(
  '%s of a model that is not there: exit code 1 and one line',
  async (name) => {
    const args = name === 'embed' ? ['embed', 'a text', '-m', './absent'] : ['info', './absent'];
    const { code, stdout, stderr } = await multihead(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^multihead: FILE_ERROR: .*absent.*\n$/);
  },
);

test('--debug adds the stack, wherever it stands', async () => {
  for (const args of [
    ['--debug', 'info', './absent'],
    ['info', './absent', '--debug'],
  ]) {
    const { code, stderr } = await multihead(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^multihead: FILE_ERROR: .*\n/);
    expect(stderr).toMatch(/^ {4}at /m);
  }
});
