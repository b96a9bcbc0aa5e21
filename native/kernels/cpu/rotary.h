// Rotary positions: pairs of a head's columns turned by angles that the rows of a table give.
//
// A pair's products are rounded before they are subtracted or added only where the instruction set
// has no fused multiply-add; either way a row's bits depend on nothing but the row.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vec.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

// (a, b) -> (a cos - b sin, b cos + a sin)
inline void turn(Vec& a, Vec& b, Vec cosine, Vec sine) {
  const Vec turned = fma(negate(b), sine, mul(a, cosine));
  b = fma(a, sine, mul(b, cosine));
  a = turned;
}

// Pairs (x[i], x[i + pairs]).
inline void turn_halves(float* x, const float* angles, int64_t pairs) {
  for_lanes(pairs, [&](int64_t i, int lanes) {
    Vec a = load_lanes(x + i, lanes), b = load_lanes(x + pairs + i, lanes);
    turn(a, b, load_lanes(angles + i, lanes), load_lanes(angles + pairs + i, lanes));
    store_lanes(x + i, a, lanes);
    store_lanes(x + pairs + i, b, lanes);
  });
}

// Pairs (x[2i], x[2i + 1]), parted by way of two short arrays.
inline void turn_neighbours(float* x, const float* angles, int64_t pairs) {
  for_lanes(pairs, [&](int64_t i, int lanes) {
    float first[kLanes] = {}, second[kLanes] = {};
    float* pair = x + 2 * i;
    for (int lane = 0; lane < lanes; ++lane) {
      first[lane] = pair[2 * lane];
      second[lane] = pair[2 * lane + 1];
    }
    Vec a = load(first), b = load(second);
    turn(a, b, load_lanes(angles + i, lanes), load_lanes(angles + pairs + i, lanes));
    store(first, a);
    store(second, b);
    for (int lane = 0; lane < lanes; ++lane) {
      pair[2 * lane] = first[lane];
      pair[2 * lane + 1] = second[lane];
    }
  });
}

inline void rotary_op(ops::Executor& executor, const ops::RotaryArgs& args) {
  constexpr int64_t kTokensPerTask = 16;
  const int64_t pairs = args.angles.columns / 2;
  parallel_blocks(executor, args.x.rows, kTokensPerTask, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      const float* angles = args.angles.f32_row(t);
      for (int64_t head = 0; head < args.heads; ++head) {
        float* x = args.x.f32_row(t) + head * args.head_dim;
        if (args.pairs == ops::RotaryPairs::kHalves) {
          turn_halves(x, angles, pairs);
        } else {
          turn_neighbours(x, angles, pairs);
        }
      }
    }
  });
}

}  // namespace
}  // namespace multihead::cpu
