/** What CausalLM and Seq2SeqLM share: prompts to tokens, the decoding, tokens to text, and the end of it all. */

import { describe, invalid } from '../check';
import { MultiheadError } from '../errors';
import { Running } from '../running';
import { addedText } from '../text-offsets';
import type { Tokenizer } from '../tokenizer';
import { BeamSearch, beamWidth } from './beam';
import type { GenerationConfig } from './config';
import type { CachedDecoder } from './decoder';
import type { SourceEncoder } from './encoder';
import {
  checkGenerateOptions,
  type GenerateOptions,
  type GenerateTokensOptions,
  type GenerationSettings,
} from './options';
import { checkSource, readPrompts, readSequences, roomAfter } from './prompts';
import type { Generation, TokenGeneration, TokenIds } from './results';
import { Rules } from './rules';
import { Runner, type Task } from './runner';
import { SingleSearch } from './single';
import { WrittenText } from './written-text';

export interface LanguageModelParts {
  readonly folder: string;
  readonly config: GenerationConfig;
  readonly tokenizer: Tokenizer | undefined;
  readonly decoder: CachedDecoder;
  /** Reads the prompts; the decoder then starts with one token. */
  readonly encoder?: SourceEncoder;
  readonly maxCacheBytes: number;
}

/** A prompt on its way. */
interface TextTask extends Task {
  readonly promptTokens: number;
  /** Where the text has to be seen while it is written. */
  readonly written?: WrittenText;
}

/** When the text is looked at: at each token, or once at the end. */
type Watching = 'each token' | 'the end';

/** New tokens where neither the caller nor the folder says how many. */
const DEFAULT_NEW_TOKENS = 128;

export class LanguageModel {
  readonly running = new Running();
  readonly #parts: LanguageModelParts;
  readonly #rules: Rules;

  constructor(parts: LanguageModelParts) {
    this.#parts = parts;
    this.#rules = new Rules(parts.config);
  }

  /** One generation for one prompt, an array for an array. */
  async generate(
    prompts: string | readonly string[],
    options: GenerateOptions,
  ): Promise<Generation | Generation[]> {
    const texts = readPrompts(prompts);
    const settings = checkGenerateOptions(options, 'text', texts.length, this.#parts.config);
    const watching = settings.stop.length > 0 ? 'each token' : 'the end';
    const tasks = await this.#tasks(await this.#tokenize(texts), settings, watching);
    const cacheBytes = await this.#run(tasks, settings);
    const found = await Promise.all(tasks.map((task) => this.#generation(task, cacheBytes)));
    return typeof prompts === 'string' ? (found[0] as Generation) : found;
  }

  async generateTokens(
    idsOrSequences: TokenIds | readonly TokenIds[],
    options: GenerateTokensOptions,
  ): Promise<TokenGeneration> {
    const { decoder, encoder, config } = this.#parts;
    const sequences = readSequences(idsOrSequences, (encoder ?? decoder).vocabulary);
    const settings = checkGenerateOptions(options, 'tokens', sequences.length, config);
    const tasks = await this.#tasks(sequences, settings, 'the end');
    const cacheBytes = await this.#run(tasks, settings);
    const found = tasks.map(({ search }) => search.found);
    return {
      tokens: found.map(({ tokens }) => [...tokens]),
      finishReasons: found.map(({ finishReason }) => finishReason),
      ...(settings.beam && { scores: found.map(({ score }) => score as number) }),
      usage: {
        promptTokens: tasks.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
        newTokens: found.reduce((sum, { tokens }) => sum + tokens.length, 0),
        cacheBytes,
      },
    };
  }

  async *stream(prompt: string, options: GenerateOptions): AsyncGenerator<string, Generation> {
    if (typeof prompt !== 'string') throw invalid('prompt', describe(prompt), 'a string');
    const settings = checkGenerateOptions(options, 'text', 1, this.#parts.config);
    if (settings.beam) throw invalid('options.beams', 'above 1', '1 in a stream');
    const tasks = await this.#tasks(await this.#tokenize([prompt]), settings, 'each token');
    const [task] = tasks as [TextTask];
    const written = task.written as WrittenText;
    const runner = this.#runner(tasks, settings);
    let sent = 0;
    try {
      for (let goesOn = true; goesOn; ) {
        goesOn = await runner.step();
        if (!goesOn) await written.end();
        const piece = written.text.slice(sent);
        sent += piece.length;
        if (piece !== '') yield piece;
      }
      return await this.#generation(task, runner.cacheBytes);
    } finally {
      runner.dispose();
    }
  }

  /** Frees the models and every cache; what comes later rejects with DISPOSED. */
  dispose(): void {
    this.#parts.decoder.dispose();
    this.#parts.encoder?.dispose();
  }

  async #tokenize(prompts: readonly string[]): Promise<readonly Int32Array[]> {
    const { decoder } = this.#parts;
    decoder.throwIfDisposed();
    const where = (i: number) => `prompts[${i}]`;
    const sequences = await this.#tokenizer().encode(prompts, Number.POSITIVE_INFINITY, where);
    return sequences.map(({ ids }) => ids);
  }

  #tokenizer(): Tokenizer {
    const { tokenizer, folder } = this.#parts;
    if (tokenizer) return tokenizer;
    throw new MultiheadError('UNSUPPORTED', {
      where: folder,
      got: 'no tokenizer.json',
      expected: 'one for texts; generateTokens needs none',
    });
  }

  async #tasks(
    sequences: readonly Int32Array[],
    settings: GenerationSettings,
    watching: Watching,
  ): Promise<TextTask[]> {
    const limits = sequences.map((ids, i) => this.#limit(ids, i, settings.maxNewTokens));
    return await Promise.all(
      sequences.map(async (ids, i) => {
        const prompt = this.#parts.encoder ? [this.#decoderStart()] : [...ids];
        const written =
          watching === 'each token'
            ? await WrittenText.after(this.#tokenizer(), prompt, settings.stop)
            : undefined;
        const maxNewTokens = limits[i] as number;
        return {
          prompt,
          maxNewTokens,
          promptTokens: ids.length,
          search: this.#search(settings, maxNewTokens, written),
          seed: settings.sampling.seeds[i] as number,
          ...(written && { written }),
          ...(this.#parts.encoder && { source: ids }),
        };
      }),
    );
  }

  /** The most new tokens after these; less than was asked for where the model's length ends before. */
  #limit({ length }: Int32Array, index: number, asked: number | undefined): number {
    const { encoder, decoder, config } = this.#parts;
    if (!encoder) {
      const wanted = asked ?? config.maxNewTokens ?? DEFAULT_NEW_TOKENS;
      return Math.min(wanted, roomAfter(index, length, decoder.maxLength));
    }
    checkSource(index, length, encoder.maxLength);
    const fromLength = config.maxLength === undefined ? undefined : config.maxLength - 1;
    const wanted = asked ?? config.maxNewTokens ?? fromLength ?? DEFAULT_NEW_TOKENS;
    return Math.max(1, Math.min(wanted, decoder.maxLength - 1));
  }

  #decoderStart(): number {
    const { config, folder } = this.#parts;
    if (config.decoderStart !== undefined) return config.decoderStart;
    throw invalid(folder, 'no decoder_start_token_id', 'one in generation_config.json');
  }

  #search(settings: GenerationSettings, maxNewTokens: number, written: WrittenText | undefined) {
    const limits = { eos: this.#parts.config.eos, maxNewTokens };
    if (settings.beam) return new BeamSearch({ ...limits, ...settings.beam });
    return new SingleSearch(limits, written && ((token) => written.push(token)));
  }

  /** Runs all searches to their ends. @returns bytes of the cache */
  async #run(tasks: readonly TextTask[], settings: GenerationSettings): Promise<number> {
    if (tasks.length === 0) return 0;
    const runner = this.#runner(tasks, settings);
    try {
      while (await runner.step());
      return runner.cacheBytes;
    } finally {
      runner.dispose();
    }
  }

  #runner(tasks: readonly TextTask[], { beam, sampling, signal }: GenerationSettings): Runner {
    const { decoder, encoder, config, maxCacheBytes } = this.#parts;
    const parts = {
      decoder,
      rules: this.#rules,
      running: this.running,
      ...(encoder && {
        encode: (sources: readonly Int32Array[]) => encoder.run(sources, this.running, signal),
      }),
    };
    const choosing = beam
      ? { rows: beam.beams, by: { width: beamWidth(beam.beams, config.eos.length) } }
      : { rows: 1, by: sampling };
    return new Runner(parts, tasks, choosing, { maxCacheBytes, signal });
  }

  async #generation(task: TextTask, cacheBytes: number): Promise<Generation> {
    const { tokens, finishReason, score } = task.search.found;
    const usage = { promptTokens: task.promptTokens, newTokens: tokens.length, cacheBytes };
    const verdict = await task.written?.end();
    return {
      text: task.written?.text ?? (await this.#textAfter(task.prompt, tokens)),
      tokens: [...tokens],
      finishReason: verdict === 'stop' ? 'stop' : finishReason,
      ...(score !== undefined && { score }),
      usage,
    };
  }

  /** The prompt is decoded too: how a token looks may depend on the one before it. */
  async #textAfter(prompt: readonly number[], tokens: readonly number[]): Promise<string> {
    const tokenizer = this.#tokenizer();
    const before = await tokenizer.decode(prompt, 'skip');
    return addedText(before, await tokenizer.decode([...prompt, ...tokens], 'skip'));
  }
}
