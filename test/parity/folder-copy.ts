/** A copy of a golden folder for a test to break. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Header = Record<string, { data_offsets: [number, number] }>;

export class FolderCopy {
  readonly folder = mkdtempSync(join(tmpdir(), 'multihead-parity-'));

  constructor(original: string) {
    cpSync(original, this.folder, { recursive: true });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  editConfig(change: Record<string, unknown>): void {
    const path = join(this.folder, 'config.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
  }

  /** Rewrites the checkpoint; `edit` gets the header by name, and the bytes after it. */
  editWeights(edit: (header: Header, body: Buffer) => void): void {
    const path = join(this.folder, 'model.safetensors');
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
    const body = Buffer.from(bytes.subarray(8 + length));
    edit(header, body);
    const text = Buffer.from(JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    writeFileSync(path, Buffer.concat([size, text, body]));
  }

  /** Tensors whose names have `one` in them change places with those that have `other` there. */
  swap(one: string, other: string): void {
    this.editWeights((header) => {
      const names = Object.keys(header).filter((name) => name.includes(one));
      if (names.length === 0) throw new Error(`${this.folder}: no tensor ${one}`);
      for (const name of names) {
        const second = name.replace(one, other);
        [header[name], header[second]] = [header[second] as never, header[name] as never];
      }
    });
  }
}
