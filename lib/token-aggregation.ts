/**
 * Labels of tokens to entities: words first if asked for, then neighbours of one kind (BIO: Ramshaw & Marcus 1995).
 *
 * Follows transformers 5 (TokenClassificationPipeline), its rule for what is inside a word included.
 */

import { topOf } from './labels';
import { codePoints, type Span } from './text-offsets';

/**
 * 'none': each token. 'simple': neighbours of one kind. The others first let the tokens of a word agree: 'first' by its
 * first token, 'max' by the one with the highest score, 'average' by the mean of the scores.
 */
export type Aggregation = 'none' | 'simple' | 'first' | 'average' | 'max';

/** A token of a text, special ones left out. */
export interface LabelledToken {
  /** Its string, with the tokenizer's marks. */
  readonly token: string;
  /** Among all tokens of the sequence. */
  readonly index: number;
  readonly span: Span;
  /** One for each label. */
  readonly scores: ArrayLike<number>;
  readonly isInsideWord: boolean;
}

export interface Entity {
  /** With 'none' as the model has it; else its kind, without B- or I-. */
  readonly label: string;
  readonly score: number;
  /** The tokens as text. `text.slice(start, end)` is what stands there. */
  readonly word: string;
  /** In UTF-16 units of the JavaScript string. */
  readonly start: number;
  readonly end: number;
  /** With 'none': the token's place in the sequence, special tokens counted. */
  readonly index?: number;
}

/** What of a tokenizer is needed here. */
export interface TokenJoiner {
  join(tokens: readonly string[]): string;
}

interface Labelled {
  readonly label: string;
  readonly score: number;
  readonly word: string;
  readonly span: Span;
}

export function entitiesOf(
  tokens: readonly LabelledToken[],
  labels: readonly string[],
  aggregation: Aggregation,
  tokenizer: TokenJoiner,
): Entity[] {
  if (aggregation === 'none') {
    return tokens.map((token) => ({
      ...entity(labelled(token.scores, labels, token.token, token.span)),
      index: token.index,
    }));
  }
  const parts =
    aggregation === 'simple'
      ? tokens.map(({ token, span, scores }) => labelled(scores, labels, token, span))
      : wordsOf(tokens).map((word) => {
          const text = tokenizer.join(word.map(({ token }) => token));
          return labelled(scoresOfWord(word, aggregation), labels, text, spanOf(word));
        });
  return grouped(parts).map((group) => merged(group, tokenizer));
}

function entity({ span: [start, end], ...rest }: Labelled): Entity {
  return { ...rest, start, end };
}

function labelled(
  scores: ArrayLike<number>,
  labels: readonly string[],
  word: string,
  span: Span,
): Labelled {
  const best = topOf(scores, 1)[0] as number;
  return { label: labels[best] as string, score: scores[best] as number, word, span };
}

function wordsOf(tokens: readonly LabelledToken[]): LabelledToken[][] {
  const words: LabelledToken[][] = [];
  for (const token of tokens) {
    const word = words.at(-1);
    if (word && token.isInsideWord) word.push(token);
    else words.push([token]);
  }
  return words;
}

function scoresOfWord(
  word: readonly LabelledToken[],
  aggregation: 'first' | 'average' | 'max',
): ArrayLike<number> {
  const all = word.map(({ scores }) => scores);
  if (aggregation === 'first') return all[0] as ArrayLike<number>;
  if (aggregation === 'max') {
    const best = topOf(
      all.map((scores) => Math.max(...Array.from(scores))),
      1,
    );
    return all[best[0] as number] as ArrayLike<number>;
  }
  return Array.from(all[0] as ArrayLike<number>, (_, label) => mean(all.map((s) => s[label] ?? 0)));
}

/** A new group where the kind changes or a B- begins. */
function grouped(parts: readonly Labelled[]): Labelled[][] {
  const groups: Labelled[][] = [];
  for (const part of parts) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    const goesOn = last && !part.label.startsWith('B-') && kindOf(part) === kindOf(last);
    if (group && goesOn) group.push(part);
    else groups.push([part]);
  }
  return groups;
}

/** Only B- and I- are marks; a label without one is its own kind. */
function kindOf({ label }: Labelled): string {
  return /^[BI]-/.test(label) ? label.slice(2) : label;
}

function merged(group: readonly Labelled[], tokenizer: TokenJoiner): Entity {
  const { label } = group[0] as Labelled;
  const [start, end] = spanOf(group);
  return {
    // The name after the first dash, whatever stands before it.
    label: label.slice(label.indexOf('-') + 1),
    score: mean(group.map(({ score }) => score)),
    word: tokenizer.join(group.map(({ word }) => word)),
    start,
    end,
  };
}

function spanOf(parts: readonly { readonly span: Span }[]): Span {
  return [(parts[0] as { span: Span }).span[0], (parts.at(-1) as { span: Span }).span[1]];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Whether a token goes on with the word before it.
 *
 * @param marksSubwords whether the tokenizer marks such tokens, so that they are longer than what they stand for
 */
export function isInsideWord(
  text: string,
  token: string,
  [start, end]: Span,
  marksSubwords: boolean,
): boolean {
  if (marksSubwords) return codePoints(token) !== codePoints(text.slice(start, end));
  return start > 0 && !text.slice(start - 1, start + 1).includes(' ');
}
