import { linesOf } from '../../lib/cli/lines';

async function* streamOf(chunks: readonly (string | Uint8Array)[]) {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function lines(...chunks: (string | Uint8Array)[]): Promise<string[]> {
  const found: string[] = [];
  for await (const line of linesOf(streamOf(chunks))) found.push(line);
  return found;
}

test.each<[string, string[], string[]]>([
  ['nothing', [], []],
  ['a last line without its end', ['a\nb'], ['a', 'b']],
  ['a last line with its end', ['a\nb\n'], ['a', 'b']],
  ['empty lines, which are empty texts', ['\n\na\n'], ['', '', 'a']],
  ['both line ends', ['a\r\nb\nc\r\n'], ['a', 'b', 'c']],
  ['a line end cut between chunks', ['a\r', '\nb'], ['a', 'b']],
  ['a line in many chunks', ['a', 'b', '', 'c\n', 'd'], ['abc', 'd']],
  ['separators that are part of a text', ['a\u2028b\u0085c\rd\n'], ['a\u2028b\u0085c\rd']],
  ['a byte order mark at the start alone', ['\ufeffa\n\ufeffb\n'], ['a', '\ufeffb']],
])('%s', async (_, chunks, expected) => {
  expect(await lines(...chunks)).toEqual(expected);
});

test('a character cut between chunks is whole again', async () => {
  const bytes = Buffer.from('né\n');
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    expect(await lines(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual(['né']);
  }
});

test('bytes that are not UTF-8 are refused with their line', async () => {
  await expect(lines('fine\n', new Uint8Array([0x61, 0xff, 0x0a]))).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: { where: 'standard input, line 2' },
  });
});

test('a stream without line ends is refused before it fills the memory', async () => {
  let chunks = 0;
  async function* endless() {
    for (;;) {
      chunks += 1;
      yield Buffer.alloc(1 << 20, 'a');
    }
  }
  await expect(linesOf(endless()).next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(chunks).toBeLessThan(20);
});

test('nothing is read before it is asked for', async () => {
  let chunks = 0;
  async function* endless() {
    for (;;) {
      chunks += 1;
      yield Buffer.from('a\nb\n');
    }
  }
  const reader = linesOf(endless());
  for (let taken = 0; taken < 4; taken += 1) await reader.next();
  expect(chunks).toBe(2);
  await reader.return(undefined);
});
