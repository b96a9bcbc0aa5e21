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
// matrix, transposed if asked, then rows [row_begin, row_end) of the result (row_end < 0: all), or
// of every `step` rows from row_begin on the first `group` (step 0: not so). So the query of a
// fused [E, 3E] matrix is its transpose's rows [0, E), as it is of a fused [3E] bias; where the
// fusion is by head, [H, 3, D], it is D rows of every 3D. A vector that is stored as one row, [1, N],
// is read transposed.
struct WeightRef {
  std::string tensor;
  int64_t row_begin = 0;
  int64_t row_end = -1;
  int64_t group = 0;
  int64_t step = 0;
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
// Vaswani et al. 2017, section 3.5; `count` rows are computed when the plan is compiled. Sines and
// cosines alternate (the paper), or all sines come first.
enum class SinusoidalLayout : uint8_t { kInterleaved, kSplit };
struct SinusoidalPositions {
  int64_t count = 0;
  SinusoidalLayout layout = SinusoidalLayout::kInterleaved;
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

// Where the keys and values of an attention come from: the stream itself (and, in a cached run,
// what was before it), or an encoder's output.
enum class KeySource : uint8_t { kStream, kMemory };

// Pair i of a head's columns turns by position * frequencies[i]; cosines and sines are multiplied
// by `magnitude` (YaRN's attention factor). The columns after the pairs stay as they are.
struct Rotary {
  std::vector<float> frequencies;
  ops::RotaryPairs pairs = ops::RotaryPairs::kHalves;
  float magnitude = 1;
};

// The bias of a score by the distance d = key position - query position: table[buckets[L + d]], d
// clamped to [-L, L]; `buckets` has 2L + 1 entries.
struct RelativeBias {
  WeightRef table;  // [bucket_count, heads]
  int64_t bucket_count = 0;
  std::vector<int32_t> buckets;
};

// stream = norm_after(stream + attention(norm_before(stream)))
struct AttentionBlock {
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t head_dim = 0;
  KeySource keys_from = KeySource::kStream;
  LinearSpec query;                    // [heads * head_dim, E]
  LinearSpec key;                      // [key_heads * head_dim, E or memory width]
  LinearSpec value;                    // [key_heads * head_dim, E or memory width]
  LinearSpec output;                   // [E, heads * head_dim]
  std::optional<NormSpec> query_norm;  // over each head, before the rotation
  std::optional<NormSpec> key_norm;
  std::optional<Rotary> rotary;  // only with keys from the stream
  std::vector<float> slopes;     // ALiBi: one for each head, or none
  std::optional<RelativeBias> relative_bias;
  float scale = 0;
  ops::Mask mask = ops::Mask::kFull;
  int64_t window = -1;
  std::optional<NormSpec> norm_before;
  std::optional<NormSpec> norm_after;
};

// stream = norm_after(stream + down(activation(up(norm_before(stream))))); with a gate the inner
// part is activation(gate(x)) * up(x).
struct FeedForwardBlock {
  int64_t inner = 0;
  ops::Activation activation = ops::Activation::kGelu;
  std::optional<LinearSpec> gate;  // [F, E]
  LinearSpec up;                   // [F, E]
  LinearSpec down;                 // [E, F]
  std::optional<NormSpec> norm_before;
  std::optional<NormSpec> norm_after;
};

// stream = norm(stream); works on token rows and on pooled rows.
struct NormBlock {
  NormSpec norm;
};

// stream = activation(scale * x W^T + b) for the stream's rows x, possibly of another width.
struct ProjectBlock {
  int64_t width = 0;
  float scale = 1;
  ops::Activation activation = ops::Activation::kIdentity;
  LinearSpec linear;  // [width, current width]
};

// [T, E] -> [B, parts * E]: the parts' poolings side by side. A weighted part reads the batch's
// pool weights, one row of [T] for each weighted part in order.
struct PoolBlock {
  std::vector<ops::PoolKind> parts;
};

// [T, E] -> [R, E]: the rows that the batch selects, all of them if it selects none; so that a head
// is computed for the last token of each sequence only.
struct SelectBlock {};

using Block = std::variant<EmbedBlock, AttentionBlock, FeedForwardBlock, NormBlock, ProjectBlock,
                           PoolBlock, SelectBlock>;

struct Plan {
  int64_t width = 0;          // E
  int64_t memory_width = 0;   // columns of the memory; 0: no block reads one
  std::vector<Block> blocks;  // the first one is an EmbedBlock, and no other is
};

}  // namespace multihead::engine
