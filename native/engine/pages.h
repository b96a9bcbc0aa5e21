// Memory for keys and values in pages of ops::kKeyBlock rows, which sequences take, share and give
// back (Kwon et al. 2023, arXiv:2309.06180).
//
// A page is so many rows of every layer. One allocation holds all pages; they change hands without
// being cleared.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/tensor.h"
#include "engine/memory.h"
#include "ops/device.h"

namespace multihead::engine {

class Pages {
 public:
  // `columns` of each layer's rows. Throws OUT_OF_MEMORY.
  Pages(ops::Device& device, std::vector<int64_t> columns, int64_t count);

  // Of each layer, [count * ops::kKeyBlock, columns].
  const std::vector<Matrix>& layers() const { return layers_; }
  int64_t count() const { return static_cast<int64_t>(holders_.size()); }
  // From any thread.
  int64_t free_count() const { return free_count_.load(std::memory_order_relaxed); }
  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Throws OUT_OF_MEMORY unless so many pages are free.
  void check_free(int64_t needed) const;
  // A page with one holder. Throws OUT_OF_MEMORY when none is free.
  int32_t take();
  bool is_shared(int32_t page) const { return holders_[static_cast<size_t>(page)] > 1; }
  void share(int32_t page) noexcept { ++holders_[static_cast<size_t>(page)]; }
  void release(int32_t page) noexcept;

  // The first `rows` rows of every layer.
  void copy(int32_t from, int32_t to, int64_t rows, ops::Executor& executor);
  // To `count` pages in all; those in use keep their content. Throws OUT_OF_MEMORY, having changed
  // nothing.
  void grow(int64_t count, ops::Executor& executor);

 private:
  void add_free(int64_t begin, int64_t end);
  std::vector<Matrix> lay_out(const DeviceMemory& memory, int64_t count) const;

  ops::Device& device_;
  std::vector<int64_t> columns_;
  DeviceMemory memory_;
  DeviceMemory row_numbers_;  // 0, 1, 2 ... of one page
  std::vector<Matrix> layers_;
  std::vector<int32_t> holders_;  // of each page; 0: free
  std::vector<int32_t> free_;
  std::atomic<int64_t> free_count_{0};
  std::atomic<int64_t> bytes_{0};
};

}  // namespace multihead::engine
