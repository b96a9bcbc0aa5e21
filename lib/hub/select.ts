/**
 * Which files of a repository a model needs: configurations, the tokenizer, safetensors; never another format.
 *
 * A sentence-transformers repository keeps its modules in folders like `1_Pooling`; the transformer lies in the
 * root or, in older repositories, in `0_Transformer`. The same rules judge whether a snapshot on disk is whole.
 */

import { MultiheadError } from '../errors';

/** Small files, wanted in the root and in module folders. */
const SMALL = new Set([
  'config.json',
  'modules.json',
  'config_sentence_transformers.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
]);
/** sentence_bert_config.json and its namesakes for other families. */
const SENTENCE_CONFIG = /^sentence_[a-z0-9-]+_config\.json$/;
const MODULE_FOLDER = /^\d+_[A-Za-z0-9_]+$/;

export const WEIGHTS = 'model.safetensors';
export const WEIGHTS_INDEX = 'model.safetensors.index.json';
const OTHER_FORMATS = /\.(bin|onnx|h5|msgpack|gguf|ot|pt|pth|ckpt)$/;

/** The folder of a repository path: '' for the root. */
export function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

/** `name` in `folder`, where '' is the root. */
export function pathIn(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/** Refuses paths that would leave the snapshot's folder on any system. */
export function checkPath(where: string, path: string): void {
  const escapes =
    path.includes('\0') ||
    /^([/\\]|[A-Za-z]:)/.test(path) ||
    path.split(/[/\\]/).some((part) => part === '..');
  if (!escapes) return;
  throw new MultiheadError('FILE_ERROR', {
    where,
    got: `the file name ${JSON.stringify(path)}`,
    expected: 'a relative path without ".."',
  });
}

/** What {@link selectFiles} found; shards are known only once their index has been read. */
export interface Selection {
  /** Everything but shards: configurations, tokenizer, whole weight files and weight indexes. */
  readonly files: string[];
  /** The weight indexes among `files`. */
  readonly indexes: string[];
}

/**
 * Picks the needed ones of a repository's files.
 *
 * @throws {MultiheadError} UNSUPPORTED when a part has weights in other formats only; FILE_ERROR when a name would
 * leave the folder or there is no model at all
 */
export function selectFiles(where: string, paths: readonly string[]): Selection {
  for (const path of paths) checkPath(where, path);
  const present = new Set(paths);
  const wanted = paths.filter(isSmall);
  const folders = new Set(paths.map(folderOf).filter(isPartFolder));
  const weights: string[] = [];
  for (const folder of folders) weights.push(...weightsIn(where, folder, present));
  const indexes = weights.filter((path) => path.endsWith(WEIGHTS_INDEX));
  const hasConfig = wanted.some((path) => /^(0_[^/]+\/)?config\.json$/.test(path));
  if (!hasConfig || weights.length === 0) {
    const missing = hasConfig ? WEIGHTS : 'config.json';
    throw new MultiheadError('FILE_ERROR', {
      where,
      got: `no ${missing}`,
      expected: 'a repository in the layout of transformers or sentence-transformers',
    });
  }
  return { files: [...wanted, ...weights], indexes };
}

function isPartFolder(folder: string): boolean {
  return folder === '' || MODULE_FOLDER.test(folder);
}

function isSmall(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return isPartFolder(folderOf(path)) && (SMALL.has(name) || SENTENCE_CONFIG.test(name));
}

/** The weight file of one folder, or its index; none where the folder has no weights at all. */
function weightsIn(where: string, folder: string, present: ReadonlySet<string>): string[] {
  for (const name of [WEIGHTS, WEIGHTS_INDEX]) {
    const path = pathIn(folder, name);
    if (present.has(path)) return [path];
  }
  const others = [...present].filter(
    (path) => folderOf(path) === folder && OTHER_FORMATS.test(path),
  );
  if (others.length === 0) return [];
  throw new MultiheadError('UNSUPPORTED', {
    where,
    got: `weights only as ${others.sort().slice(0, 3).join(', ')}`,
    expected:
      `${pathIn(folder, WEIGHTS)}; convert with save_pretrained(folder, safe_serialization=True) in Python, or name ` +
      'a revision that has safetensors',
  });
}

/**
 * The shards that a weight index names, as repository paths in order of first mention.
 *
 * @throws {MultiheadError} WEIGHT_INVALID when the index is no JSON, has no weight_map, or names a path
 */
export function shardsOf(where: string, indexPath: string, text: string): string[] {
  const invalid = (got: string, cause?: unknown) =>
    new MultiheadError(
      'WEIGHT_INVALID',
      { where: `${where}: ${indexPath}`, got, expected: 'a weight_map from tensor to file name' },
      { cause },
    );
  let map: unknown;
  try {
    map = (JSON.parse(text) as { weight_map?: unknown } | null)?.weight_map;
  } catch (error) {
    throw invalid('no JSON', error);
  }
  if (typeof map !== 'object' || map === null || Array.isArray(map)) throw invalid('no weight_map');
  const names = new Set<unknown>(Object.values(map));
  for (const name of names) {
    if (typeof name !== 'string' || !/^[\w-][\w.-]*\.safetensors$/.test(name)) {
      throw invalid(`the shard ${JSON.stringify(name)}`);
    }
  }
  return [...names].map((name) => pathIn(folderOf(indexPath), name as string));
}

/** The configuration files that modules.json promises: those of its pooling and dense modules. */
export function moduleConfigs(text: string): string[] {
  let modules: unknown;
  try {
    modules = JSON.parse(text);
  } catch {
    return []; // the reader of the model says what is wrong with it
  }
  if (!Array.isArray(modules)) return [];
  const configs: string[] = [];
  for (const entry of modules as ({ path?: unknown; type?: unknown } | null)[]) {
    const { path, type } = entry ?? {};
    if (typeof path !== 'string' || typeof type !== 'string' || !MODULE_FOLDER.test(path)) continue;
    if (/\.(Pooling|Dense)$/.test(type)) configs.push(`${path}/config.json`);
  }
  return configs;
}
