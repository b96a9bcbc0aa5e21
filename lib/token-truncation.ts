/**
 * Which tokens of a text or a pair stay when it is too long: the special ones always, of a pair the longer text loses
 * first ('longest_first', Python's default).
 */

/** Which end of a text is kept. */
export type Keeps = 'begin' | 'end';

/**
 * @param sequence for each token the text that it comes from, 0 or 1; null: a special token
 * @param maxLength the most tokens, special ones included
 * @returns indices of the tokens that stay, ascending
 */
export function keptTokens(
  sequence: readonly (number | null | undefined)[],
  maxLength: number,
  keeps: Keeps,
): number[] {
  const all = sequence.map((_, i) => i);
  if (all.length <= maxLength) return all;
  const of = (text: number) => all.filter((i) => sequence[i] === text);
  const [first, second] = [of(0), of(1)];
  const special = all.length - first.length - second.length;
  const room = Math.max(0, maxLength - special);
  const [firstRoom, secondRoom] = shareRoom(first.length, second.length, room);
  const dropped = new Set([...cut(first, firstRoom, keeps), ...cut(second, secondRoom, keeps)]);
  return all.filter((i) => !dropped.has(i));
}

/** The shorter text stays whole up to half of the room; an odd token goes to the longer one, or to the second. */
function shareRoom(first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second, Math.floor(room / 2));
  return first <= second ? [shorter, room - shorter] : [room - shorter, shorter];
}

/** The tokens of a text that do not fit. */
function cut(tokens: readonly number[], room: number, keeps: Keeps): readonly number[] {
  const surplus = Math.max(0, tokens.length - room);
  return keeps === 'begin' ? tokens.slice(tokens.length - surplus) : tokens.slice(0, surplus);
}
