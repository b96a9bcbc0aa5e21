/** What the hub's tests share: a small model, a fake hub and an empty cache for each test, and a way to call. */

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MultiheadError } from '../../../lib/errors';
import type { Sleep } from '../../../lib/hub/failures';
import { type ResolvedModel, type ResolveOptions, resolveModelWith } from '../../../lib/hub/index';
import { FakeHub, type FakeRepo } from './fake-hub';

export const COMMIT = 'c0ffee'.padEnd(40, '0');
export const MODEL = 'tests/tiny';

/** Content of a size, the same on every run, that repeats nowhere. */
export function bytes(size: number, seed = 1): Buffer {
  const content = Buffer.alloc(size);
  let state = seed;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    content[i] = state >>> 24;
  }
  return content;
}

export const WEIGHT_BYTES = 200_000;

/** A sentence-transformers repository with everything that must not be fetched beside it. */
export function tinyFiles(): Record<string, Buffer> {
  const modules = [
    { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' },
    { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
    { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' },
  ];
  return {
    '.gitattributes': Buffer.from('*.safetensors filter=lfs'),
    'README.md': Buffer.from('# tiny'),
    '1_Pooling/config.json': Buffer.from('{"pooling_mode_mean_tokens": true}'),
    'config.json': Buffer.from('{"model_type": "bert"}'),
    'model.safetensors': bytes(WEIGHT_BYTES),
    'modules.json': Buffer.from(JSON.stringify(modules)),
    'onnx/model.onnx': bytes(3000, 2),
    'openvino/openvino_model.bin': bytes(3000, 3),
    'pytorch_model.bin': bytes(3000, 4),
    'sentence_bert_config.json': Buffer.from('{"max_seq_length": 256}'),
    'tf_model.h5': bytes(3000, 5),
    'tokenizer.json': bytes(2000, 6),
    'vocab.txt': Buffer.alloc(0),
  };
}

/** What {@link tinyFiles} needs on disk. */
export const NEEDED = [
  '1_Pooling/config.json',
  'config.json',
  'model.safetensors',
  'modules.json',
  'sentence_bert_config.json',
  'tokenizer.json',
  'vocab.txt',
];

export interface World {
  readonly hub: FakeHub;
  readonly cacheDir: string;
  /** Waits that were asked for, in ms; none of them is waited. */
  readonly waits: number[];
  resolve(model?: string, options?: ResolveOptions): Promise<ResolvedModel>;
}

const VARIABLES = /^(HF_|HUGGING|TRANSFORMERS_OFFLINE|XDG_CACHE_HOME)/;
let worlds: (() => Promise<void>)[] = [];

/** A hub with these repositories, an empty cache, and an environment that knows only them. */
export async function world(
  repos: Record<string, FakeRepo> = { [MODEL]: { commit: COMMIT, files: tinyFiles() } },
  options: { readonly sleep?: Sleep } = {},
): Promise<World> {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (VARIABLES.test(name)) delete process.env[name];
  const hub = await FakeHub.start(repos);
  const cacheDir = await mkdtemp(join(tmpdir(), 'multihead-hub-'));
  process.env['HF_ENDPOINT'] = hub.url;
  process.env['HF_HOME'] = join(cacheDir, 'home');
  process.env['HF_HUB_CACHE'] = cacheDir;
  const waits: number[] = [];
  const noSleep: Sleep = async (ms) => {
    waits.push(ms);
    await new Promise((done) => setImmediate(done));
  };
  worlds.push(async () => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
    await hub.stop();
    await rm(cacheDir, { recursive: true, force: true });
    expect(hub.unexpected).toEqual([]);
    expect(hub.plannedFaults).toBe(0);
  });
  const sleep = options.sleep ?? noSleep;
  return {
    hub,
    cacheDir,
    waits,
    resolve: (model = MODEL, given = {}) => resolveModelWith(model, given, sleep),
  };
}

/** Ends every world of a test and checks what each hub has seen; for afterEach. */
export async function endWorlds(): Promise<void> {
  const ending = worlds;
  worlds = [];
  for (const end of ending) await end();
}

/** The typed error that a call must end in. */
export async function errorOf(promise: Promise<unknown>): Promise<MultiheadError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) throw new Error(`resolved to ${JSON.stringify(outcome.value)}`);
  if (!(outcome.error instanceof MultiheadError)) throw outcome.error;
  return outcome.error;
}

/** Every file below a folder, as sorted relative paths. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Whether a file has this content; quick on large ones, where jest's comparison is not. */
export async function sameBytes(path: string, content: Buffer): Promise<boolean> {
  return (await readFile(path)).equals(content);
}
