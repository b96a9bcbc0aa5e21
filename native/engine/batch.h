// One packed batch, owned by the forward that reads it, and the check that makes it safe for
// kernels.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace multihead::engine {

struct Batch {
  std::vector<int32_t> tokens;                         // [T]
  std::vector<int32_t> offsets;                        // [B + 1]
  std::optional<std::vector<int32_t>> types;           // [T]
  std::optional<std::vector<float>> pool_weights;      // [weighted parts, T]
  std::optional<std::vector<int32_t>> selected;        // [R] ascending rows; none: all
  std::optional<std::vector<float>> memory;            // [Tm, memory width]
  std::optional<std::vector<int32_t>> memory_offsets;  // [B + 1]

  int64_t token_count() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t memory_rows() const { return memory_offsets ? memory_offsets->back() : 0; }
};

// Whether a plan has a block that reads Batch::selected.
enum class Selects : uint8_t { kNo, kYes };

// What a compiled plan accepts.
struct BatchLimits {
  int64_t vocabulary = 0;
  int64_t type_count = 1;
  int64_t longest_sequence = std::numeric_limits<int64_t>::max();
  int64_t weighted_parts = 0;  // rows of pool_weights
  int64_t memory_width = 0;    // columns of the memory; 0: the plan reads none
  Selects selects = Selects::kNo;
};

// What a request reads beyond the tokens.
enum class Need : uint8_t { kOptional, kRequired };
struct BatchNeeds {
  Need pool_weights = Need::kOptional;
  Need memory = Need::kOptional;
};

// Throws INVALID_ARGUMENT naming the first wrong element. Kernels do not check again.
void check_batch(const Batch& batch, const BatchLimits& limits, const BatchNeeds& needs);

// Block indices whose streams a forward returns: at least one, ascending, below `blocks`.
void check_outputs(const std::vector<int32_t>& outputs, int64_t blocks);

}  // namespace multihead::engine
