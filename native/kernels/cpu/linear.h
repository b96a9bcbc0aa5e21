// Matrix product of activations with a packed weight, and everything that follows it on the way
// out.
//
// The weight lies in panels of kPanel output features, [K][kPanel] each, zero-padded. A task is a
// block of rows times a group of panels; within it each panel meets every row tile while it is in
// cache. K is never split (see tile.h). When the last task of a row block ends, it norms the block.
#pragma once

#include "kernels/cpu/math.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

// 64 rows of A (96 KiB at K = 384) and one panel (72 KiB) share a 1 MiB L2 with room for C.
constexpr int64_t kRowBlock = 8 * kTileRows;

inline int64_t panel_count(int64_t n) { return (n + kPanel - 1) / kPanel; }
inline int64_t row_block_count(int64_t m) { return (m + kRowBlock - 1) / kRowBlock; }

inline int64_t packed_linear_bytes_op(int64_t n, int64_t k) {
  return panel_count(n) * kPanel * k * static_cast<int64_t>(sizeof(float));
}

inline void pack_linear_op(ops::Executor& executor, const ops::PackLinearArgs& args) {
  const int64_t n = args.weight.rows, k_count = args.weight.columns;
  parallel_for(executor, panel_count(n), [&](int64_t p, int) {
    float* panel = static_cast<float*>(args.packed) + p * kPanel * k_count;
    for (int64_t column = 0; column < kPanel; ++column) {
      const int64_t feature = p * kPanel + column;
      const float* row = feature < n ? args.weight.f32_row(feature) : nullptr;
      for (int64_t k = 0; k < k_count; ++k) {
        panel[k * kPanel + column] = row != nullptr ? row[k] : 0.0f;
      }
    }
  });
}

// One counter a row block: how many of its tasks have ended.
inline int64_t linear_scratch_bytes_op(int64_t m, int64_t, int64_t, int) {
  return row_block_count(m) * static_cast<int64_t>(sizeof(int32_t));
}

// Bias, activation and residual of one vector of results on their way to `out`.
template <typename Activation>
inline void finish(const ops::LinearArgs& args, int64_t m, int64_t n, int lanes, Vec value) {
  if (args.bias != nullptr) value = add(value, load_lanes(args.bias + n, lanes));
  value = Activation::apply(value);
  if (args.residual.data != nullptr) {
    value = add(value, load_lanes(args.residual.f32_row(m) + n, lanes));
  }
  store_lanes(args.out.f32_row(m) + n, value, lanes);
}

template <typename Activation, int kRows>
inline void linear_tile(const ops::LinearArgs& args, int64_t m, int64_t n, const float* panel) {
  Vec acc[kRows][kTileVecs];
  for (auto& row : acc) {
    for (Vec& v : row) v = zero();
  }
  multiply_tile(args.x.f32_row(m), args.x.stride, 1, panel, args.weight.k, acc);
  const int64_t columns = args.weight.n - n;
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kTileVecs; ++v) {
      const int64_t left = columns - v * kLanes;
      if (left <= 0) break;
      finish<Activation>(args, m + r, n + v * kLanes,
                         left < kLanes ? static_cast<int>(left) : kLanes, acc[r][v]);
    }
  }
}

// The rows [first, last) times the panels [begin, end).
template <typename Activation>
inline void linear_block(const ops::LinearArgs& args, int64_t first, int64_t last, int64_t begin,
                         int64_t end) {
  const float* packed = static_cast<const float*>(args.weight.data);
  for (int64_t p = begin; p < end; ++p) {
    const float* panel = packed + p * kPanel * args.weight.k;
    for_row_tiles(last - first, [&](int64_t row, auto rows) {
      linear_tile<Activation, decltype(rows)::value>(args, first + row, p * kPanel, panel);
    });
  }
}

// Panels a task takes: all, so that a row block stays in cache, unless there would be fewer than
// four tasks a worker to balance with.
inline int64_t panels_per_task(int64_t row_blocks, int64_t panels, int workers) {
  if (workers == 1) return panels;
  const int64_t wanted_groups = (4 * workers + row_blocks - 1) / row_blocks;
  const int64_t group = (panels + wanted_groups - 1) / wanted_groups;
  return group > 1 ? group : 1;
}

inline void linear_op(ops::Executor& executor, const ops::LinearArgs& args) {
  const int64_t row_blocks = row_block_count(args.x.rows), panels = panel_count(args.weight.n);
  if (row_blocks == 0 || panels == 0) return;
  const int64_t group = panels_per_task(row_blocks, panels, executor.workers());
  const int64_t groups = (panels + group - 1) / group;
  int32_t* ended = static_cast<int32_t*>(args.scratch);
  for (int64_t i = 0; i < row_blocks; ++i) ended[i] = 0;

  with_activation(args.activation, [&](auto activation) {
    parallel_for(executor, row_blocks * groups, [&](int64_t task, int) {
      const int64_t block = task / groups, begin = (task % groups) * group;
      const int64_t first = block * kRowBlock;
      const int64_t last = first + kRowBlock < args.x.rows ? first + kRowBlock : args.x.rows;
      linear_block<decltype(activation)>(args, first, last, begin,
                                         begin + group < panels ? begin + group : panels);
      if (args.norm.kind == ops::NormKind::kNone) return;
      // Acquire and release: the last one sees what the others stored.
      if (__atomic_add_fetch(&ended[block], 1, __ATOMIC_ACQ_REL) < groups) return;
      for (int64_t m = first; m < last; ++m) {
        norm_row(args.out.f32_row(m), args.weight.n, args.norm, args.out.f32_row(m));
      }
    });
  });
}

}  // namespace
}  // namespace multihead::cpu
