/** The lines of a byte stream, one at a time, so that an input of any size needs the memory of one line. */

import { MultiheadError } from '../errors';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** Longer than any text that a model reads; a stream without line ends must not fill the memory. */
const MOST_LINE_BYTES = 16 * 1024 * 1024;

/**
 * Yields each line without its end, `\n` or `\r\n`. Other separators that Unicode knows stay in the text. An empty
 * line is an empty text; a last line needs no end.
 *
 * @throws MultiheadError INVALID_ARGUMENT: a line that is not UTF-8, or longer than 16 MiB.
 */
export async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let number = 1;
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      yield decode([...parts, chunk.subarray(start, end)], number);
      parts = [];
      partBytes = 0;
      number += 1;
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    partBytes += chunk.length - start;
    if (partBytes > MOST_LINE_BYTES) throw lineError(number, `more than ${MOST_LINE_BYTES} bytes`);
  }
  if (partBytes > 0) yield decode(parts, number);
}

/**
 * Texts given as arguments, else the lines of standard input.
 *
 * @param command for the message
 * @throws MultiheadError INVALID_ARGUMENT: neither, as standard input is a terminal
 */
export function textsOrLines(
  command: string,
  texts: readonly string[],
): Iterable<string> | AsyncIterable<string> {
  if (texts.length > 0) return texts;
  if (!process.stdin.isTTY) return linesOf(process.stdin);
  throw new MultiheadError('INVALID_ARGUMENT', {
    where: command,
    got: 'no text',
    expected: 'texts as arguments or as lines on standard input',
  });
}

/** As many texts at once as `size`; the last group may be smaller. */
export async function* groupsOf(texts: Iterable<string> | AsyncIterable<string>, size: number) {
  let group: string[] = [];
  for await (const text of texts) {
    group.push(text);
    if (group.length < size) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

function decode(parts: readonly Uint8Array[], number: number): string {
  const bytes = Buffer.concat(parts);
  const line = bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
  try {
    // Only the stream's first bytes can be a byte order mark.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: number > 1 }).decode(line);
  } catch {
    throw lineError(number, 'bytes that are not UTF-8');
  }
}

function lineError(number: number, got: string): MultiheadError {
  return new MultiheadError('INVALID_ARGUMENT', {
    where: `standard input, line ${number}`,
    got,
    expected: 'one text in UTF-8',
  });
}
