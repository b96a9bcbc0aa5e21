/**
 * Searches against transformers over the same table (test/parity/oracle/search.py): beams with their rankings and
 * endings, forced and banned tokens, minimum lengths, n-grams.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readGenerationConfig } from '../../../lib/generation/config';
import { Config } from '../../../lib/json';
import { modelOf } from './run';
import type { Table } from './table-model';

interface Case {
  readonly config: { readonly num_beams: number; readonly max_new_tokens: number };
  readonly prompt: number[];
  readonly tokens: number[];
  readonly score?: number;
}

const GOLDEN: (Table & { readonly cases: Case[] })[] = JSON.parse(
  readFileSync(join(__dirname, '../../parity/golden/search/golden.json'), 'utf8'),
);

/** Cases that differ in the prompt only, which one call can answer. */
function groupsOf(cases: readonly Case[]): Case[][] {
  const groups = new Map<string, Case[]>();
  for (const each of cases) {
    const key = JSON.stringify(each.config);
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()];
}

describe.each(GOLDEN.map((table, i) => [i, table] as const))('table %i', (_, table) => {
  test.each(
    groupsOf(table.cases).map((cases) => [JSON.stringify(cases[0]?.config), cases] as const),
  )('%s', async (_name, cases) => {
    const { config } = cases[0] as Case;
    const settings = await readGenerationConfig('.', new Config('golden', { ...config }));
    const { model, log } = modelOf(table, { config: settings });
    const options = {
      maxNewTokens: config.max_new_tokens,
      ...(config.num_beams > 1 && { beams: config.num_beams }),
    };
    const together = await model.generateTokens(
      cases.map(({ prompt }) => prompt),
      options,
    );
    expect(together.tokens).toEqual(cases.map(({ tokens }) => tokens));
    cases.forEach(({ score }, i) => {
      if (score !== undefined) expect(together.scores?.[i]).toBeCloseTo(score, 4);
    });
    for (const [i, { prompt }] of cases.entries()) {
      const alone = await model.generateTokens(prompt, options);
      expect(alone.tokens[0]).toEqual(together.tokens[i]);
      expect(alone.finishReasons[0]).toBe(together.finishReasons[i]);
    }
    expect(log.openCaches).toBe(0);
  });
});
