// Layer, RMS and L2 norm of rows, with an optional residual.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vec.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

inline float row_sum(const float* x, int64_t n) {
  Vec total = zero();
  for_lanes(n, [&](int64_t i, int lanes) { total = add(total, load_lanes(x + i, lanes)); });
  return sum(total);
}

// The sums of x - center and of its square.
struct Moments {
  float first;
  float second;
};
inline Moments row_moments(const float* x, int64_t n, float center) {
  const Vec c = broadcast(center);
  Vec first = zero(), second = zero();
  for_lanes(n, [&](int64_t i, int lanes) {
    Vec distance = sub(load_lanes(x + i, lanes), c);
    if (lanes < kLanes) distance = keep_first(distance, lanes);
    first = add(first, distance);
    second = fma(distance, distance, second);
  });
  return {sum(first), sum(second)};
}

// out = (x - center - rest) * factor * gain + bias
inline void row_affine(const float* x, int64_t n, float center, float rest, float factor,
                       const ops::Norm& norm, float* out) {
  const Vec c = broadcast(center), r = broadcast(rest), f = broadcast(factor);
  for_lanes(n, [&](int64_t i, int lanes) {
    Vec y = mul(sub(sub(load_lanes(x + i, lanes), c), r), f);
    if (norm.gain != nullptr) y = mul(y, load_lanes(norm.gain + i, lanes));
    if (norm.bias != nullptr) y = add(y, load_lanes(norm.bias + i, lanes));
    store_lanes(out + i, y, lanes);
  });
}

// `out` may be `x`.
inline void norm_row(const float* x, int64_t n, const ops::Norm& norm, float* out) {
  const float count = static_cast<float>(n);
  switch (norm.kind) {
    case ops::NormKind::kNone:
      if (out != x) {
        for_lanes(n, [&](int64_t i, int lanes) {
          store_lanes(out + i, load_lanes(x + i, lanes), lanes);
        });
      }
      return;
    case ops::NormKind::kLayer: {
      // The mean rounds by up to half an ulp of its own size, which is much where the row is far
      // from zero: the second pass measures what is left of it.
      const float center = row_sum(x, n) / count;
      const Moments moments = row_moments(x, n, center);
      const float rest = moments.first / count;
      const float variance = moments.second / count - rest * rest;
      const float factor = 1.0f / __builtin_sqrtf(variance + norm.epsilon);
      return row_affine(x, n, center, rest, factor, norm, out);
    }
    case ops::NormKind::kRms: {
      const float mean_square = row_moments(x, n, 0).second / count;
      return row_affine(x, n, 0, 0, 1.0f / __builtin_sqrtf(mean_square + norm.epsilon), norm, out);
    }
    case ops::NormKind::kL2: {
      const float length = __builtin_sqrtf(row_moments(x, n, 0).second);
      const float divisor = length < norm.epsilon ? norm.epsilon : length;
      return row_affine(x, n, 0, 0, 1.0f / divisor, norm, out);
    }
  }
}

inline void norm_op(ops::Executor& executor, const ops::NormArgs& args) {
  // Blocks of about 16 KiB: long enough to pay for the hand-out, short enough to balance.
  const int64_t n = args.x.columns, part = n / args.groups;
  const int64_t block = n >= 4096 ? 1 : 4096 / (n > 0 ? n : 1);
  parallel_blocks(executor, args.x.rows, block, [&](int64_t first, int64_t last) {
    for (int64_t m = first; m < last; ++m) {
      const float* x = args.x.f32_row(m);
      float* out = args.out.f32_row(m);
      if (args.residual.data != nullptr) {
        const float* residual = args.residual.f32_row(m);
        for_lanes(n, [&](int64_t i, int lanes) {
          store_lanes(out + i, add(load_lanes(x + i, lanes), load_lanes(residual + i, lanes)),
                      lanes);
        });
        x = out;
      }
      for (int64_t i = 0; i < n; i += part) norm_row(x + i, part, args.norm, out + i);
    }
  });
}

}  // namespace
}  // namespace multihead::cpu
