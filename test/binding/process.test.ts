// The addon in processes and threads that end at bad moments.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

interface Outcome {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs a scenario of support/child.cjs in a process of its own. */
function run(scenario: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(__dirname, 'support', 'child.cjs'), scenario]);
    const outcome = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => {
      outcome.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      outcome.stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...outcome }));
  });
}

test.each([
  ['ends by itself', `${64 * 128}\n`],
  ['workers one after another', 'ok\n'],
  ['workers at once', 'ok\n'],
  ['terminate mid-batch', 'ok\n'],
  ['terminate mid-load', 'ok\n'],
  ['exit in a worker', '3 64\n'],
  ['two copies', 'ok\n'],
])('%s', async (scenario, stdout) => {
  expect(await run(scenario)).toEqual({ code: 0, signal: null, stdout, stderr: '' });
});

test('process.exit in the middle of forwards, twenty times', async () => {
  for (let i = 0; i < 20; i++) {
    expect(await run('exit mid-batch')).toEqual({ code: 7, signal: null, stdout: '', stderr: '' });
  }
});

test('an uncaught exception in the middle of a forward', async () => {
  const outcome = await run('throws mid-batch');
  expect(outcome).toMatchObject({ code: 1, signal: null });
  expect(outcome.stderr).toContain('on purpose');
});
