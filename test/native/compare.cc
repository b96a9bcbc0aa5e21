#include "compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace multihead::test {
namespace {

constexpr uint32_t kGuardBits = 0xdeadbeef;

float guard_word() {
  float word;
  std::memcpy(&word, &kGuardBits, sizeof word);
  return word;
}

bool is_guard(float word) { return std::memcmp(&word, &kGuardBits, sizeof word) == 0; }

double distance(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::infinity();
  return std::abs(static_cast<double>(a) - static_cast<double>(b));
}

}  // namespace

Comparison compare(const std::vector<float>& got, const std::vector<float>& expected,
                   const std::vector<float>& naive) {
  if (got.size() != expected.size() || naive.size() != expected.size()) {
    return {
        "length " + std::to_string(got.size()) + ", expected " + std::to_string(expected.size()),
        0};
  }
  double largest = 0, naive_error = 0, error = 0;
  size_t worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    naive_error = std::max(naive_error, distance(naive[i], expected[i]));
    if (distance(got[i], expected[i]) > error) {
      error = distance(got[i], expected[i]);
      worst = i;
    }
  }
  const double eps = std::numeric_limits<float>::epsilon();
  const double allowed = 2 * naive_error + 4 * eps * largest;
  if (!std::isfinite(allowed)) return {"the oracle is not finite", 0};
  if (error > allowed) {
    return {"element " + std::to_string(worst) + ": " + std::to_string(got[worst]) + ", expected " +
                std::to_string(expected[worst]) + " within " + std::to_string(allowed),
            0};
  }
  return {"", allowed > 0 ? error / allowed : 0};
}

GuardedRows::GuardedRows(int64_t rows, int64_t columns, int64_t stride)
    : rows_(rows),
      columns_(columns),
      stride_(stride),
      memory_(static_cast<size_t>(rows * stride + 2 * kGuard), guard_word()) {
  for (int64_t r = 0; r < rows; ++r) {
    std::fill_n(data() + r * stride, columns, std::numeric_limits<float>::quiet_NaN());
  }
}

void GuardedRows::fill(const std::vector<float>& values) {
  for (int64_t r = 0; r < rows_; ++r) {
    std::copy_n(values.data() + r * columns_, columns_, data() + r * stride_);
  }
}

std::vector<float> GuardedRows::values() const {
  std::vector<float> result;
  for (int64_t r = 0; r < rows_; ++r) {
    const float* row = memory_.data() + kGuard + r * stride_;
    result.insert(result.end(), row, row + columns_);
  }
  return result;
}

bool GuardedRows::guards_intact() const {
  const int64_t size = static_cast<int64_t>(memory_.size());
  for (int64_t i = 0; i < size; ++i) {
    const int64_t inside = i - kGuard;
    const bool owned = inside >= 0 && inside < rows_ * stride_ && inside % stride_ < columns_;
    if (!owned && !is_guard(memory_[static_cast<size_t>(i)])) return false;
  }
  return true;
}

}  // namespace multihead::test
