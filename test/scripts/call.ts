/** Calls a function of scripts/*.mjs in a process of its own: jest's sandbox cannot import ES modules. */

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

export const root = join(__dirname, '..', '..');

/** The result of `scripts/<module>.mjs`'s `name(...args)`, as JSON carries it. */
export async function call<T>(module: string, name: string, ...args: unknown[]): Promise<T> {
  const url = pathToFileURL(join(root, 'scripts', `${module}.mjs`)).href;
  const program = `
    const script = await import(${JSON.stringify(url)});
    const result = await script[${JSON.stringify(name)}](...${JSON.stringify(args)});
    process.stdout.write(JSON.stringify({ result }));
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { cwd: root, maxBuffer: 64 * 1024 * 1024 },
  );
  return (JSON.parse(stdout) as { result: T }).result;
}

const folders: string[] = [];

/** A temporary folder with these files in it; gone when the test file ends. */
export function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'multihead-scripts-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
