// The most f32 multiply-adds that `threads` cores do in a second: independent FMA chains on
// registers alone, no memory. Prints GFLOP/s (two operations a multiply-add), the best of eleven
// windows of about 50 ms. Compiled by roofline.mjs with -mavx512f or -mavx2 -mfma, whichever the
// CPU has.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

#ifdef __AVX512F__
using Vec = __m512;
constexpr int kLanes = 16;
Vec Set(float x) { return _mm512_set1_ps(x); }
Vec MulAdd(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
#else
using Vec = __m256;
constexpr int kLanes = 8;
Vec Set(float x) { return _mm256_set1_ps(x); }
Vec MulAdd(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
#endif

// Twelve chains hide a latency of four to five cycles at two FMAs a cycle, and fit into 16
// registers.
constexpr int kChains = 12;

void Burn(long steps, float seed, float* sink) {
  Vec sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = Set(seed + static_cast<float>(i));
  const Vec factor = Set(0.999f);
  const Vec addend = Set(0.001f);
  for (long step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = MulAdd(sums[i], factor, addend);
  }
  Vec total = sums[0];
  for (int i = 1; i < kChains; ++i) total = MulAdd(total, factor, sums[i]);
  alignas(64) float lanes[kLanes];
  __builtin_memcpy(lanes, &total, sizeof(lanes));
  *sink = lanes[0];
}

double SecondsOf(long steps, int threads) {
  std::vector<float> sinks(static_cast<size_t>(threads) * 64);
  std::vector<std::thread> others;
  const auto start = std::chrono::steady_clock::now();
  for (int t = 1; t < threads; ++t) {
    others.emplace_back(Burn, steps, static_cast<float>(t), &sinks[static_cast<size_t>(t) * 64]);
  }
  Burn(steps, 0.0f, &sinks[0]);
  for (auto& other : others) other.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  if (threads < 1) {
    std::fprintf(stderr, "usage: fma-peak THREADS\n");
    return 2;
  }
  constexpr long kProbe = 2'000'000;
  SecondsOf(kProbe, threads);  // the clock settles
  const long steps = static_cast<long>(kProbe * 0.05 / SecondsOf(kProbe, threads)) + 1;
  double best = 0;
  for (int window = 0; window < 11; ++window) {
    const double operations = 2.0 * kChains * kLanes * static_cast<double>(steps) * threads;
    best = std::max(best, operations / SecondsOf(steps, threads) / 1e9);
  }
  std::printf("%.1f\n", best);
}
