// Attention that streams over the keys; scores exist for one block of keys only.
//
// Lanes are queries: up to kPanel queries of one head are packed as a panel [D][kPanel], so both
// products are register tiles that broadcast straight from the key and value rows, softmax
// statistics are one vector each, and no sum crosses lanes. Key blocks begin at fixed distances
// from the sequence's first key, so a query's bits do not depend on which queries share its panel.
#pragma once

#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

using ops::kKeyBlock;
constexpr float kMinusInfinity = -__builtin_inff();

// One worker's memory. The cursor remembers the sequence of the worker's last task: tasks are
// handed out in rising order, so the next one is found by walking on.
struct AttentionScratch {
  int64_t cursor_sequence;
  int64_t cursor_panel;  // panels before the cursor's sequence
  float* queries;        // [D][kPanel], scaled
  float* scores;         // [kKeyBlock][kPanel]
  float* sums;           // [D][kPanel], unnormalised outputs
  float* largest;        // [kPanel], running maximum of the scores
  float* total;          // [kPanel], running sum of the exponentials
};

inline int64_t attention_worker_bytes(int64_t head_dim) {
  const int64_t floats = (2 * head_dim + kKeyBlock + 2) * kPanel;
  return (floats * 4 + static_cast<int64_t>(sizeof(AttentionScratch)) + 63) / 64 * 64;
}

inline int64_t attention_scratch_bytes_op(int64_t head_dim, int workers) {
  return attention_worker_bytes(head_dim) * workers;
}

inline AttentionScratch& attention_scratch(const ops::AttentionArgs& args, int worker) {
  char* base = static_cast<char*>(args.scratch) + worker * attention_worker_bytes(args.head_dim);
  return *reinterpret_cast<AttentionScratch*>(base);
}

inline void lay_out(AttentionScratch& scratch, int64_t head_dim) {
  scratch.cursor_sequence = 0;
  scratch.cursor_panel = 0;
  scratch.queries = reinterpret_cast<float*>(&scratch + 1);
  scratch.scores = scratch.queries + head_dim * kPanel;
  scratch.sums = scratch.scores + kKeyBlock * kPanel;
  scratch.largest = scratch.sums + head_dim * kPanel;
  scratch.total = scratch.largest + kPanel;
}

inline int64_t query_panels(const ops::AttentionArgs& args, int64_t sequence) {
  const int64_t queries = args.query_offsets[sequence + 1] - args.query_offsets[sequence];
  return (queries + kPanel - 1) / kPanel;
}

// A panel of queries of one sequence and head, and the keys it may see.
struct AttentionTask {
  int64_t head;
  int64_t query_row;          // of the first query in [Tq]
  int64_t queries;            // 1 .. kPanel
  const int32_t* key_blocks;  // first rows of the sequence's blocks of keys
  int64_t keys;               // of the sequence
  int64_t position;           // of the first query among the keys
};

inline AttentionTask find_task(const ops::AttentionArgs& args, int64_t index,
                               AttentionScratch& scratch) {
  const int64_t panel = index / args.heads;
  while (panel >= scratch.cursor_panel + query_panels(args, scratch.cursor_sequence)) {
    scratch.cursor_panel += query_panels(args, scratch.cursor_sequence);
    ++scratch.cursor_sequence;
  }
  const int64_t b = scratch.cursor_sequence;
  const int64_t first = (panel - scratch.cursor_panel) * kPanel;
  const int64_t all_queries = args.query_offsets[b + 1] - args.query_offsets[b];
  AttentionTask task;
  task.head = index % args.heads;
  task.query_row = args.query_offsets[b] + first;
  task.queries = all_queries - first < kPanel ? all_queries - first : kPanel;
  task.key_blocks = args.key_blocks + args.key_block_offsets[b];
  task.keys = args.key_counts[b];
  task.position = task.keys - all_queries + first;
  return task;
}

// The keys [begin, end) that the query at `position` may see.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

inline KeyRange visible_keys(const ops::AttentionArgs& args, int64_t keys, int64_t position) {
  KeyRange range{0, keys};
  if (args.window >= 0) {
    if (position - args.window > 0) range.begin = position - args.window;
    if (position + args.window + 1 < range.end) range.end = position + args.window + 1;
  }
  if (args.mask == ops::Mask::kCausal && position + 1 < range.end) range.end = position + 1;
  if (range.end < 0) range.end = 0;
  return range;
}

inline void pack_queries(const ops::AttentionArgs& args, const AttentionTask& task,
                         AttentionScratch& scratch) {
  for (int64_t q = 0; q < kPanel; ++q) {
    const float* row = q < task.queries
                           ? args.query.f32_row(task.query_row + q) + task.head * args.head_dim
                           : nullptr;
    for (int64_t d = 0; d < args.head_dim; ++d) {
      scratch.queries[d * kPanel + q] = row != nullptr ? row[d] * args.scale : 0.0f;
    }
  }
}

// Gives -inf to the scores of keys that a query may not see.
inline void mask_scores(const ops::AttentionArgs& args, const AttentionTask& task,
                        const KeyRange& block, AttentionScratch& scratch) {
  for (int64_t q = 0; q < task.queries; ++q) {
    const KeyRange seen = visible_keys(args, task.keys, task.position + q);
    for (int64_t j = block.begin; j < block.end; ++j) {
      if (j < seen.begin || j >= seen.end) {
        scratch.scores[(j - block.begin) * kPanel + q] = kMinusInfinity;
      }
    }
  }
}

// scores[j] = <key j, queries> for the block's keys
template <int kVecs>
inline void score_keys(const ops::AttentionArgs& args, const float* keys, int64_t count,
                       AttentionScratch& scratch) {
  for_row_tiles(count, [&](int64_t row, auto rows) {
    constexpr int kRows = decltype(rows)::value;
    Vec acc[kRows][kVecs];
    for (auto& line : acc) {
      for (Vec& v : line) v = zero();
    }
    multiply_tile(keys + row * args.key.stride, args.key.stride, 1, scratch.queries, args.head_dim,
                  acc);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) {
        store(scratch.scores + (row + r) * kPanel + v * kLanes, acc[r][v]);
      }
    }
  });
}

// Turns scores into exponentials against the new running maximum; returns the factor that earlier
// sums must be multiplied with.
inline Vec soften(AttentionScratch& scratch, int64_t count, int lane) {
  float* scores = scratch.scores + lane;
  const Vec before = load(scratch.largest + lane);
  Vec largest = before;
  for (int64_t j = 0; j < count; ++j) largest = larger(largest, load(scores + j * kPanel));
  store(scratch.largest + lane, largest);
  // A query that has seen no key yet has -inf: shift by 0 there, as -inf - -inf is NaN.
  const Vec shift = where_less(broadcast(kMinusInfinity), largest, largest, zero());
  Vec total = zero();
  for (int64_t j = 0; j < count; ++j) {
    const Vec weight = exp(sub(load(scores + j * kPanel), shift));
    store(scores + j * kPanel, weight);
    total = add(total, weight);
  }
  const Vec factor = exp(sub(before, shift));
  store(scratch.total + lane, fma(load(scratch.total + lane), factor, total));
  return factor;
}

// sums[d] = sums[d] * factor + sum_j value[j][d] * scores[j]
template <int kVecs>
inline void add_values(const ops::AttentionArgs& args, const float* values, int64_t count,
                       const Vec (&factor)[kVecs], AttentionScratch& scratch) {
  for_row_tiles(args.head_dim, [&](int64_t d, auto rows) {
    constexpr int kRows = decltype(rows)::value;
    Vec acc[kRows][kVecs];
    float* sums = scratch.sums + d * kPanel;
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) {
        acc[r][v] = mul(load(sums + r * kPanel + v * kLanes), factor[v]);
      }
    }
    multiply_tile(values + d, 1, args.value.stride, scratch.scores, count, acc);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) store(sums + r * kPanel + v * kLanes, acc[r][v]);
    }
  });
}

inline void write_out(const ops::AttentionArgs& args, const AttentionTask& task,
                      const AttentionScratch& scratch) {
  for (int64_t q = 0; q < task.queries; ++q) {
    const float total = scratch.total[q];
    const float factor = total == 0 ? 0.0f : 1.0f / total;
    float* out = args.out.f32_row(task.query_row + q) + task.head * args.head_dim;
    for (int64_t d = 0; d < args.head_dim; ++d) out[d] = scratch.sums[d * kPanel + q] * factor;
  }
}

template <int kVecs>
inline void attend(const ops::AttentionArgs& args, const AttentionTask& task,
                   AttentionScratch& scratch) {
  pack_queries(args, task, scratch);
  for (int64_t i = 0; i < args.head_dim * kPanel; ++i) scratch.sums[i] = 0;
  for (int64_t q = 0; q < kPanel; ++q) {
    scratch.largest[q] = kMinusInfinity;
    scratch.total[q] = 0;
  }
  const int64_t group = task.head / (args.heads / args.key_heads);
  const int64_t column = group * args.head_dim;

  // All that any query of the panel sees, and what each of them sees: outside the latter, mask.
  const KeyRange first = visible_keys(args, task.keys, task.position);
  const KeyRange last = visible_keys(args, task.keys, task.position + task.queries - 1);
  for (int64_t j = first.begin / kKeyBlock * kKeyBlock; j < last.end; j += kKeyBlock) {
    const KeyRange block{j, j + kKeyBlock < task.keys ? j + kKeyBlock : task.keys};
    const int64_t count = block.end - block.begin;
    const int64_t row = task.key_blocks[j / kKeyBlock];
    score_keys<kVecs>(args, args.key.f32_row(row) + column, count, scratch);
    if (block.begin < last.begin || block.end > first.end) {
      mask_scores(args, task, block, scratch);
    }
    Vec factor[kVecs];
    for (int v = 0; v < kVecs; ++v) factor[v] = soften(scratch, count, v * kLanes);
    add_values<kVecs>(args, args.value.f32_row(row) + column, count, factor, scratch);
  }
  write_out(args, task, scratch);
}

inline void attention_op(ops::Executor& executor, const ops::AttentionArgs& args) {
  int64_t panels = 0;
  for (int64_t b = 0; b < args.sequences; ++b) panels += query_panels(args, b);
  for (int w = 0; w < executor.workers(); ++w) lay_out(attention_scratch(args, w), args.head_dim);
  parallel_for(executor, panels * args.heads, [&](int64_t index, int worker) {
    AttentionScratch& scratch = attention_scratch(args, worker);
    const AttentionTask task = find_task(args, index, scratch);
    const int vecs = static_cast<int>((task.queries + kLanes - 1) / kLanes);
    with_constant<kTileVecs>(
        vecs, [&](auto constant) { attend<decltype(constant)::value>(args, task, scratch); });
  });
}

}  // namespace
}  // namespace multihead::cpu
