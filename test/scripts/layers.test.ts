import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { call, folderWith, root } from './call';

const includes = (files: Readonly<Record<string, string>>) =>
  call<string[]>('check-layers', 'includeViolations', folderWith(files));
const imports = (files: Readonly<Record<string, string>>) =>
  call<string[]>('check-layers', 'importViolations', folderWith(files));

test('this repository keeps its layers', async () => {
  expect(await call('check-layers', 'includeViolations', root)).toEqual([]);
  expect(await call('check-layers', 'importViolations', root)).toEqual([]);
});

test.each([
  ['base/a.h', '#include "ops/ops.h"'],
  ['ops/device.h', '#include "kernels/cpu/isa.h"'],
  ['kernels/cpu/gemm.cc', '#include "engine/plan.h"'],
  ['kernels/reference.cc', '  #  include "../engine/plan.h"'],
  ['engine/program.cc', '#include "kernels/cpu/isa.h"'],
  ['engine/program.cc', '#include "binding/addon.h"'],
  ['engine/program.cc', '#include <napi.h>'],
  ['kernels/cpu/pool.cc', '#include <node_api.h>'],
  ['ops/registry.cc', '#include <uv.h>'],
  ['elsewhere/a.cc', '#include <vector>'],
])('native/%s with %s is found', async (file, line) => {
  expect(await includes({ [`native/${file}`]: `${line}\n` })).toHaveLength(1);
});

test.each([
  ['ops/registry.cc', '#include "kernels/cpu/cpu_device.h"'],
  ['kernels/cpu/gemm.cc', '#include "ops/ops.h"'],
  ['engine/program.cc', '#include "ops/ops.h"'],
  ['binding/addon.cc', '#include <napi.h>'],
])('native/%s with %s is fine', async (file, line) => {
  expect(await includes({ [`native/${file}`]: `${line}\n` })).toEqual([]);
});

test.each([
  ['addon.ts', "const addon = require('./multihead.node');"],
  ['addon.ts', "const addon = require(join(__dirname, 'multihead.node'));"],
  ['hub/a.ts', "import load from 'node-gyp-build';"],
  ['a.ts', 'process.dlopen(module, path);'],
  ['index.ts', "export * from './cli/main';"],
  ['models/bert.ts', "import { loadAddon } from '../native';"],
  ['weights/safetensors.ts', "import { resolveModel } from '../hub';"],
])('lib/%s with %s is found', async (file, line) => {
  expect(await imports({ [`lib/${file}`]: line })).toHaveLength(1);
});

test('a type is no dependency', async () => {
  const text =
    "import type {\n  NativeWeights,\n} from '../native';\nexport type * from '../native';\n";
  expect(await imports({ 'lib/models/bert.ts': text })).toEqual([]);
});

test('lib/native.ts may load the addon', async () => {
  expect(await imports({ 'lib/native.ts': "require('node-gyp-build').path('.')" })).toEqual([]);
});

describe('symbols of an object compiled for one instruction set', () => {
  function symbols(source: string): Promise<string[]> {
    const folder = folderWith({ 'table.cc': source });
    const objects = join(folder, 'build/Release/native/kernels/CMakeFiles/multihead_isa_avx2.dir');
    mkdirSync(objects, { recursive: true });
    const object = join(objects, 'table.cc.o');
    execFileSync('g++', ['-O0', '-c', join(folder, 'table.cc'), '-o', object]);
    return call('check-layers', 'symbolViolations', folder);
  }

  test('the table alone is fine', async () => {
    const source =
      'namespace { int f() { return 1; } }\nextern int (*const table)();\nint (*const table)() = f;';
    expect(await symbols(source)).toEqual([]);
  });

  test('a weak symbol is found', async () => {
    const source =
      'template <class T> T twice(T x) { return x + x; }\nint table(int x) { return twice(x); }';
    expect(await symbols(source)).toEqual([expect.stringContaining('weak symbol')]);
  });

  test('a second strong symbol is found', async () => {
    expect(await symbols('int table() { return 1; }\nint helper() { return 2; }')).toEqual([
      expect.stringContaining('expected the table alone'),
    ]);
  });

  test('no object at all is no pass', async () => {
    expect(await call('check-layers', 'symbolViolations', folderWith({}))).toHaveLength(1);
  });
});
