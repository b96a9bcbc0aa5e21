// Pooling of the rows of each sequence: weighted sum or maximum.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vec.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

inline void pool_op(ops::Executor& executor, const ops::PoolArgs& args) {
  parallel_for(executor, args.sequences, [&](int64_t b, int) {
    const int64_t first = args.offsets[b], last = args.offsets[b + 1];
    float* out = args.out.f32_row(b);
    for_lanes(args.x.columns, [&](int64_t i, int lanes) {
      Vec pooled = zero();
      for (int64_t t = first; t < last; ++t) {
        const Vec x = load_lanes(args.x.f32_row(t) + i, lanes);
        if (args.kind == ops::PoolKind::kWeightedSum) {
          pooled = fma(broadcast(args.weights[t]), x, pooled);
        } else {
          pooled = t == first ? x : larger(pooled, x);
        }
      }
      store_lanes(out + i, pooled, lanes);
    });
  });
}

}  // namespace
}  // namespace multihead::cpu
