#include "engine/batch.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"

namespace multihead::engine {
namespace {

std::string element(const char* name, size_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

[[noreturn]] void invalid(std::string where, std::string got, std::string expected) {
  throw Error(ErrorCode::kInvalidArgument, std::move(where), std::move(got), std::move(expected));
}

void check_length(const char* name, size_t length, int64_t expected, const char* shape) {
  if (static_cast<int64_t>(length) == expected) return;
  invalid(name, "length " + std::to_string(length), std::to_string(expected) + " (" + shape + ")");
}

void check_range(const char* name, const std::vector<int32_t>& values, int64_t end) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= 0 && values[i] < end) continue;
    invalid(element(name, i), std::to_string(values[i]), "0 to " + std::to_string(end - 1));
  }
}

void check_offsets(const Batch& batch, int64_t longest_sequence) {
  const std::vector<int32_t>& offsets = batch.offsets;
  if (offsets.empty()) invalid("offsets", "length 0", "one more than the number of sequences");
  if (offsets[0] != 0) invalid("offsets[0]", std::to_string(offsets[0]), "0");
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1]) {
      invalid(element("offsets", i), std::to_string(offsets[i]),
              "at least " + element("offsets", i - 1) + " = " + std::to_string(offsets[i - 1]));
    }
    // Both lie in [0, 2^31): the difference cannot overflow.
    if (offsets[i] - offsets[i - 1] > longest_sequence) {
      invalid("sequence " + std::to_string(i - 1),
              std::to_string(offsets[i] - offsets[i - 1]) + " tokens",
              "at most " + std::to_string(longest_sequence));
    }
  }
  if (offsets.back() != batch.token_count()) {
    invalid(element("offsets", offsets.size() - 1), std::to_string(offsets.back()),
            std::to_string(batch.token_count()) + ", the number of tokens");
  }
}

void check_pool_weights(const Batch& batch, const BatchLimits& limits, PoolWeights needed) {
  const int64_t expected = limits.weighted_parts * batch.token_count();
  if (!batch.pool_weights) {
    if (needed == PoolWeights::kOptional) return;
    invalid("poolWeights", "none",
            std::to_string(expected) + " numbers (weighted parts x tokens), for the pool block");
  }
  check_length("poolWeights", batch.pool_weights->size(), expected, "weighted parts x tokens");
  for (size_t i = 0; i < batch.pool_weights->size(); ++i) {
    const float weight = (*batch.pool_weights)[i];
    if (!std::isfinite(weight)) {
      invalid(element("poolWeights", i), std::to_string(weight), "a finite number");
    }
  }
}

}  // namespace

void check_batch(const Batch& batch, const BatchLimits& limits, PoolWeights pool_weights) {
  check_offsets(batch, limits.longest_sequence);
  check_range("tokens", batch.tokens, limits.vocabulary);
  if (batch.types) {
    check_length("types", batch.types->size(), batch.token_count(), "as many as tokens");
    check_range("types", *batch.types, limits.type_count);
  }
  check_pool_weights(batch, limits, pool_weights);
}

void check_outputs(const std::vector<int32_t>& outputs, int64_t blocks) {
  if (outputs.empty()) invalid("outputs", "empty", "at least one block index");
  check_range("outputs", outputs, blocks);
  for (size_t i = 1; i < outputs.size(); ++i) {
    if (outputs[i] > outputs[i - 1]) continue;
    invalid(element("outputs", i), std::to_string(outputs[i]),
            "more than " + element("outputs", i - 1) + " = " + std::to_string(outputs[i - 1]));
  }
}

}  // namespace multihead::engine
