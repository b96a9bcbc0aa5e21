/**
 * Beam search (Graves 2012, arXiv:1211.3711; length normalization as in Wu et al. 2016, arXiv:1609.08144, section 7).
 *
 * Which candidates finish, which go on and when it ends follows transformers 5 (GenerationMixin._beam_search), sums in
 * single precision included: of `width` candidates, twice the beams with one end of text, only those among the first
 * `beams` may finish; the others are there so that enough go on.
 */

import { MultiheadError } from '../errors';
import type { BeamSettings } from './options';
import type { Choices, Continuation, Found, Search } from './search';

export interface BeamLimits extends BeamSettings {
  readonly eos: readonly number[];
  readonly maxNewTokens: number;
}

interface Beam {
  readonly tokens: readonly number[];
  /** Sum of log probabilities. */
  readonly score: number;
}

interface Candidate extends Continuation {
  readonly score: number;
}

interface Hypothesis {
  readonly tokens: readonly number[];
  readonly score: number;
}

/** Candidates that each step considers, and so the most that are needed of one row. */
export function beamWidth(beams: number, ends: number): number {
  return Math.max(2, 1 + ends) * beams;
}

export class BeamSearch implements Search {
  readonly #limits: BeamLimits;
  readonly #width: number;
  #beams: readonly Beam[] = [{ tokens: [], score: 0 }];
  /** At most as many as beams, best first. */
  #finished: readonly Hypothesis[] = [];

  constructor(limits: BeamLimits) {
    this.#limits = limits;
    this.#width = beamWidth(limits.beams, limits.eos.length);
  }

  get rows(): readonly (readonly number[])[] {
    return this.#beams.map(({ tokens }) => tokens);
  }

  async advance(choices: readonly Choices[]): Promise<readonly Continuation[]> {
    const { beams } = this.#limits;
    const candidates = this.#candidates(choices);
    const ends = candidates.map((candidate) => this.#ends(candidate));
    const finishing = candidates.filter((_, i) => ends[i] && i < beams);
    const going = candidates.filter((_, i) => !ends[i]).slice(0, beams);
    this.#finish(finishing);
    this.#beams = going.map((candidate) => ({
      tokens: this.#extended(candidate),
      score: candidate.score,
    }));
    return this.#mayImprove() ? going.map(({ parent, token }) => ({ parent, token })) : [];
  }

  get found(): Found {
    const [best] = this.#finished;
    if (!best) {
      const got = 'a search with beams that ended without a sequence';
      throw new MultiheadError('INTERNAL', { where: 'generate', got });
    }
    const ended = this.#limits.eos.includes(best.tokens.at(-1) as number);
    return { tokens: best.tokens, finishReason: ended ? 'eos' : 'length', score: best.score };
  }

  /** The best continuations of all rows, best first; of equal ones the earlier row's. */
  #candidates(choices: readonly Choices[]): Candidate[] {
    const candidates = choices.flatMap(({ tokens, logProbabilities }, parent) =>
      tokens.map((token, i) => ({
        parent,
        token,
        score: Math.fround((this.#beams[parent] as Beam).score + (logProbabilities[i] as number)),
      })),
    );
    return candidates.sort((a, b) => b.score - a.score).slice(0, this.#width);
  }

  #extended({ parent, token }: Continuation): number[] {
    return [...(this.#beams[parent] as Beam).tokens, token];
  }

  #ends({ parent, token }: Continuation): boolean {
    const { eos, maxNewTokens } = this.#limits;
    const length = (this.#beams[parent] as Beam).tokens.length + 1;
    return eos.includes(token) || length >= maxNewTokens;
  }

  #finish(candidates: readonly Candidate[]): void {
    const added = candidates.map((candidate) => {
      const tokens = this.#extended(candidate);
      return { tokens, score: this.#ranked(candidate.score, tokens.length) };
    });
    this.#finished = [...this.#finished, ...added]
      .sort((a, b) => b.score - a.score)
      .slice(0, this.#limits.beams);
  }

  #ranked(score: number, length: number): number {
    return Math.fround(score / Math.fround(length ** this.#limits.lengthPenalty));
  }

  /** Whether what goes on may come to rank among the finished. */
  #mayImprove(): boolean {
    const { beams, earlyStopping, lengthPenalty, maxNewTokens } = this.#limits;
    const [best] = this.#beams;
    if (!best) return false;
    if (this.#finished.length < beams) return true;
    if (earlyStopping === true) return false;
    const longest = earlyStopping === 'never' && lengthPenalty > 0;
    const length = longest ? maxNewTokens : best.tokens.length;
    return this.#ranked(best.score, length) > (this.#finished.at(-1) as Hypothesis).score;
  }
}
