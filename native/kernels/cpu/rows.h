// Rows copied from and to places that a list names: gather and scatter.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vec.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

constexpr int64_t kRowsPerTask = 16;

inline void copy_row(const float* from, int64_t n, float* to) {
  for_lanes(n,
            [&](int64_t i, int lanes) { store_lanes(to + i, load_lanes(from + i, lanes), lanes); });
}

inline void gather_op(ops::Executor& executor, const ops::GatherArgs& args) {
  parallel_blocks(executor, args.out.rows, kRowsPerTask, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      copy_row(args.x.f32_row(args.rows[r]), args.x.columns, args.out.f32_row(r));
    }
  });
}

inline void scatter_op(ops::Executor& executor, const ops::ScatterArgs& args) {
  parallel_blocks(executor, args.x.rows, kRowsPerTask, [&](int64_t first, int64_t last) {
    for (int64_t m = first; m < last; ++m) {
      copy_row(args.x.f32_row(m), args.x.columns, args.out.f32_row(args.rows[m]));
    }
  });
}

}  // namespace
}  // namespace multihead::cpu
