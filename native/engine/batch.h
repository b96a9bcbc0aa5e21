// One packed batch, owned by the forward that reads it, and the check that makes it safe for
// kernels.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace multihead::engine {

struct Batch {
  std::vector<int32_t> tokens;                     // [T]
  std::vector<int32_t> offsets;                    // [B + 1]
  std::optional<std::vector<int32_t>> types;       // [T]
  std::optional<std::vector<float>> pool_weights;  // [weighted parts, T]

  int64_t token_count() const { return static_cast<int64_t>(tokens.size()); }
  int64_t sequences() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

// What a compiled plan accepts.
struct BatchLimits {
  int64_t vocabulary = 0;
  int64_t type_count = 1;
  int64_t longest_sequence = std::numeric_limits<int64_t>::max();
  int64_t weighted_parts = 0;  // rows of pool_weights
};

// Whether a request reads pool_weights.
enum class PoolWeights : uint8_t { kOptional, kRequired };

// Throws INVALID_ARGUMENT naming the first wrong element. Kernels do not check again.
void check_batch(const Batch& batch, const BatchLimits& limits, PoolWeights pool_weights);

// Block indices whose streams a forward returns: at least one, ascending, below `blocks`.
void check_outputs(const std::vector<int32_t>& outputs, int64_t blocks);

}  // namespace multihead::engine
