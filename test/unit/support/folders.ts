/** Model folders for tests: copies of the small goldens that a test may spoil. */

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const GOLDEN = join(__dirname, '..', '..', 'parity', 'golden');

/** A seeded random sentence encoder: width 18, 2 layers, 40 positions, 91 words, at most 32 tokens. */
export const SENTENCE = join(GOLDEN, 'sentence', 'mean');
export const golden = (...parts: string[]) => join(GOLDEN, ...parts);

const made: string[] = [];

/** An empty folder that {@link removeFolders} removes. */
export async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'multihead-unit-'));
  made.push(folder);
  return folder;
}

/** For afterAll. */
export async function removeFolders(): Promise<void> {
  await Promise.all(made.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
}

/** What a test makes of a file: new content (an object becomes JSON), or null to remove it. */
export type Change = string | Uint8Array | object | null;

/** A folder of these files. */
export async function folderOf(files: Readonly<Record<string, Change>>): Promise<string> {
  const folder = await emptyFolder();
  apply(folder, files);
  return folder;
}

/** A copy of a golden folder, changed. */
export async function copyOf(
  source: string,
  changes: Readonly<Record<string, Change>> = {},
): Promise<string> {
  const folder = await emptyFolder();
  for (const name of readdirSync(source, { recursive: true }) as string[]) {
    const from = join(source, name);
    if (name.endsWith('golden.safetensors') || !statSync(from).isFile()) continue;
    put(join(folder, name), readFileSync(from));
  }
  apply(folder, changes);
  return folder;
}

export function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function apply(folder: string, changes: Readonly<Record<string, Change>>): void {
  for (const [name, change] of Object.entries(changes)) {
    const path = join(folder, name);
    if (change === null) rmSync(path, { recursive: true, force: true });
    else if (typeof change === 'string' || change instanceof Uint8Array) put(path, change);
    else put(path, JSON.stringify(change));
  }
}

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
