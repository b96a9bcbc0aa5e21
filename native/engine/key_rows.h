// Where the keys of each sequence lie, in the form that ops::AttentionArgs takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ops/ops.h"

namespace multihead::engine {

inline int64_t key_blocks(int64_t keys) { return (keys + ops::kKeyBlock - 1) / ops::kKeyBlock; }

struct KeyRows {
  std::vector<int32_t> counts;         // [B]
  std::vector<int32_t> block_offsets;  // [B + 1]
  std::vector<int32_t> blocks;         // [block_offsets[B]], the first row of each

  // To no sequences.
  void clear() {
    counts.clear();
    block_offsets.assign(1, 0);
    blocks.clear();
  }

  // One more sequence, whose `keys` keys fill `pages`, given in units of ops::kKeyBlock rows.
  void add_pages(int64_t keys, const std::vector<int32_t>& pages) {
    for (const int32_t page : pages) {
      blocks.push_back(page * static_cast<int32_t>(ops::kKeyBlock));
    }
    end_sequence(keys);
  }

  // One more sequence, whose keys are the rows [begin, end).
  void add_consecutive(int32_t begin, int32_t end) {
    for (int64_t row = begin; row < end; row += ops::kKeyBlock) {
      blocks.push_back(static_cast<int32_t>(row));
    }
    end_sequence(end - begin);
  }

 private:
  void end_sequence(int64_t keys) {
    counts.push_back(static_cast<int32_t>(keys));
    block_offsets.push_back(static_cast<int32_t>(blocks.size()));
  }
};

}  // namespace multihead::engine
