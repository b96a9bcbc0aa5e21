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

// [sequences + 1]: starts at 0, never decreases, ends at `rows`.
void check_offsets(const char* name, const std::vector<int32_t>& offsets, int64_t rows,
                   const char* of_what) {
  if (offsets[0] != 0) invalid(element(name, 0), std::to_string(offsets[0]), "0");
  for (size_t i = 1; i < offsets.size(); ++i) {
    if (offsets[i] < offsets[i - 1]) {
      invalid(element(name, i), std::to_string(offsets[i]),
              "at least " + element(name, i - 1) + " = " + std::to_string(offsets[i - 1]));
    }
  }
  if (offsets.back() != rows) {
    invalid(element(name, offsets.size() - 1), std::to_string(offsets.back()),
            std::to_string(rows) + ", the number of " + of_what);
  }
}

void check_sequences(const Batch& batch, int64_t longest_sequence) {
  const std::vector<int32_t>& offsets = batch.offsets;
  if (offsets.empty()) invalid("offsets", "length 0", "one more than the number of sequences");
  check_offsets("offsets", offsets, batch.token_count(), "tokens");
  for (size_t i = 1; i < offsets.size(); ++i) {
    const int32_t length = offsets[i] - offsets[i - 1];
    if (length <= longest_sequence) continue;
    invalid("sequence " + std::to_string(i - 1), std::to_string(length) + " tokens",
            "at most " + std::to_string(longest_sequence));
  }
}

void check_finite(const char* name, const std::vector<float>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    invalid(element(name, i), std::to_string(values[i]), "a finite number");
  }
}

// In range and strictly ascending.
void check_ascending(const char* name, const std::vector<int32_t>& values, int64_t end) {
  check_range(name, values, end);
  for (size_t i = 1; i < values.size(); ++i) {
    if (values[i] > values[i - 1]) continue;
    invalid(element(name, i), std::to_string(values[i]),
            "more than " + element(name, i - 1) + " = " + std::to_string(values[i - 1]));
  }
}

void check_pool_weights(const Batch& batch, const BatchLimits& limits, Need need) {
  const int64_t expected = limits.weighted_parts * batch.token_count();
  if (!batch.pool_weights) {
    if (need == Need::kOptional) return;
    invalid("poolWeights", "none",
            std::to_string(expected) + " numbers (weighted parts x tokens), for the pool block");
  }
  check_length("poolWeights", batch.pool_weights->size(), expected, "weighted parts x tokens");
  check_finite("poolWeights", *batch.pool_weights);
}

void check_selected(const Batch& batch, const BatchLimits& limits) {
  if (!batch.selected) return;
  if (limits.selects == Selects::kNo) {
    invalid("selected", "given", "none: the plan has no select block");
  }
  check_ascending("selected", *batch.selected, batch.token_count());
}

void check_memory(const Batch& batch, const BatchLimits& limits, Need need) {
  if (batch.memory.has_value() != batch.memory_offsets.has_value()) {
    invalid(batch.memory ? "memoryOffsets" : "memory", "none", "both memory and memoryOffsets");
  }
  if (!batch.memory) {
    if (need == Need::kOptional) return;
    invalid("memory", "none",
            "rows of " + std::to_string(limits.memory_width) +
                " numbers, for attentions with keys from the memory");
  }
  if (limits.memory_width == 0) invalid("memory", "given", "none: the plan reads no memory");
  const std::vector<int32_t>& offsets = *batch.memory_offsets;
  check_length("memoryOffsets", offsets.size(), batch.sequences() + 1, "as many as offsets");
  const auto elements = static_cast<int64_t>(batch.memory->size());
  if (elements % limits.memory_width != 0) {
    invalid("memory", "length " + std::to_string(elements),
            "rows of " + std::to_string(limits.memory_width) + " numbers");
  }
  check_offsets("memoryOffsets", offsets, elements / limits.memory_width, "rows of the memory");
  check_finite("memory", *batch.memory);
}

}  // namespace

void check_batch(const Batch& batch, const BatchLimits& limits, const BatchNeeds& needs) {
  check_sequences(batch, limits.longest_sequence);
  check_range("tokens", batch.tokens, limits.vocabulary);
  if (batch.types) {
    check_length("types", batch.types->size(), batch.token_count(), "as many as tokens");
    check_range("types", *batch.types, limits.type_count);
  }
  check_pool_weights(batch, limits, needs.pool_weights);
  check_selected(batch, limits);
  check_memory(batch, limits, needs.memory);
}

void check_outputs(const std::vector<int32_t>& outputs, int64_t blocks) {
  if (outputs.empty()) invalid("outputs", "empty", "at least one block index");
  check_ascending("outputs", outputs, blocks);
}

}  // namespace multihead::engine
