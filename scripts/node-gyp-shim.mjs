#!/usr/bin/env node
// Stands in for node-gyp where prebuildify calls it: puts the addon, compiled by cmake-js, where it expects it.
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { main, root } from './process.mjs';
import { ensureAddon } from './setup.mjs';

await main(async () => {
  await ensureAddon();
  const expected = join(process.cwd(), 'build', 'Release');
  await mkdir(expected, { recursive: true });
  await copyFile(
    join(root, 'build', 'Release', 'multihead.node'),
    join(expected, 'multihead.node'),
  );
});
