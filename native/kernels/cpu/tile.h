// The register tile that every matrix product here is made of.
//
// A tile is kRows x kVecs accumulators: rows of `a` are broadcast, `b` is a panel whose consecutive
// k lie kPanel floats apart. One accumulator an element and k in order: an element's bits do not
// depend on the size of the tile that it falls into.
#pragma once

#include "kernels/cpu/vec.h"

namespace multihead::cpu {
namespace {

constexpr int64_t kPanel = kTileVecs * kLanes;

// acc[r][v] += sum_k a[r * row_stride + k * k_stride] * panel[k * kPanel + v * kLanes ...]
template <int kRows, int kVecs>
inline void multiply_tile(const float* a, int64_t row_stride, int64_t k_stride, const float* panel,
                          int64_t k_count, Vec (&acc)[kRows][kVecs]) {
  for (int64_t k = 0; k < k_count; ++k) {
    Vec b[kVecs];
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) b[v] = load(panel + k * kPanel + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec x = broadcast(a[r * row_stride + k * k_stride]);
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v) acc[r][v] = fma(x, b[v], acc[r][v]);
    }
  }
}

// A number known to the compiler, as an argument.
template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls body(Constant<n>{}) for n in [1, kMost].
template <int kMost, typename Body>
inline void with_constant(int n, Body body) {
  if constexpr (kMost > 1) {
    if (n != kMost) return with_constant<kMost - 1>(n, body);
  }
  body(Constant<kMost>{});
}

// Splits `count` rows into tiles: body(first row, Constant<rows>).
template <typename Body>
inline void for_row_tiles(int64_t count, Body body) {
  int64_t row = 0;
  for (; row + kTileRows <= count; row += kTileRows) body(row, Constant<kTileRows>{});
  if (row < count) {
    with_constant<kTileRows>(static_cast<int>(count - row), [&](auto rows) { body(row, rows); });
  }
}

}  // namespace
}  // namespace multihead::cpu
