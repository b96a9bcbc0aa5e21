// The cases that every op table is run on: seeded inputs, arguments, and the output they give.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ops/ops.h"

namespace multihead::test {

struct KernelOutput {
  std::vector<float> values;
  bool guards_intact = true;
};

struct KernelCase {
  std::string op;
  std::string name;
  std::function<KernelOutput(const ops::OpTable&, ops::Executor&)> run;
};

std::vector<KernelCase> linear_cases();
std::vector<KernelCase> attention_cases();
std::vector<KernelCase> row_cases();  // embed, norm, gather, scatter, rotary, pool
std::vector<KernelCase> all_cases();

// Seeded inputs. Uniform in [-1, 1), times `scale`.
std::vector<float> random_floats(int64_t count, uint64_t seed, float scale = 1);

inline ConstMatrix view(const std::vector<float>& values, int64_t rows, int64_t columns) {
  return {values.data(), DType::kF32, rows, columns, columns};
}

// 64-byte aligned memory of an op, filled with a pattern so that nothing relies on zeros.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t bytes) : storage_(static_cast<size_t>(bytes) + 64, char(0x7f)) {}
  void* data() {
    return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(storage_.data()) + 63) & ~63ull);
  }

 private:
  std::vector<char> storage_;
};

// A packed weight together with its memory.
struct Packed {
  Packed(const ops::OpTable& table, ops::Executor& executor, const std::vector<float>& weight,
         int64_t n, int64_t k);
  AlignedBytes memory;
  ops::PackedWeight weight;
};

// Where an attention's keys and values lie: one row after the other, or as in a cache, in blocks of
// kKeyBlock rows in a seeded order; the rows of the cache that hold no key are NaN.
enum class KeyPlaces { kConsecutive, kShuffledBlocks };

struct AttentionCase {
  std::vector<int32_t> queries;  // per sequence
  std::vector<int32_t> keys;     // per sequence
  int64_t heads = 2;
  int64_t key_heads = 2;
  int64_t head_dim = 32;
  ops::Mask mask = ops::Mask::kFull;
  int64_t window = -1;
  float scale = 0;                   // 0: 1 / sqrt(head_dim)
  std::vector<float> slopes;         // [heads], or none
  std::vector<float> relative_bias;  // [heads, 2L + 1], or none
  KeyPlaces places = KeyPlaces::kConsecutive;
  std::vector<float> query, key, value;  // packed rows; filled from the seed where empty
  void fill(uint64_t seed, float magnitude);
  int64_t query_rows() const;
  int64_t key_rows() const;
  KernelOutput run(const ops::OpTable& table, ops::Executor& executor) const;
};

std::vector<int32_t> offsets_of(const std::vector<int32_t>& lengths);

class SerialExecutor final : public ops::Executor {
 public:
  explicit SerialExecutor(int workers = 1) : workers_(workers) {}
  void parallel(int64_t count, Task task, void* context) override {
    for (int64_t i = 0; i < count; ++i) task(context, i, static_cast<int>(i % workers_));
  }
  int workers() const override { return workers_; }

 private:
  int workers_;
};

}  // namespace multihead::test
