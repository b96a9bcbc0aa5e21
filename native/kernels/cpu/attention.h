// Attention that streams over the keys; scores exist for one block of keys only.
//
// For each block: scores as tiles of keys x lanes, the online softmax lane by lane, and the sums of
// values as tiles of lanes x head columns; no sum crosses lanes. Blocks begin at fixed distances
// from the sequence's first key, and a key that a lane does not see adds an exact zero. So a
// query's bits depend neither on its panel nor on where the keys lie, and decoding gives those of
// one pass.
#pragma once

#include "kernels/cpu/attention_panel.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

inline int64_t attention_scratch_bytes_op(int64_t head_dim, int workers) {
  return attention_worker_bytes(head_dim) * workers;
}

// Asks for `count` rows of `columns` floats. Rows of a cache lie too far apart for the processor to
// foresee them.
inline void prefetch_rows(const float* first, int64_t stride, int64_t count, int64_t columns) {
  constexpr int64_t kLineFloats = 16;
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t d = 0; d < columns; d += kLineFloats) __builtin_prefetch(first + r * stride + d);
  }
}

// The block's keys and values, from the column of the panel's head on.
struct KeyRows {
  const float* keys;
  const float* values;
  int64_t count;
};

// scores[j] = <key j, queries> for the block's keys
template <int kVecs>
inline void score_keys(const ops::AttentionArgs& args, const KeyRows& block,
                       AttentionScratch& scratch) {
  const TileColumns queries{scratch.queries, kPanel, 0};
  for_row_tiles(block.count, [&](int64_t row, auto rows) {
    constexpr int kRows = decltype(rows)::value;
    const float* keys = block.keys + row * args.key.stride;
    // Few lanes (decoding) wait for memory, not for sums.
    if constexpr (kVecs == 1) {
      const int64_t left = block.count - row - kRows;
      prefetch_rows(keys + kRows * args.key.stride, args.key.stride, left < kRows ? left : kRows,
                    args.head_dim);
      prefetch_rows(block.values + row * args.value.stride, args.value.stride, kRows,
                    args.head_dim);
    }
    Tile<kRows, kVecs> tile;
    clear(tile);
    multiply_add({keys, args.key.stride, 1}, queries, args.head_dim, tile);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) {
        store(scratch.scores + (row + r) * kPanel + v * kLanes, tile.at[r][v]);
      }
    }
  });
}

// scores[j] += slope * (j - position)
template <int kVecs>
inline void add_slopes(const KeyRange& block, AttentionScratch& scratch) {
  float start[kPanel];
  for (int64_t lane = 0; lane < kVecs * kLanes; ++lane) {
    start[lane] = static_cast<float>(block.begin - scratch.position[lane]);
  }
  for (int64_t j = 0; j < block.end - block.begin; ++j) {
    float* scores = scratch.scores + j * kPanel;
    for (int64_t lane = 0; lane < kVecs * kLanes; lane += kLanes) {
      const Vec distance = add(load(start + lane), broadcast(static_cast<float>(j)));
      store(scores + lane, fma(load(scratch.slope + lane), distance, load(scores + lane)));
    }
  }
}

// scores[j] += relative_bias[L + clamp(j - position, -L, L)]
inline void add_relative_bias(const ops::AttentionArgs& args, const KeyRange& block, int64_t lanes,
                              AttentionScratch& scratch) {
  const int64_t last = args.relative_bias.columns - 1;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const float* bias = scratch.bias[lane];
    float* score = scratch.scores + lane;
    int64_t column = last / 2 + block.begin - scratch.position[lane];
    for (int64_t j = block.begin; j < block.end; ++j, ++column, score += kPanel) {
      *score += bias[column < 0 ? 0 : column > last ? last : column];
    }
  }
}

// Gives -inf to the scores of keys that a lane does not see.
template <int kVecs>
inline void mask_scores(const KeyRange& block, AttentionScratch& scratch) {
  const auto in_block = [&](int64_t key) {
    const int64_t j = key - block.begin;
    return static_cast<float>(j < 0 ? 0 : j > kKeyBlock ? kKeyBlock : j);
  };
  float begin[kPanel], end[kPanel];
  for (int64_t lane = 0; lane < kVecs * kLanes; ++lane) {
    begin[lane] = in_block(scratch.seen[lane].begin);
    end[lane] = in_block(scratch.seen[lane].end);
  }
  const Vec hidden = broadcast(-__builtin_inff());
  for (int64_t j = 0; j < block.end - block.begin; ++j) {
    const Vec key = broadcast(static_cast<float>(j));
    for (int64_t lane = 0; lane < kVecs * kLanes; lane += kLanes) {
      float* scores = scratch.scores + j * kPanel + lane;
      const Vec before_end = where_less(key, load(end + lane), load(scores), hidden);
      store(scores, where_less(key, load(begin + lane), hidden, before_end));
    }
  }
}

// Turns a vector's scores into exponentials against the new running maximum, and notes the factor
// that earlier sums must be multiplied with.
inline void soften(AttentionScratch& scratch, int64_t count, int64_t lane) {
  float* scores = scratch.scores + lane;
  const Vec before = load(scratch.largest + lane);
  Vec largest = before;
  for (int64_t j = 0; j < count; ++j) largest = larger(largest, load(scores + j * kPanel));
  store(scratch.largest + lane, largest);
  // A query that has seen no key yet has -inf: shift by 0 there, as -inf - -inf is NaN.
  const Vec shift = where_less(broadcast(-__builtin_inff()), largest, largest, zero());
  Vec total = zero();
  for (int64_t j = 0; j < count; ++j) {
    const Vec weight = exp(sub(load(scores + j * kPanel), shift));
    store(scores + j * kPanel, weight);
    total = add(total, weight);
  }
  const Vec factor = exp(sub(before, shift));
  store(scratch.factor + lane, factor);
  store(scratch.total + lane, fma(load(scratch.total + lane), factor, total));
}

// sums[lane] = sums[lane] * factor + sum_j scores[j][lane] * value[j], in kVecs vectors of columns.
template <int kVecs>
inline void add_value_columns(const TileColumns& values, int64_t count, int64_t lanes,
                              int64_t sums_stride, float* sums, const AttentionScratch& scratch) {
  for_row_tiles(lanes, [&](int64_t lane, auto rows) {
    constexpr int kRows = decltype(rows)::value;
    float* first = sums + lane * sums_stride;
    Tile<kRows, kVecs> tile;
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = broadcast(scratch.factor[lane + r]);
      for (int v = 0; v < kVecs; ++v) {
        tile.at[r][v] = mul(load(first + r * sums_stride + v * kLanes), factor);
      }
    }
    multiply_add({scratch.scores + lane, 1, kPanel}, values, count, tile);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVecs; ++v) store(first + r * sums_stride + v * kLanes, tile.at[r][v]);
    }
  });
}

inline void add_values(const ops::AttentionArgs& args, const KeyRows& block, int64_t lanes,
                       AttentionScratch& scratch) {
  const float* values = block.values;
  const int64_t count = block.count;
  const int64_t stride = padded_head_dim(args.head_dim);
  const int64_t whole = args.head_dim / kLanes * kLanes;
  for (int64_t d = 0; d < whole; d += kPanel) {
    const int64_t vecs = (whole - d) / kLanes < kTileVecs ? (whole - d) / kLanes : kTileVecs;
    with_constant<kTileVecs>(static_cast<int>(vecs), [&](auto constant) {
      add_value_columns<decltype(constant)::value>({values + d, args.value.stride, 0}, count, lanes,
                                                   stride, scratch.sums + d, scratch);
    });
  }
  if (whole == args.head_dim) return;
  const int rest = static_cast<int>(args.head_dim - whole);
  for (int64_t j = 0; j < count; ++j) {
    store(scratch.value_tail + j * kLanes,
          load_first(values + j * args.value.stride + whole, rest));
  }
  add_value_columns<1>({scratch.value_tail, kLanes, 0}, count, lanes, stride, scratch.sums + whole,
                       scratch);
}

inline void write_out(const ops::AttentionArgs& args, const AttentionPanel& panel,
                      const AttentionScratch& scratch) {
  for (int64_t lane = 0; lane < panel.pairs; ++lane) {
    const float total = scratch.total[lane];
    const Vec factor = broadcast(total == 0 ? 0.0f : 1.0f / total);
    const float* sums = scratch.sums + lane * padded_head_dim(args.head_dim);
    float* out = args.out.f32_row(scratch.row[lane]) + scratch.column[lane];
    for_lanes(args.head_dim, [&](int64_t d, int lanes) {
      // Adding zero makes +0 of -0, which a masked key would make of it too.
      store_lanes(out + d, add(mul(load_lanes(sums + d, lanes), factor), zero()), lanes);
    });
  }
}

template <int kVecs>
inline void attend(const ops::AttentionArgs& args, const AttentionPanel& panel,
                   AttentionScratch& scratch) {
  start_panel(args, panel, scratch);
  const int64_t column = panel.key_head * args.head_dim;
  // All that any lane sees lies between the two; what every lane sees, inside both.
  const KeyRange first = scratch.seen[0], last = scratch.seen[panel.pairs - 1];
  for (int64_t j = first.begin / kKeyBlock * kKeyBlock; j < last.end; j += kKeyBlock) {
    const KeyRange block{j, j + kKeyBlock < last.end ? j + kKeyBlock : last.end};
    const int64_t row = panel.key_blocks[j / kKeyBlock];
    const KeyRows rows{args.key.f32_row(row) + column, args.value.f32_row(row) + column,
                       block.end - block.begin};
    score_keys<kVecs>(args, rows, scratch);
    if (args.slopes != nullptr) add_slopes<kVecs>(block, scratch);
    if (args.relative_bias.data != nullptr) {
      add_relative_bias(args, block, panel.pairs, scratch);
    }
    if (block.begin < last.begin || block.end > first.end) mask_scores<kVecs>(block, scratch);
    for (int v = 0; v < kVecs; ++v) soften(scratch, rows.count, v * kLanes);
    add_values(args, rows, panel.pairs, scratch);
  }
  write_out(args, panel, scratch);
}

inline void attention_op(ops::Executor& executor, const ops::AttentionArgs& args) {
  int64_t panels = 0;
  for (int64_t b = 0; b < args.sequences; ++b) panels += panels_of_sequence(args, b);
  for (int w = 0; w < executor.workers(); ++w) lay_out(attention_scratch(args, w), args.head_dim);
  parallel_for(executor, panels * args.key_heads, [&](int64_t index, int worker) {
    AttentionScratch& scratch = attention_scratch(args, worker);
    const AttentionPanel panel = find_panel(args, index, scratch);
    const int vecs = static_cast<int>((panel.pairs + kLanes - 1) / kLanes);
    with_constant<kTileVecs>(
        vecs, [&](auto constant) { attend<decltype(constant)::value>(args, panel, scratch); });
  });
}

}  // namespace
}  // namespace multihead::cpu
