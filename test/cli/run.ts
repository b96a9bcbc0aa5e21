/** Runs the command line as a user does: the compiled program, in a process of its own. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';

export const root = join(__dirname, '..', '..');
export const program = join(root, 'dist', 'cli', 'main.js');
/** A seeded random BERT with a tokenizer: small enough that a test can encode much. */
export const tinyModel = join(root, 'test', 'parity', 'golden', 'sentence', 'mean');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Ends with the program's exit code, after `input` was written to its standard input. */
export function multihead(
  args: readonly string[],
  {
    input = '',
    env = {},
  }: { input?: string | Uint8Array; env?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, ...env } });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...output }));
    // A program that fails early closes its input.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** The objects of JSON lines. */
export function parsed(stdout: string): { index: number; embedding: number[] }[] {
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
