// One vector of f32 lanes, the vocabulary that every CPU kernel is written in.
//
// Included only by translation units compiled for one instruction set: everything is in an
// anonymous namespace, so nothing from here can be linked into code that runs on another processor.
// Each vec_<isa>.h supplies the same names:
//   Vec, kLanes                     the type and its number of f32 lanes
//   kTileRows, kTileVecs            the largest tile of accumulators that fits the registers
//   load, store                     kLanes floats, any alignment
//   load_first, store_first         the first n lanes, 0 < n < kLanes; the others load as zero
//   keep_first(v, n)                lanes from n on become zero
//   broadcast, add, sub, mul, div
//   fma(a, b, c)                    a * b + c; fused where the instruction set fuses
//   larger(a, b), smaller(a, b)     of two lanes; b where either is NaN
//   where_less(a, b, x, y)          x where a < b, else y (also where NaN)
//   round_even(a)                   to the nearest integer
//   times_power_of_two(a, n)        a * 2^n for integral lanes n in [-126, 127]
//   sum(v), largest(v)              over the lanes, in one fixed order
#pragma once

#include <cstdint>
#include <utility>

#if defined(__AVX512F__)
#include "kernels/cpu/vec_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "kernels/cpu/vec_avx2.h"
#else
#include "kernels/cpu/vec_baseline.h"
#endif

namespace multihead::cpu {
namespace {

inline Vec zero() { return broadcast(0.0f); }
inline Vec negate(Vec a) { return sub(zero(), a); }
inline Vec magnitude(Vec a) { return where_less(a, zero(), negate(a), a); }

// Calls body(offset, n) for consecutive groups of lanes that cover `count` floats; n < kLanes only
// in the last one.
template <typename Body>
inline void for_lanes(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, static_cast<int>(count - i));
}

inline Vec load_lanes(const float* p, int n) { return n == kLanes ? load(p) : load_first(p, n); }
inline void store_lanes(float* p, Vec v, int n) {
  if (n == kLanes) {
    store(p, v);
  } else {
    store_first(p, v, n);
  }
}

// Of two rows, kStep apart, of a square: exchanges every second block of kStep lanes.
template <int kStep, int... kLane>
inline void exchange_blocks(Vec& a, Vec& b, std::integer_sequence<int, kLane...>) {
  const Vec first =
      __builtin_shufflevector(a, b, ((kLane & kStep) != 0 ? kLanes + kLane - kStep : kLane)...);
  b = __builtin_shufflevector(a, b, ((kLane & kStep) != 0 ? kLanes + kLane : kLane + kStep)...);
  a = first;
}

// Transposes blocks of two by two lanes, then of four by four, up to the whole square.
template <int kStep = 1>
inline void transpose(Vec (&rows)[kLanes]) {
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) {
    if ((r & kStep) != 0) continue;
    exchange_blocks<kStep>(rows[r], rows[r + kStep], std::make_integer_sequence<int, kLanes>());
  }
  if constexpr (2 * kStep < kLanes) transpose<2 * kStep>(rows);
}

}  // namespace
}  // namespace multihead::cpu
