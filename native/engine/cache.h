// Sequences that are being decoded: which pages hold their keys and values.
//
// Sequences share full pages and unfinished ones alike; who appends to an unfinished page that
// others hold gets a copy of it first. Not thread-safe but for info(): one decode (decode.h) or one
// call at a time.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/pages.h"
#include "engine/program.h"

namespace multihead::engine {

// More pages would have rows that an int32 cannot number.
constexpr int64_t kMaxPages = ((int64_t{1} << 31) - 1) / ops::kKeyBlock;
constexpr int64_t kMaxOpenSequences = int64_t{1} << 20;

struct CacheInfo {
  int64_t pages = 0;
  int64_t free_pages = 0;
  int64_t bytes = 0;
};

class Cache {
 public:
  // Throws UNSUPPORTED when `program` is not a decoder (lib/native.ts, createCache),
  // INVALID_ARGUMENT for the number of pages, OUT_OF_MEMORY. Of `program` only the device must
  // outlive the cache.
  Cache(const Program& program, int64_t pages);

  // From any thread.
  CacheInfo info() const;

  // Each throws INVALID_ARGUMENT, having changed nothing.
  std::vector<int32_t> open(int64_t count);
  std::vector<int32_t> fork(const std::vector<int32_t>& ids);
  void close(const std::vector<int32_t>& ids);

 private:
  friend class Decode;

  struct Sequence {
    int64_t length = 0;
    std::vector<int32_t> pages;
    int64_t memory_rows = 0;
    std::vector<int32_t> memory_pages;
  };

  Sequence& find(const std::vector<int32_t>& ids, size_t index);
  void check_distinct(const std::vector<int32_t>& ids) const;
  void check_room(int64_t count) const;
  int32_t add(Sequence sequence);
  void release(const Sequence& sequence) noexcept;

  Pages pages_;
  Pages memory_pages_;
  std::unordered_map<int32_t, Sequence> sequences_;
  int32_t next_id_ = 0;
};

}  // namespace multihead::engine
