/**
 * Texts to token ids and back, by the model's own tokenizer.json.
 *
 * The only file that knows the tokenizer library. Padding and truncation that tokenizer.json asks for
 * are turned off: nothing is padded, and truncation is per call, keeping the special tokens as Python does.
 */

import { join } from 'node:path';
import type { Encoding, Tokenizer as LibraryTokenizer } from '@anush008/tokenizers';
import { invalid, isObject } from './check';
import { MultiheadError } from './errors';
import { Config, isPresent } from './json';
import { cleanSpaces } from './text-cleanup';
import { type Span, utf16Spans } from './text-offsets';
import { type Keeps, keptTokens } from './token-truncation';
import { SpecialTokens } from './tokenizer-special';

/** One text's tokens, special ones included. */
export interface TokenSequence {
  readonly ids: Int32Array;
  /** Tokens before truncation. */
  readonly fullLength: number;
}

/** A text, or two that the model reads as one sequence. */
export interface TextInput {
  readonly text: string;
  readonly pair?: string;
}

/** The tokens of a text or a pair with where they come from; arrays have one entry a token. */
export interface AnnotatedTokens extends TokenSequence {
  /** Segment types. */
  readonly types: Int32Array;
  /** The text that the token comes from, 0 or 1; null: a special token of the model. */
  readonly sequence: readonly (number | null)[];
  /** Where in that JavaScript string; special tokens have [0, 0]. */
  readonly spans: readonly Span[];
}

/** Whether decoded text shows special tokens. */
export type SpecialsInText = 'skip' | 'keep';

export interface TokenizerOptions {
  /** Lower-case texts before anything else, unless tokenizer.json does. Default false. */
  readonly lowerCase?: boolean;
}

export class Tokenizer {
  readonly #library: LibraryTokenizer;
  readonly #frame: Frame;
  readonly #keeps: Keeps;
  /** Where tokenizer_config.json says so: the longest sequence. */
  readonly maxLength: number | undefined;
  readonly specials: SpecialTokens;
  /** Whether decoded text loses the spaces before its punctuation. */
  readonly cleansSpaces: boolean;
  /** Whether a token inside a word is marked as such, as `##` does. */
  readonly marksSubwords: boolean;
  /** Whether the model is told the segment types. */
  readonly givesTypes: boolean;

  private constructor(library: LibraryTokenizer, frame: Frame, config: Config, model: unknown) {
    const { type, continuing_subword_prefix: prefix } = isObject(model) ? model : {};
    this.#library = library;
    this.#frame = frame;
    const side = config.literal('truncation_side', ['left', 'right'], 'right');
    this.#keeps = side === 'right' ? 'begin' : 'end';
    this.maxLength = limitOf(config);
    this.specials = new SpecialTokens(config, (token) => library.tokenToId(token) ?? undefined);
    // Python ignores the setting where a token carries its own space.
    this.cleansSpaces = config.boolean('clean_up_tokenization_spaces', false) && type !== 'BPE';
    this.marksSubwords = typeof prefix === 'string' && prefix !== '';
    this.givesTypes = givesTypes(config);
  }

  /** @throws MultiheadError FILE_ERROR where there is no tokenizer.json, INVALID_ARGUMENT where it is malformed. */
  static async load(folder: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    const path = join(folder, 'tokenizer.json');
    if (!(await isPresent(path))) {
      const expected = 'the fast tokenizer that transformers saves beside a model';
      throw new MultiheadError('FILE_ERROR', { where: path, got: 'no such file', expected });
    }
    const { values } = await Config.read(folder, 'tokenizer.json');
    const library = create(path, {
      ...values,
      padding: null,
      truncation: null,
      normalizer: options.lowerCase ? lowerCasing(values['normalizer']) : values['normalizer'],
    });
    const config = await Config.readIfPresent(folder, 'tokenizer_config.json');
    return new Tokenizer(library, await probeFrame(path, library), config, values['model']);
  }

  /** None where the folder has no tokenizer.json. @throws MultiheadError INVALID_ARGUMENT: it is malformed. */
  static async loadIfPresent(folder: string): Promise<Tokenizer | undefined> {
    return (await isPresent(join(folder, 'tokenizer.json')))
      ? await Tokenizer.load(folder)
      : undefined;
  }

  /** Special tokens around every text: no sequence is shorter. */
  get specialTokens(): number {
    return this.#frame.before + this.#frame.after;
  }

  get specialTokensAfter(): number {
    return this.#frame.after;
  }

  /**
   * Tokenizes off the event loop.
   *
   * @param maxLength tokens to keep of each text, special ones included; at least `specialTokens`
   * @param where names a text by its index, for messages
   * @throws MultiheadError INVALID_ARGUMENT for a lone surrogate, which Python's tokenizer refuses too
   */
  async encode(
    texts: readonly string[],
    maxLength: number,
    where: (index: number) => string,
  ): Promise<TokenSequence[]> {
    texts.forEach((text, i) => {
      checkText(where(i), text);
    });
    const encodings = await encodeBatch(this.#library, texts);
    return encodings.map((encoding) => this.#truncate(encoding, maxLength));
  }

  /**
   * Tokenizes texts and pairs off the event loop; each token knows its place. Of a pair that is too long the longer
   * text loses tokens first.
   */
  async annotate(
    inputs: readonly TextInput[],
    maxLength: number,
    where: (index: number) => string,
  ): Promise<AnnotatedTokens[]> {
    inputs.forEach(({ text, pair }, i) => {
      checkText(where(i), text);
      if (pair !== undefined) checkText(where(i), pair);
    });
    return await Promise.all(
      inputs.map(async (input) => {
        const encoding = await translated(() =>
          this.#library.encode(input.text, input.pair ?? null, { addSpecialTokens: true }),
        );
        return annotated(input, encoding, maxLength, this.#keeps);
      }),
    );
  }

  /** The text of tokens, off the event loop, as Python's `decode` gives it. */
  async decode(ids: readonly number[], specials: SpecialsInText): Promise<string> {
    const text = await this.decodePlain(ids, specials);
    return this.cleansSpaces ? cleanSpaces(text) : text;
  }

  /** {@link decode} without the cleaning of spaces, so that more tokens only append. */
  async decodePlain(ids: readonly number[], specials: SpecialsInText): Promise<string> {
    return await translated(() => this.#library.decode([...ids], specials === 'skip'));
  }

  /** The string of a token, its marks included. */
  tokenOf(id: number): string {
    return this.#library.idToToken(id) ?? '';
  }

  /** Token strings as one text. */
  join(tokens: readonly string[]): string {
    return this.#library.getDecoder()?.decode([...tokens]) ?? tokens.join(' ');
  }

  #truncate(encoding: Encoding, maxLength: number): TokenSequence {
    const ids = encoding.getIds();
    if (ids.length <= maxLength) return { ids: Int32Array.from(ids), fullLength: ids.length };
    const { before, after } = this.#frame;
    const content = ids.slice(before, ids.length - after);
    const room = maxLength - before - after;
    const kept =
      this.#keeps === 'begin' ? content.slice(0, room) : content.slice(content.length - room);
    const framed = [...ids.slice(0, before), ...kept, ...ids.slice(ids.length - after)];
    return { ids: Int32Array.from(framed), fullLength: ids.length };
  }
}

/** transformers 5's choice: a tokenizer of no class of its own gives types only if its config says so. */
function givesTypes(config: Config): boolean {
  const names = config.get('model_input_names');
  if (Array.isArray(names)) return names.includes('token_type_ids');
  return !['TokenizersBackend', 'PreTrainedTokenizerFast'].includes(
    config.string('tokenizer_class', ''),
  );
}

function annotated(
  { text, pair = '' }: TextInput,
  encoding: Encoding,
  maxLength: number,
  keeps: Keeps,
): AnnotatedTokens {
  const sequence = encoding.getSequenceIds().map((id) => id ?? null);
  const kept = keptTokens(sequence, maxLength, keeps);
  const offsets = encoding.getOffsets() as [number, number][];
  const [inText, inPair] = [utf16Spans(text, offsets), utf16Spans(pair, offsets)];
  const ids = encoding.getIds();
  const types = encoding.getTypeIds();
  const pick = <T>(values: readonly T[]) => kept.map((i) => values[i] as T);
  return {
    ids: Int32Array.from(pick(ids)),
    fullLength: ids.length,
    types: Int32Array.from(pick(types)),
    sequence: pick(sequence),
    spans: pick(sequence.map((id, i) => (id === 1 ? inPair[i] : inText[i]) as Span)),
  };
}

/** How many special tokens stand before and after the text's own. */
interface Frame {
  readonly before: number;
  readonly after: number;
}

/** The longest sequence that tokenizer_config.json allows; Python writes 1e30 for "no limit". */
export async function readTokenLimit(folder: string): Promise<number | undefined> {
  return limitOf(await Config.readIfPresent(folder, 'tokenizer_config.json'));
}

function limitOf(config: Config): number | undefined {
  const limit = config.get('model_max_length');
  return Number.isInteger(limit) && (limit as number) < 2 ** 31 ? (limit as number) : undefined;
}

async function probeFrame(path: string, library: LibraryTokenizer): Promise<Frame> {
  const probe = async (addSpecialTokens: boolean) => {
    try {
      return (await library.encode('a', null, { addSpecialTokens })).getIds();
    } catch (cause) {
      throw malformed(path, cause);
    }
  };
  const [framed, plain] = [await probe(true), await probe(false)];
  if (plain.length === 0) {
    const details = { where: path, got: "no token for the text 'a'", expected: 'at least one' };
    throw new MultiheadError('UNSUPPORTED', details);
  }
  for (let before = 0; before + plain.length <= framed.length; before += 1) {
    if (plain.every((id, i) => framed[before + i] === id)) {
      return { before, after: framed.length - before - plain.length };
    }
  }
  throw new MultiheadError('UNSUPPORTED', {
    where: 'tokenizer.json: post_processor',
    got: 'one that changes the tokens of a text',
    expected: 'special tokens before and after a text only',
  });
}

function create(path: string, json: Record<string, unknown>): LibraryTokenizer {
  const library = require('@anush008/tokenizers') as typeof import('@anush008/tokenizers');
  try {
    return library.Tokenizer.fromString(JSON.stringify(json));
  } catch (cause) {
    throw malformed(path, cause);
  }
}

function malformed(path: string, cause: unknown): MultiheadError {
  const details = { where: path, got: (cause as Error).message, expected: 'a tokenizer.json' };
  return new MultiheadError('INVALID_ARGUMENT', details, { cause });
}

/** The normalizer with lower-casing before it, as sentence-transformers puts it there. */
function lowerCasing(normalizer: unknown): unknown {
  if (normalizer === null || normalizer === undefined) return { type: 'Lowercase' };
  if (lowersCase(normalizer)) return normalizer;
  const { type, normalizers } = normalizer as { type?: string; normalizers?: unknown[] };
  const rest = type === 'Sequence' && Array.isArray(normalizers) ? normalizers : [normalizer];
  return { type: 'Sequence', normalizers: [{ type: 'Lowercase' }, ...rest] };
}

function lowersCase(normalizer: unknown): boolean {
  if (!isObject(normalizer)) return false;
  const { type, lowercase, normalizers } = normalizer;
  if (type === 'Sequence' && Array.isArray(normalizers)) return normalizers.some(lowersCase);
  return type === 'Lowercase' || (type === 'BertNormalizer' && lowercase === true);
}

function checkText(where: string, text: string): void {
  if (text.isWellFormed()) return;
  throw invalid(
    where,
    'a lone surrogate',
    'well-formed text (String.prototype.toWellFormed repairs it)',
  );
}

async function encodeBatch(
  library: LibraryTokenizer,
  texts: readonly string[],
): Promise<Encoding[]> {
  return await translated(() => library.encodeBatch([...texts], { addSpecialTokens: true }));
}

async function translated<T>(f: () => Promise<T>): Promise<T> {
  try {
    return await f();
  } catch (cause) {
    const got = (cause as Error).message;
    throw new MultiheadError('INTERNAL', { where: 'tokenizer', got }, { cause });
  }
}
