// A compiled plan: every shape checked, weights packed, activations laid out; runs forwards.
//
// compile() is the only place that validates a plan; run() trusts it and walks the blocks, each one
// a short list of ops on slices of the arena. Immutable once compiled, so forwards may run at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/batch.h"
#include "engine/code.h"
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
constexpr uint32_t kMaxListLength = 1u << 20;  // frequencies, slopes, buckets of one block

struct Workspace;

// Where a forward puts the stream after a block: `destination` holds output_elements() floats.
struct Output {
  int32_t block = 0;
  float* destination = nullptr;
};

class Program {
 public:
  Program(ops::Device& device, Code code);
  ~Program();

  const ProgramInfo& info() const { return code_.info; }
  const Code& code() const { return code_; }
  ops::Device& device() const { return device_; }

  // Throws INVALID_ARGUMENT; what passes can be run.
  void check(const Batch& batch, const std::vector<int32_t>& outputs) const;

  // Elements of the stream after `block`, rows x columns.
  int64_t output_elements(const Batch& batch, int32_t block) const;

  // One forward of a checked batch up to the last output's block; `outputs` as check() accepted
  // them. Throws ABORTED between two ops after `cancelled` became true, OUT_OF_MEMORY.
  void run(const Batch& batch, const std::vector<Output>& outputs, ops::Executor& executor,
           const std::atomic<bool>& cancelled) const;

  // The memory of one forward; kept from call to call and only ever grown.
  struct ReturnWorkspace {
    const Program* program = nullptr;
    void operator()(Workspace* workspace) const noexcept;
  };
  using Lease = std::unique_ptr<Workspace, ReturnWorkspace>;
  Lease lease_workspace() const;

 private:
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
