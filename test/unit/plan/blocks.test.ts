/** The builders of plans: names, norm placements, defaults, and options that are refused. */

import { attention, embed, feedForward, norm, plan, pool, project } from '../../../lib/blocks';
import { planWeights } from '../../../lib/plan-weights';
import { errorOf } from '../../binding/support/errors';

const start = embed({ vocabulary: 10 });
const ref = (tensor: string) => ({ tensor });
const linearOf = (name: string) => ({ weight: ref(`${name}.weight`), bias: ref(`${name}.bias`) });
const normOf = (name: string) => ({
  kind: 'layer',
  epsilon: 1e-5,
  gain: ref(`${name}.gain`),
  bias: ref(`${name}.bias`),
});

test('defaults and names by place', () => {
  const built = plan({ width: 8 }, [
    start,
    attention({ heads: 4 }),
    feedForward(),
    norm(),
    pool(),
    norm({ kind: 'l2' }),
    project({ width: 3 }),
  ]);
  expect(built).toEqual({
    width: 8,
    blocks: [
      { block: 'embed', vocabulary: 10, tokens: ref('blocks.0.tokens') },
      {
        block: 'attention',
        heads: 4,
        headDim: 2,
        query: linearOf('blocks.1.query'),
        key: linearOf('blocks.1.key'),
        value: linearOf('blocks.1.value'),
        output: linearOf('blocks.1.output'),
        normAfter: normOf('blocks.1.normAfter'),
      },
      {
        block: 'feedForward',
        inner: 32,
        activation: 'gelu',
        up: linearOf('blocks.2.up'),
        down: linearOf('blocks.2.down'),
        normAfter: normOf('blocks.2.normAfter'),
      },
      { block: 'norm', norm: normOf('blocks.3.norm') },
      { block: 'pool', parts: ['weighted'] },
      { block: 'norm', norm: { kind: 'l2', epsilon: 1e-12 } },
      { block: 'project', width: 3, activation: 'identity', linear: linearOf('blocks.6.linear') },
    ],
  });
  expect(JSON.parse(JSON.stringify(built))).toEqual(built);
  expect(Object.isFrozen(built.blocks[1])).toBe(true);
});

test('every option arrives', () => {
  const built = plan({ width: 8 }, [
    embed({ vocabulary: 10, types: 2, positions: 6, scale: 3, norm: 'after', name: 'e' }),
    attention({
      ...{ heads: 2, keyHeads: 1, headDim: 5, scale: 0.5, mask: 'causal', window: 2, bias: false },
      ...{ norm: 'both', normKind: 'rms', epsilon: 1e-6, name: 'a' },
    }),
    feedForward({ inner: 7, activation: 'relu', bias: false, norm: 'none', name: 'f' }),
    norm({ kind: 'rms', epsilon: 0, name: 'n' }),
    pool({ parts: ['max', 'weighted'] }),
    project({ width: 3, activation: 'tanh', bias: false, name: 'p' }),
  ]);
  const rms = (name: string) => ({ kind: 'rms', epsilon: 1e-6, gain: ref(name) });
  expect(built.blocks).toEqual([
    {
      block: 'embed',
      vocabulary: 10,
      tokens: ref('e.tokens'),
      types: { table: ref('e.types'), count: 2 },
      positions: { kind: 'learned', table: ref('e.positions'), count: 6 },
      scale: 3,
      norm: normOf('e.norm'),
    },
    {
      ...{ block: 'attention', heads: 2, keyHeads: 1, headDim: 5, scale: 0.5, mask: 'causal' },
      window: 2,
      query: { weight: ref('a.query.weight') },
      key: { weight: ref('a.key.weight') },
      value: { weight: ref('a.value.weight') },
      output: { weight: ref('a.output.weight') },
      normBefore: rms('a.normBefore.gain'),
      normAfter: rms('a.normAfter.gain'),
    },
    {
      ...{ block: 'feedForward', inner: 7, activation: 'relu' },
      up: { weight: ref('f.up.weight') },
      down: { weight: ref('f.down.weight') },
    },
    { block: 'norm', norm: { kind: 'rms', epsilon: 0, gain: ref('n.norm.gain') } },
    { block: 'pool', parts: ['max', 'weighted'] },
    { block: 'project', width: 3, activation: 'tanh', linear: { weight: ref('p.linear.weight') } },
  ]);
});

test('sinusoidal positions have no table', () => {
  const { blocks } = plan({ width: 8 }, [embed({ vocabulary: 9, positions: { sinusoidal: 5 } })]);
  expect(blocks[0]).toMatchObject({ positions: { kind: 'sinusoidal', count: 5 } });
});

test.each([
  ['before', ['normBefore']],
  ['after', ['normAfter']],
  ['both', ['normBefore', 'normAfter']],
  ['none', []],
] as const)('norm %s', (placement, expected) => {
  const { blocks } = plan({ width: 8 }, [
    start,
    attention({ heads: 2, norm: placement }),
    feedForward({ norm: placement }),
  ]);
  for (const block of blocks.slice(1)) {
    expect(Object.keys(block).filter((key) => key.startsWith('norm'))).toEqual(expected);
  }
});

test('blocks of one name share their weights; one builder twice does not', () => {
  const layer = feedForward({ inner: 4, norm: 'none' });
  const shared = feedForward({ inner: 4, norm: 'none', name: 'ff' });
  const count = (blocks: Parameters<typeof plan>[1]) =>
    planWeights(plan({ width: 8 }, blocks)).length;
  expect(count([start, shared, shared])).toBe(5);
  expect(count([start, layer, layer])).toBe(9);
});

test('the stream has other columns after a project or a pool', () => {
  const { blocks } = plan({ width: 8 }, [
    start,
    project({ width: 6 }),
    attention({ heads: 3 }),
    pool({ parts: ['max', 'max'] }),
    feedForward(),
  ]);
  expect(blocks[2]).toMatchObject({ headDim: 2 });
  expect(blocks[4]).toMatchObject({ inner: 48 });
});

test('a block by hand stands among the others', () => {
  const byHand = { block: 'norm', norm: { kind: 'l2', epsilon: 0 } } as const;
  expect(plan({ width: 8 }, [start, byHand]).blocks[1]).toEqual(byHand);
});

const wrong = (value: unknown) => value as never;

test.each<[string, string, () => unknown]>([
  ['embed options', 'nothing', () => embed(wrong(undefined))],
  ['embed options.vocab', 'an unknown option', () => embed(wrong({ vocab: 3 }))],
  ['embed.types', 'types', () => embed({ vocabulary: 3, types: -1 })],
  ['embed.norm', 'a norm placement', () => embed({ vocabulary: 3, norm: wrong('before') })],
  [
    'plan.blocks[0].vocabulary',
    'a vocabulary',
    () => plan({ width: 8 }, [embed({ vocabulary: 0 })]),
  ],
  [
    'embed.positions',
    'positions',
    () => plan({ width: 8 }, [embed({ vocabulary: 3, positions: wrong('many') })]),
  ],
  ['attention options.head', 'an unknown option', () => attention(wrong({ head: 3 }))],
  [
    'plan.blocks[1].heads',
    'heads that do not divide',
    () => plan({ width: 8 }, [start, attention({ heads: 3 })]),
  ],
  ['plan.blocks[1].heads', 'no heads', () => plan({ width: 8 }, [start, attention(wrong({}))])],
  [
    'plan.blocks[1].keyHeads',
    'key heads',
    () => plan({ width: 8 }, [start, attention({ heads: 4, keyHeads: 3 })]),
  ],
  ['bias', 'a bias', () => plan({ width: 8 }, [start, attention({ heads: 4, bias: wrong(1) })])],
  ['norm', 'a norm', () => plan({ width: 8 }, [start, attention({ heads: 4, norm: wrong('x') })])],
  [
    'normKind',
    'a norm kind',
    () => plan({ width: 8 }, [start, feedForward({ normKind: wrong('l2') })]),
  ],
  ['plan.blocks[1].name', 'a name', () => plan({ width: 8 }, [start, feedForward({ name: '' })])],
  [
    'plan.blocks[1].inner',
    'an inner width',
    () => plan({ width: 8 }, [start, feedForward({ inner: -1 })]),
  ],
  ['norm.kind', 'a kind', () => norm({ kind: wrong('batch') })],
  [
    'plan.blocks[1].norm.epsilon',
    'an epsilon',
    () => plan({ width: 8 }, [start, norm({ epsilon: -1 })]),
  ],
  [
    'plan.blocks[1].width',
    'a width, before what follows',
    () => plan({ width: 8 }, [start, project({ width: wrong('x') }), attention({ heads: 4 })]),
  ],
  [
    'plan.blocks[1].parts[0]',
    'a part',
    () => plan({ width: 8 }, [start, pool({ parts: wrong(['mean']) })]),
  ],
  ['plan options.columns', 'an unknown option', () => plan(wrong({ columns: 8 }), [])],
  ['plan.width', 'no width', () => plan(wrong({}), [start])],
  ['plan.blocks', 'no list', () => plan({ width: 8 }, wrong(start))],
  ['plan.blocks', 'no blocks', () => plan({ width: 8 }, [])],
  [
    'plan.blocks[1]',
    'a function that gives no block',
    () => plan({ width: 8 }, [start, wrong(() => 7)]),
  ],
  ['plan.blocks[1].block', 'a promise', () => plan({ width: 8 }, [start, wrong(async () => 7)])],
  ['plan.blocks[0]', 'no embed', () => plan({ width: 8 }, [norm()])],
  ['plan.blocks[1]', 'a hole', () => plan({ width: 8 }, Object.assign([start], { length: 2 }))],
  [
    'plan.blocks[2]',
    'attention after a pool',
    () => plan({ width: 8 }, [start, pool(), attention({ heads: 2 })]),
  ],
])('%s is named: %s', async (where, _, f) => {
  const error = await errorOf(f);
  expect([error.code, error.details.where]).toEqual(['INVALID_ARGUMENT', where]);
});
