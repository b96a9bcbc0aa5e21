#include "kernel_cases.h"

#include <algorithm>
#include <random>

namespace multihead::test {

std::vector<float> random_floats(int64_t count, uint64_t seed, float scale) {
  std::mt19937_64 generator(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    value = scale * (static_cast<float>(generator() >> 40) / 8388608.0f - 1.0f);
  }
  return values;
}

Packed::Packed(const ops::OpTable& table, ops::Executor& executor, const std::vector<float>& source,
               int64_t n, int64_t k)
    : memory(table.packed_linear_bytes(n, k)) {
  ops::PackLinearArgs args;
  args.weight = view(source, n, k);
  args.packed = memory.data();
  table.pack_linear(executor, args);
  weight = {memory.data(), n, k};
}

std::vector<int32_t> offsets_of(const std::vector<int32_t>& lengths) {
  std::vector<int32_t> offsets = {0};
  for (int32_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

std::vector<KernelCase> all_cases() {
  std::vector<KernelCase> cases = linear_cases();
  for (auto* more : {attention_cases, row_cases}) {
    for (KernelCase& kernel_case : more()) cases.push_back(std::move(kernel_case));
  }
  return cases;
}

}  // namespace multihead::test
