// A compiled plan: every shape checked, weights packed, activations laid out; runs forwards.
//
// compile() is the only place that validates a plan; run() trusts it and walks the blocks, each one
// a short list of ops on slices of the arena. Immutable once compiled, so forwards may run at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "engine/arena.h"
#include "engine/batch.h"
#include "engine/memory.h"
#include "engine/plan.h"
#include "engine/weights.h"
#include "ops/device.h"

namespace multihead::engine {

// Sizes above these are refused before anything is multiplied or allocated.
constexpr int64_t kMaxDimension = int64_t{1} << 24;        // width, inner, heads x head_dim
constexpr int64_t kMaxTableRows = (int64_t{1} << 31) - 1;  // vocabulary, types, learned positions
constexpr int64_t kMaxSinusoidalPositions = int64_t{1} << 20;
constexpr size_t kMaxBlocks = 4096;
constexpr size_t kMaxPoolParts = 64;

// What the rows of a stream are: one for each token, or (after a pool) one for each sequence.
enum class Rows : uint8_t { kTokens, kSequences };

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
  ops::Norm norm;
  Slice out;
};

// Whether a linear step adds its `out`, as it was before, to the result.
enum class Residual : uint8_t { kNone, kAddOut };

struct LinearStep {
  Slice x;
  ops::PackedWeight weight;
  const float* bias = nullptr;
  ops::Activation activation = ops::Activation::kIdentity;
  Residual residual = Residual::kNone;
  ops::Norm norm;
  Slice out;
};

struct AttentionStep {
  Slice query;
  Slice key;
  Slice value;
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t head_dim = 0;
  float scale = 0;
  ops::Mask mask = ops::Mask::kFull;
  int64_t window = -1;
  Slice out;
};

struct PoolStep {
  Slice x;
  ops::PoolKind kind = ops::PoolKind::kWeightedSum;
  int64_t weight_row = 0;  // of the batch's pool weights
  Slice out;
};

using Step = std::variant<EmbedStep, NormStep, LinearStep, AttentionStep, PoolStep>;

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

struct ProgramInfo {
  std::string isa;
  int64_t resident_bytes = 0;
  int64_t width = 0;
  int64_t layers = 0;
  int64_t parameters = 0;
  std::vector<std::string> unused_tensors;
};

// What compile() produces and a Program runs.
struct Code {
  std::vector<BlockCode> blocks;
  Layout tokens;
  Layout sequences;
  BatchLimits limits;
  int64_t position_offset = 0;
  int64_t pool_block = -1;  // the block that reads pool weights; -1: none
  ProgramInfo info;
  std::vector<DeviceMemory> weights;
};

// Where a forward puts the stream after a block: `destination` holds output_elements() floats.
struct Output {
  int32_t block = 0;
  float* destination = nullptr;
};

class Program {
 public:
  Program(ops::Device& device, Code code) : device_(device), code_(std::move(code)) {}

  const ProgramInfo& info() const { return code_.info; }

  // Throws INVALID_ARGUMENT; what passes can be run.
  void check(const Batch& batch, const std::vector<int32_t>& outputs) const;

  // Elements of the stream after `block`, rows x columns.
  int64_t output_elements(const Batch& batch, int32_t block) const;

  // One forward of a checked batch up to the last output's block; `outputs` as check() accepted
  // them. Throws ABORTED between two ops after `cancelled` became true, OUT_OF_MEMORY.
  void run(const Batch& batch, const std::vector<Output>& outputs, ops::Executor& executor,
           const std::atomic<bool>& cancelled) const;

 private:
  // The memory of one forward; kept from call to call and only ever grown.
  struct Workspace {
    DeviceMemory memory;
    std::vector<int32_t> positions;
  };
  class Forward;

  std::unique_ptr<Workspace> take_workspace() const;
  void return_workspace(Workspace* workspace) const noexcept;

  ops::Device& device_;
  Code code_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

// Checks `plan` against `weights` and loads what it names. Throws INVALID_ARGUMENT (a value of the
// plan), UNSUPPORTED, WEIGHT_MISSING, WEIGHT_INVALID, SHAPE_MISMATCH, FILE_ERROR, OUT_OF_MEMORY or
// ABORTED. Runs on a thread of the device's pool.
std::unique_ptr<Program> compile(const Plan& plan, const WeightList& weights, ops::Device& device,
                                 ops::Executor& executor, const std::atomic<bool>& cancelled);

}  // namespace multihead::engine
