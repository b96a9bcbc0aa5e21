/** The folder of the real all-MiniLM-L6-v2 for tests: MULTIHEAD_TEST_MODEL, else what the demo fetches. */

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const SCRIPT = join(__dirname, '..', '..', 'scripts', 'demo-model.mjs');

/** Throws where the model cannot be had: a test that needs it fails, and never passes by skipping. */
export function minilmFolder(): string {
  const folder = process.env['MULTIHEAD_TEST_MODEL'] ?? fetched();
  if (existsSync(join(folder, 'config.json')) && existsSync(join(folder, 'model.safetensors')))
    return folder;
  throw new Error(
    `the tests need all-MiniLM-L6-v2, and ${folder} holds no model; set MULTIHEAD_TEST_MODEL to its folder`,
  );
}

function fetched(): string {
  try {
    return (
      execFileSync(process.execPath, [SCRIPT], { encoding: 'utf8' }).trim().split('\n').pop() ?? ''
    );
  } catch (cause) {
    throw new Error(
      'the tests need all-MiniLM-L6-v2, and it could not be fetched; set MULTIHEAD_TEST_MODEL to its folder',
      { cause },
    );
  }
}
