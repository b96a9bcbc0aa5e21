// One forward in progress: a batch and its row numbers on the device, and the ops that read them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/batch.h"
#include "engine/code.h"
#include "engine/key_rows.h"
#include "engine/memory.h"
#include "engine/sampling.h"
#include "ops/device.h"

namespace multihead::engine {

// What follows from a batch alone, or from it and what a cache holds.
struct RowNumbers {
  std::vector<int32_t> positions;  // [T]
  std::vector<int32_t> selected;   // [R]; empty if the plan has no select block
  KeyRows stream_keys;
  KeyRows memory_keys;
  // Of a cached run: the rows of the cache that take the new keys and values.
  std::vector<int32_t> kept_tokens;  // [T]
  std::vector<int32_t> kept_memory;  // [Tm]

  // To no rows.
  void clear();
};

// A batch without a past: positions from 0 on, keys from the batch.
void number_rows(const Code& code, const Batch& batch, RowNumbers& rows);

// Where a cached run keeps keys and values: for each layer [any, keys and values side by side].
struct KeptKeys {
  const std::vector<Matrix>& stream;
  const std::vector<Matrix>& memory;
};

// The memory of one forward; kept from call to call and only ever grown.
struct Workspace {
  DeviceMemory memory;
  RowNumbers rows;
  std::vector<float> angles;  // of each Code::angles [T, columns], one after the other
  std::vector<Distribution> distributions;  // of each worker of a cached run
};

class Forward {
 public:
  // Takes what `workspace.rows` says of `batch`; both must outlive the forward. Without `kept`,
  // attention reads the batch's own keys. Throws OUT_OF_MEMORY.
  Forward(const Code& code, ops::Device& device, const Batch& batch, const KeptKeys* kept,
          int32_t last_block, ops::Executor& executor, Workspace& workspace);

  // Throws ABORTED between two ops after `cancelled` became true.
  void run(const BlockCode& block, const std::atomic<bool>& cancelled);

  Matrix view(const Slice& slice) const;
  void download(const Slice& stream, float* destination) const;

 private:
  struct DeviceKeyRows {
    int32_t* counts = nullptr;
    int32_t* block_offsets = nullptr;
    int32_t* blocks = nullptr;
  };

  int64_t rows(Rows kind) const;
  std::optional<int64_t> layout_bytes(Rows kind) const;
  int64_t scratch_bytes(int32_t last_block) const;
  void compute_angles();
  template <typename Visit>
  void for_each_input(Visit&& visit);
  template <typename Place>
  void place_all(int32_t last_block, Place&& place);
  void lay_out(int32_t last_block);
  void upload_inputs();

  void execute(const EmbedStep& step);
  void execute(const NormStep& step);
  void execute(const LinearStep& step);
  void execute(const RotaryStep& step);
  void execute(const KeepStep& step);
  void execute(const AttentionStep& step);
  void execute(const PoolStep& step);
  void execute(const SelectStep& step);

  const Code& code_;
  ops::Device& device_;
  const ops::OpTable& table_;
  const Batch& batch_;
  const KeptKeys* kept_;
  ops::Executor& executor_;
  Workspace& workspace_;

  std::array<float*, kRowKinds> bases_ = {};  // of the regions of each kind of rows
  void* scratch_ = nullptr;
  int32_t* tokens_ = nullptr;
  int32_t* types_ = nullptr;
  int32_t* positions_ = nullptr;
  int32_t* offsets_ = nullptr;
  int32_t* selected_ = nullptr;
  float* pool_weights_ = nullptr;
  float* angles_ = nullptr;  // of each Code::angles one after the other
  int32_t* kept_tokens_ = nullptr;
  int32_t* kept_memory_ = nullptr;
  DeviceKeyRows stream_keys_;
  DeviceKeyRows memory_keys_;
};

Error out_of_memory(const Batch& batch);

}  // namespace multihead::engine
