import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SentenceEncoder } from '../../lib/index';
import { multihead, parsed, program, tinyModel } from './run';

const TEXTS = ['A first sentence.', 'Naïve café 猫', '', 'a\u2028b', 'x '.repeat(50)];
const embed = (args: readonly string[], input?: string) =>
  multihead(['embed', '--model', tinyModel, ...args], { input });

async function expected(options = {}): Promise<Float32Array[]> {
  const model = await SentenceEncoder.load(tinyModel);
  try {
    const vectors = await model.encode(TEXTS, options);
    return TEXTS.map((_, i) => Float32Array.from(vectors.at(i)));
  } finally {
    await model.dispose();
  }
}

const vectorsOf = (stdout: string) =>
  parsed(stdout).map(({ embedding }) => Float32Array.from(embedding));

test('texts from arguments and from lines give the same vectors as the library, to the bit', async () => {
  const fromArguments = await embed(TEXTS);
  const fromLines = await embed([], `${TEXTS.join('\n')}\n`);
  expect(fromArguments).toMatchObject({ code: 0, stderr: '' });
  expect(vectorsOf(fromArguments.stdout)).toEqual(await expected());
  expect(fromLines.stdout).toBe(fromArguments.stdout);
});

test('order and index go through batches', async () => {
  const { stdout } = await embed(['--batch', '2'], `${TEXTS.join('\n')}\n`);
  expect(parsed(stdout).map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
  expect(vectorsOf(stdout)).toEqual(await expected());
});

test('--normalize, --no-normalize and --max-length reach the library', async () => {
  expect(vectorsOf((await embed(['--normalize', ...TEXTS])).stdout)).toEqual(
    await expected({ normalize: true }),
  );
  expect(vectorsOf((await embed(['--no-normalize', ...TEXTS])).stdout)).toEqual(
    await expected({ normalize: false }),
  );
  const short = vectorsOf((await embed(['--max-length', '5', ...TEXTS])).stdout);
  expect(short).toEqual(await expected({ maxLength: 5 }));
  expect(short).not.toEqual(await expected());
});

test('--threads changes no bit', async () => {
  expect((await embed(['--threads', '1', ...TEXTS])).stdout).toBe((await embed(TEXTS)).stdout);
});

test('no line, no output', async () => {
  expect(await embed([], '')).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('what was encoded before a bad line is written; then comes the error', async () => {
  const input = Buffer.concat([Buffer.from('good\nalso good\n'), Buffer.from([0xff, 0x0a])]);
  const args = ['embed', '--model', tinyModel, '--batch', '1'];
  const { code, stdout, stderr } = await multihead(args, { input });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^multihead: INVALID_ARGUMENT: standard input, line 3: .*UTF-8\n$/);
  expect(parsed(stdout)).toHaveLength(2);
});

test('an endless input is streamed, and a reader that leaves is no failure', async () => {
  const command = `yes "a text" | "$NODE" "$PROGRAM" embed -m "$MODEL" --batch 64 | head -n 200 | wc -l; echo "\${PIPESTATUS[1]}"`;
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', command], {
    env: { ...process.env, NODE: process.execPath, PROGRAM: program, MODEL: tinyModel },
  });
  expect({ output: stdout.split('\n').map(Number), stderr }).toEqual({
    output: [200, 0, 0],
    stderr: '',
  });
});
