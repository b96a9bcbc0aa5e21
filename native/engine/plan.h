// A model as plain data: a list of blocks over one residual stream, and the weights each block
// names.
//
// lib/plan.ts holds the same structure in TypeScript, the binding converts one into the other, and
// Program::compile (program.h) checks every shape once. A family differs from another only in the
// plan that describes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ops/ops.h"

namespace multihead::engine {

// A view of a tensor, so that fused, split and transposed checkpoints load through data: the stored
// matrix, transposed if asked, then rows [row_begin, row_end) of the result (row_end < 0: all). So
// the query of a fused [E, 3E] matrix is its transpose's rows [0, E), as it is of a fused [3E]
// bias.
struct WeightRef {
  std::string tensor;
  int64_t row_begin = 0;
  int64_t row_end = -1;
  bool transpose = false;
};

// y = x W^T + b, W stored as [out, in].
struct LinearSpec {
  WeightRef weight;
  std::optional<WeightRef> bias;
};

struct NormSpec {
  ops::NormKind kind = ops::NormKind::kLayer;
  float epsilon = 0;
  std::optional<WeightRef> gain;
  std::optional<WeightRef> bias;
};

struct NoPositions {};
struct LearnedPositions {
  WeightRef table;  // [count, E]
  int64_t count = 0;
  int64_t offset = 0;  // the first token of a sequence reads row `offset`
};
// Vaswani et al. 2017, section 3.5; `count` rows are computed when the plan is compiled.
struct SinusoidalPositions {
  int64_t count = 0;
};
using Positions = std::variant<NoPositions, LearnedPositions, SinusoidalPositions>;

// Starts the stream: tokens -> [T, E].
struct EmbedBlock {
  int64_t vocabulary = 0;
  WeightRef tokens;
  std::optional<WeightRef> types;
  int64_t type_count = 0;
  Positions positions;
  float scale = 1;
  std::optional<NormSpec> norm;
};

// stream = norm_after(stream + attention(norm_before(stream)))
struct AttentionBlock {
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t head_dim = 0;
  LinearSpec query;   // [heads * head_dim, E]
  LinearSpec key;     // [key_heads * head_dim, E]
  LinearSpec value;   // [key_heads * head_dim, E]
  LinearSpec output;  // [E, heads * head_dim]
  float scale = 0;
  ops::Mask mask = ops::Mask::kFull;
  int64_t window = -1;
  std::optional<NormSpec> norm_before;
  std::optional<NormSpec> norm_after;
};

// stream = norm_after(stream + down(activation(up(norm_before(stream)))))
struct FeedForwardBlock {
  int64_t inner = 0;
  ops::Activation activation = ops::Activation::kGelu;
  LinearSpec up;    // [F, E]
  LinearSpec down;  // [E, F]
  std::optional<NormSpec> norm_before;
  std::optional<NormSpec> norm_after;
};

// stream = norm(stream); works on token rows and on pooled rows.
struct NormBlock {
  NormSpec norm;
};

// stream = activation(linear(stream)), possibly of another width.
struct ProjectBlock {
  int64_t width = 0;
  ops::Activation activation = ops::Activation::kIdentity;
  LinearSpec linear;  // [width, current width]
};

// [T, E] -> [B, parts * E]: the parts' poolings side by side. A weighted part reads the batch's
// pool weights, one row of [T] for each weighted part in order.
struct PoolBlock {
  std::vector<ops::PoolKind> parts;
};

using Block =
    std::variant<EmbedBlock, AttentionBlock, FeedForwardBlock, NormBlock, ProjectBlock, PoolBlock>;

struct Plan {
  int64_t width = 0;          // E
  std::vector<Block> blocks;  // the first one is an EmbedBlock, and no other is
};

}  // namespace multihead::engine
