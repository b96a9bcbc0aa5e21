// Four lanes in the compiler's portable vector type: SSE2 on x86-64, NEON on arm64, plain code
// elsewhere. `fma` is a product and a sum, rounded twice, wherever it runs.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace multihead::cpu {
namespace {

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t IntVec __attribute__((vector_size(16)));
constexpr int kLanes = 4;
constexpr int kTileRows = 4;
constexpr int kTileVecs = 2;

inline Vec broadcast(float a) { return Vec{a, a, a, a}; }
inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
inline Vec load_first(const float* p, int n) {
  Vec v = {0, 0, 0, 0};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
inline void store_first(float* p, Vec v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}
inline Vec keep_first(Vec v, int n) {
  for (int i = n; i < kLanes; ++i) v[i] = 0;
  return v;
}

inline Vec choose(IntVec mask, Vec x, Vec y) {
  return (Vec)(((IntVec)x & mask) | ((IntVec)y & ~mask));
}

inline Vec add(Vec a, Vec b) { return a + b; }
inline Vec sub(Vec a, Vec b) { return a - b; }
inline Vec mul(Vec a, Vec b) { return a * b; }
inline Vec div(Vec a, Vec b) { return a / b; }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec larger(Vec a, Vec b) { return choose(a > b, a, b); }
inline Vec smaller(Vec a, Vec b) { return choose(a < b, a, b); }
inline Vec where_less(Vec a, Vec b, Vec x, Vec y) { return choose(a < b, x, y); }
// Adding 1.5 * 2^23 leaves no bits below one; exact for |a| < 2^22, which the callers keep to.
inline Vec round_even(Vec a) {
  const Vec shift = broadcast(12582912.0f);
  return (a + shift) - shift;
}
inline Vec times_power_of_two(Vec a, Vec n) {
  const IntVec exponent = (__builtin_convertvector(n, IntVec) + 127) << 23;
  return a * (Vec)exponent;
}

inline float sum(Vec v) { return (v[0] + v[2]) + (v[1] + v[3]); }
inline float largest(Vec v) {
  const float a = v[0] > v[2] ? v[0] : v[2];
  const float b = v[1] > v[3] ? v[1] : v[3];
  return a > b ? a : b;
}

}  // namespace
}  // namespace multihead::cpu
