/** How builders name the weights of a block, and the norms that blocks have. */

import { checkBoolean, checkLiteral, checkString, optional } from './check';
import type { LinearSpec, NormSpec } from './plan';

/** Where a block stands. */
export interface Place {
  /** Index among the plan's blocks. */
  readonly index: number;
  /** Columns of the stream that enters the block; the plan's width for the first one. */
  readonly columns: number;
}

export interface NormOptions {
  /** Default: 'layer'. */
  readonly normKind?: 'layer' | 'rms';
  /** Added to the variance (or the mean square). Default: 1e-5. */
  readonly epsilon?: number;
}

/** Where norms stand in a block with a residual: BERT's is 'after', most later models' 'before'. */
export type NormPlacement = 'before' | 'after' | 'both' | 'none';

/** Names of weights: `prefix.part`, the prefix being the block's name or its place. */
export class Names {
  readonly #prefix: string;

  constructor(name: unknown, { index }: Place) {
    const where = `plan.blocks[${index}].name`;
    this.#prefix = optional(name, (given) => checkString(where, given)) ?? `blocks.${index}`;
  }

  ref(part: string) {
    return { tensor: `${this.#prefix}.${part}` };
  }

  linear(part: string, bias: unknown = true): LinearSpec {
    const weight = this.ref(`${part}.weight`);
    return checkBoolean('bias', bias) ? { weight, bias: this.ref(`${part}.bias`) } : { weight };
  }

  /** A norm of any kind; 'l2' has no weights. */
  normOf(part: string, kind: 'layer' | 'rms' | 'l2', epsilon?: number): NormSpec {
    if (kind === 'l2') return { kind, epsilon: epsilon ?? 1e-12 };
    return this.norm(part, { normKind: kind, epsilon });
  }

  norm(part: string, { normKind = 'layer', epsilon = 1e-5 }: NormOptions): NormSpec {
    const gain = this.ref(`${part}.gain`);
    checkLiteral('normKind', normKind, ['layer', 'rms']);
    if (normKind === 'rms') return { kind: 'rms', epsilon, gain };
    return { kind: 'layer', epsilon, gain, bias: this.ref(`${part}.bias`) };
  }

  norms(options: NormOptions & { readonly norm?: NormPlacement }) {
    const { norm = 'after' } = options;
    checkLiteral('norm', norm, ['before', 'after', 'both', 'none']);
    const before = norm === 'before' || norm === 'both';
    const after = norm === 'after' || norm === 'both';
    return {
      ...(before && { normBefore: this.norm('normBefore', options) }),
      ...(after && { normAfter: this.norm('normAfter', options) }),
    };
  }
}
