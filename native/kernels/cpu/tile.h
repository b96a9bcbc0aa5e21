// The register tile that every matrix product here is made of.
//
// A tile is kRows x kVecs accumulators: elements of `a` are broadcast, vectors of `b` are loaded.
// One accumulator an element and k in order: an element's bits do not depend on the size of the
// tile that it falls into, nor on where K was cut, as long as its accumulator is carried on.
#pragma once

#include "kernels/cpu/vec.h"

namespace multihead::cpu {
namespace {

constexpr int64_t kPanel = kTileVecs * kLanes;

// Element (r, k) lies at data[r * row_stride + k * k_stride].
struct TileRows {
  const float* data;
  int64_t row_stride;
  int64_t k_stride;
};

// Panels of kPanel columns: vector v of k begins at data[v / kTileVecs * panel_stride +
// v % kTileVecs * kLanes + k * k_stride].
struct TileColumns {
  const float* data;
  int64_t k_stride;
  int64_t panel_stride;
};

template <int kRows, int kVecs>
struct Tile {
  Vec at[kRows][kVecs];
};

template <int kRows, int kVecs>
inline void clear(Tile<kRows, kVecs>& tile) {
  for (auto& row : tile.at) {
    for (Vec& v : row) v = zero();
  }
}

// tile[r][v] += sum_k a(r, k) * b(k, v)
template <int kRows, int kVecs>
inline void multiply_add(const TileRows& a, const TileColumns& b, int64_t k_count,
                         Tile<kRows, kVecs>& tile) {
  const float* rows = a.data;
  const float* columns = b.data;
  Tile<kRows, kVecs> sums = tile;  // a copy that nothing else can see stays in registers
  for (int64_t k = 0; k < k_count; ++k, rows += a.k_stride, columns += b.k_stride) {
    Vec y[kVecs];
#pragma GCC unroll 32
    for (int v = 0; v < kVecs; ++v) {
      y[v] = load(columns + v / kTileVecs * b.panel_stride + v % kTileVecs * kLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec x = broadcast(rows[r * a.row_stride]);
#pragma GCC unroll 32
      for (int v = 0; v < kVecs; ++v) sums.at[r][v] = fma(x, y[v], sums.at[r][v]);
    }
  }
  tile = sums;
}

// tile *= factor, element by element
template <int kRows, int kVecs>
inline void multiply(const Tile<kRows, kVecs>& factor, Tile<kRows, kVecs>& tile) {
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) tile.at[r][v] = mul(factor.at[r][v], tile.at[r][v]);
  }
}

// Calls body(row, first column, lanes, vector) for what a tile holds of a matrix that ends after
// `columns` more columns.
template <int kRows, int kVecs, typename Body>
inline void for_tile_vectors(int64_t columns, Tile<kRows, kVecs>& tile, Body body) {
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) {
      const int64_t left = columns - v * kLanes;
      if (left <= 0) break;
      body(r, v * kLanes, left < kLanes ? static_cast<int>(left) : kLanes, tile.at[r][v]);
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

// Splits `count` rows into tiles of nearly equal height, as a low tile takes as long as one of
// twice its rows: body(first row, Constant<rows>).
template <typename Body>
inline void for_row_tiles(int64_t count, Body body) {
  const int64_t tiles = (count + kTileRows - 1) / kTileRows;
  for (int64_t i = 0, row = 0; i < tiles; ++i) {
    const int64_t rows = (count - row + tiles - i - 1) / (tiles - i);
    with_constant<kTileRows>(static_cast<int>(rows), [&](auto constant) { body(row, constant); });
    row += rows;
  }
}

}  // namespace
}  // namespace multihead::cpu
