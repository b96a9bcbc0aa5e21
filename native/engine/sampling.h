// From logits to tokens: the most likely one, a draw among the most likely ones, or a list of them.
//
// Temperature, then top-k, then top-p, as transformers' processors define them: tokens as likely as
// the k-th are kept, and top-p keeps the fewest tokens whose probabilities reach p (Holtzman et al.
// 2019, arXiv:1904.09751). Sums are in double. A row is chosen from by one thread, in an order that
// depends on that row alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "ops/device.h"

namespace multihead::engine {

// One entry for each sequence.
struct Sampling {
  std::vector<float> temperature;  // 0: the most likely token, the lowest id of several
  std::vector<int32_t> top_k;      // 0: all
  std::vector<float> top_p;        // 1: all
  std::vector<double> uniform;     // [0, 1): the draw, over the kept tokens from the likeliest on
};

struct Choosing {
  std::optional<Sampling> sampling;
  std::optional<int64_t> top;  // without sampling: so many tokens of each sequence
  // Tokens that sequence b must not choose: banned[banned_offsets[b]] to banned[banned_offsets[b +
  // 1]
  // - 1].
  std::optional<std::vector<int32_t>> banned;
  std::optional<std::vector<int32_t>> banned_offsets;

  int64_t columns() const { return top.value_or(1); }
};

// Throws INVALID_ARGUMENT naming the first wrong element.
void check_choosing(const Choosing& choosing, int64_t sequences, int64_t vocabulary);

// [B, columns] each; logarithms of probabilities of the whole softmax at temperature 1, banned
// tokens included.
struct Choice {
  int32_t* tokens = nullptr;
  float* log_probabilities = nullptr;
};

// One row of logits; memory for one worker, kept from call to call.
class Distribution {
 public:
  // Copies a row from the device. Throws WEIGHT_INVALID when a logit is not finite: no valid input
  // makes finite weights of a sane size overflow.
  void load(const Matrix& logits, int64_t row, ops::Device& device);
  void ban(const int32_t* begin, const int32_t* end);

  int32_t most_likely() const;
  int32_t draw(const Sampling& sampling, size_t sequence);
  void list(int64_t count, int32_t* tokens, float* log_probabilities);
  float log_probability(int32_t token) const;

 private:
  // Tokens from the likeliest on, found one at a time: a draw rarely needs more than a few.
  void start_order();
  int32_t nth_likely(size_t n);
  size_t count_likeliest(size_t k);
  double weight(int32_t token, double temperature) const;

  std::vector<float> logits_;    // -infinity: banned
  std::vector<int32_t> tokens_;  // a heap; behind it the `ordered_` likeliest, the first one last
  size_t ordered_ = 0;
  double largest_ = 0;
  double likeliest_ = 0;  // the largest logit that is not banned
  double log_sum_ = 0;    // of exp(logit - largest_)
};

// Chooses for every row of `logits`, [B, V], rows in parallel. `distributions`: one for each
// worker, made here when missing. Throws WEIGHT_INVALID.
void choose(const Matrix& logits, const Choosing& choosing, ops::Device& device,
            ops::Executor& executor, std::vector<Distribution>& distributions,
            const Choice& choice);

}  // namespace multihead::engine
