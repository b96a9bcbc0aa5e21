// One step of decoding: new tokens of some of a cache's sequences in, the next ones out.
//
// A decode writes only where no sequence looks yet, so that undoing it is a matter of page numbers.
// It counts once keep() is called: until then its sequences are, to everybody else, as before.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/batch.h"
#include "engine/cache.h"
#include "engine/program.h"
#include "engine/sampling.h"

namespace multihead::engine {

struct Workspace;

struct DecodeInput {
  Batch batch;                     // tokens, offsets and, with first tokens, memory
  std::vector<int32_t> sequences;  // [B]
  Choosing choosing;
};

class Decode {
 public:
  // Throws INVALID_ARGUMENT; what passes can be run. `cache` must be of `program`'s shape and
  // outlive the decode, as `program` must.
  Decode(Cache& cache, const Program& program, DecodeInput input);
  // Undoes what was not kept.
  ~Decode();
  Decode(const Decode&) = delete;
  Decode& operator=(const Decode&) = delete;

  int64_t choices() const { return input_.batch.sequences() * input_.choosing.columns(); }

  // Once. `choice` has room for choices() tokens. Throws OUT_OF_MEMORY, ABORTED soon after
  // `cancelled` became true, WEIGHT_INVALID when logits are not finite.
  void run(ops::Executor& executor, const std::atomic<bool>& cancelled, const Choice& choice);

  void keep() noexcept;

 private:
  // A page that a sequence had before it got a copy.
  struct Replaced {
    Cache::Sequence* sequence = nullptr;
    int32_t page = 0;
  };

  int64_t new_tokens(size_t b) const {
    return input_.batch.offsets[b + 1] - input_.batch.offsets[b];
  }
  int64_t new_memory(size_t b) const;
  bool reads_memory() const { return !program_.code().memory_layers.empty(); }

  void check() const;
  void check_memory() const;
  void reserve(ops::Executor& executor, const std::atomic<bool>& cancelled);
  void own_last_page(Cache::Sequence& sequence, ops::Executor& executor);
  void reserve_memory(ops::Executor& executor);
  void number_rows(Workspace& workspace) const;

  Cache& cache_;
  const Program& program_;
  DecodeInput input_;
  std::vector<Cache::Sequence*> sequences_;
  std::vector<Replaced> replaced_;
};

}  // namespace multihead::engine
