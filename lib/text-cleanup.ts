/**
 * The cleaning of spaces that Python's tokenizers do after decoding where tokenizer_config.json asks for it
 * (clean_up_tokenization_spaces): none before punctuation and English contractions.
 */

/** In this order, each over the whole text. */
const CLEANINGS: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

export function cleanSpaces(text: string): string {
  return CLEANINGS.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text);
}

/**
 * How much of a text is cleaned alike whatever follows: up to its last space, as every cleaning starts with one,
 * unless that space may be the end of a quote between spaces.
 */
export function settledLength(text: string): number {
  for (let i = text.lastIndexOf(' '); i > 0; i = text.lastIndexOf(' ', i - 1)) {
    if (!text.endsWith(" '", i)) return i;
  }
  return 0;
}
