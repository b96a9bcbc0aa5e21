import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { multihead, root } from './run';

async function doctor(env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await multihead(['doctor', '--json'], { env });
  return { code, stderr, report: JSON.parse(stdout) };
}

test('it tells what this machine offers and what was chosen', async () => {
  const { code, stderr, report } = await doctor({ MULTIHEAD_ISA: '' });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(report).toMatchObject({
    version: require('../../package.json').version,
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    gpu: { available: false, reason: expect.any(String) },
  });
  expect(report.addon.path).toMatch(/\.node$/);
  const usable = report.isas.filter(({ supported }: { supported: boolean }) => supported);
  expect(report.isa).toBe(usable[0].name);
  expect(report.isas.at(-1)).toEqual({ name: 'baseline', supported: true });
  expect(report.threads.defaultThreads).toBeGreaterThanOrEqual(1);
  expect(report.threads.defaultThreads).toBeLessThanOrEqual(report.threads.affinity);
});

test('MULTIHEAD_ISA is heard, and refused where it cannot be', async () => {
  expect((await doctor({ MULTIHEAD_ISA: 'baseline' })).report.isa).toBe('baseline');
  const refused = await doctor({ MULTIHEAD_ISA: 'abacus' });
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/^multihead: UNSUPPORTED: MULTIHEAD_ISA: .*abacus.*\n$/);
});

test('it lists the models in the cache with their bytes', async () => {
  const cache = mkdtempSync(join(tmpdir(), 'multihead-doctor-'));
  try {
    const blobs = join(cache, 'models--an-org--a-model', 'blobs');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, 'one'), 'x'.repeat(1000));
    writeFileSync(join(blobs, 'two'), 'x'.repeat(234));
    const { report } = await doctor({ HF_HUB_CACHE: cache });
    expect(report.cache).toEqual({
      folder: cache,
      models: [{ model: 'an-org/a-model', bytes: 1234 }],
    });
  } finally {
    rmSync(cache, { recursive: true });
  }
});

test('a cache that does not exist is an empty one', async () => {
  const folder = join(root, 'build', 'no-such-cache');
  expect((await doctor({ HF_HUB_CACHE: folder })).report.cache).toEqual({ folder, models: [] });
});

test('without --json it is for people', async () => {
  const { code, stdout } = await multihead(['doctor']);
  expect(code).toBe(0);
  for (const word of ['platform', 'addon', 'ISAs', 'threads', 'GPU', 'cache']) {
    expect(stdout).toMatch(new RegExp(`^${word} `, 'm'));
  }
});
