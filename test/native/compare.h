// How kernel outputs are held against the oracle, and the memory they are written to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace multihead::test {

// The tolerance policy: max|got - expected| <= 2 * max|naive - expected| + 4 * eps * max|expected|,
// naive being plain f32 loops. Returns an empty text if it holds and got is finite, else what does
// not. `ratio`: the error as a fraction of what is allowed.
struct Comparison {
  std::string problem;
  double ratio = 0;
};
Comparison compare(const std::vector<float>& got, const std::vector<float>& expected,
                   const std::vector<float>& naive);

// `rows` rows of `columns` floats, `stride` apart, filled with NaN between guard words. The floats
// between columns and stride are guards too.
class GuardedRows {
 public:
  GuardedRows(int64_t rows, int64_t columns, int64_t stride);

  float* data() { return memory_.data() + kGuard; }
  int64_t stride() const { return stride_; }
  void fill(const std::vector<float>& values);
  std::vector<float> values() const;
  bool guards_intact() const;

 private:
  static constexpr int64_t kGuard = 64;
  int64_t rows_, columns_, stride_;
  std::vector<float> memory_;
};

}  // namespace multihead::test
