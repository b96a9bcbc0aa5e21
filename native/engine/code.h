// What a plan compiles to: for each block a short list of steps, each one op on slices of regions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "engine/arena.h"
#include "engine/batch.h"
#include "engine/memory.h"
#include "engine/plan.h"
#include "ops/ops.h"

namespace multihead::engine {

// What the rows of a matrix are: one for each token, for each sequence (after a pool), for each
// selected token (after a select), or for each row of the memory.
enum class Rows : uint8_t { kTokens, kSequences, kSelected, kMemory };
constexpr size_t kRowKinds = 4;

// Columns [column, column + columns) of a region.
struct Slice {
  Rows rows = Rows::kTokens;
  size_t region = 0;  // index among the regions of the same kind of rows
  int64_t column = 0;
  int64_t columns = 0;
};

struct EmbedStep {
  ConstMatrix token_table;
  ConstMatrix type_table;
  ConstMatrix position_table;
  float scale = 1;
  ops::Norm norm;
  Slice out;
};

struct NormStep {
  Slice x;
  int64_t groups = 1;
  ops::Norm norm;
  Slice out;
};

// Whether a linear step adds its `out`, as it was before, to the result.
enum class Residual : uint8_t { kNone, kAddOut };

struct LinearStep {
  Slice x;
  ops::PackedWeight weight;
  const float* bias = nullptr;
  float scale = 1;
  ops::PackedWeight gate;
  const float* gate_bias = nullptr;
  ops::Activation activation = ops::Activation::kIdentity;
  Residual residual = Residual::kNone;
  ops::Norm norm;
  Slice out;
};

struct RotaryStep {
  size_t angles = 0;  // index into Code::angles
  int64_t heads = 0;
  int64_t head_dim = 0;
  ops::RotaryPairs pairs = ops::RotaryPairs::kHalves;
  Slice x;
};

// In a cached run, puts the new keys and values of a layer into the cache; else nothing.
struct KeepStep {
  KeySource source = KeySource::kStream;
  size_t layer = 0;  // among the attentions of that source
  Slice keys_values;
};

// In a cached run keys and values are those of the cache's layer.
struct AttentionStep {
  KeySource source = KeySource::kStream;
  size_t layer = 0;
  Slice query;
  Slice key;
  Slice value;
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t head_dim = 0;
  float scale = 0;
  ops::Mask mask = ops::Mask::kFull;
  int64_t window = -1;
  const float* slopes = nullptr;
  ConstMatrix relative_bias;
  Slice out;
};

struct PoolStep {
  Slice x;
  ops::PoolKind kind = ops::PoolKind::kWeightedSum;
  int64_t weight_row = 0;  // of the batch's pool weights
  Slice out;
};

struct SelectStep {
  Slice x;
  Slice out;
};

using Step = std::variant<EmbedStep, NormStep, LinearStep, RotaryStep, KeepStep, AttentionStep,
                          PoolStep, SelectStep>;

// A block's ops, and where the stream lies after them.
struct BlockCode {
  std::vector<Step> steps;
  Slice stream;
};

// An activation layout: the regions of one kind of rows.
struct Layout {
  std::vector<Region> regions;
  int64_t columns = 0;
};

// The cosines and sines that a forward computes once for all layers that turn by them.
struct Angles {
  std::vector<float> frequencies;
  float magnitude = 1;

  int64_t columns() const { return 2 * static_cast<int64_t>(frequencies.size()); }
  bool operator==(const Angles& other) const {
    return frequencies == other.frequencies && magnitude == other.magnitude;
  }
};

struct ProgramInfo {
  std::string isa;
  int64_t resident_bytes = 0;
  int64_t width = 0;  // columns of the stream where layers run
  int64_t layers = 0;
  int64_t parameters = 0;
  std::vector<std::string> unused_tensors;
};

struct Code {
  std::vector<BlockCode> blocks;
  std::array<Layout, kRowKinds> layouts;
  std::vector<Angles> angles;
  std::optional<Slice> memory;  // where the batch's memory goes
  // Columns of keys and values together, of each attention over the stream and over the memory.
  std::vector<int64_t> stream_layers;
  std::vector<int64_t> memory_layers;
  BatchLimits limits;
  int64_t position_offset = 0;
  int64_t pool_block = -1;                 // the block that reads pool weights; -1: none
  int64_t memory_block = -1;               // the first block that reads the memory; -1: none
  std::optional<Error> why_not_cacheable;  // what a cache says to this plan; none: it takes it
  ProgramInfo info;
  std::vector<DeviceMemory> weights;

  Layout& layout(Rows rows) { return layouts[static_cast<size_t>(rows)]; }
  const Layout& layout(Rows rows) const { return layouts[static_cast<size_t>(rows)]; }
};

}  // namespace multihead::engine
