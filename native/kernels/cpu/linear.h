// Matrix product of activations with a packed weight, and everything that follows it on the way
// out.
//
// The weight lies in panels of kPanel output features, [K][kPanel] each, zero-padded. A task is a
// block of rows times a group of panels; within it each panel meets every row tile while it is in
// cache. Where rows are few a tile takes several panels at once: enough sums to hide the latency of
// one. K is never split (see tile.h). When the last task of a row block ends, it norms the block.
#pragma once

#include "kernels/cpu/math.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

// Each row block reads the whole weight, mostly from memory, and each panel the rows of its block,
// mostly from a cache: so blocks are high. 132 rows (48 would read the weight of a batch of 128
// thrice) measured 10 to 28 % faster with weights of 2 MiB and more, and no slower with less.
constexpr int64_t kRowBlock = 22 * kTileRows;

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

// Rows of x times consecutive panels of `weight`.
template <int kRows, int kPanels>
inline void multiply_panels(const ConstMatrix& x, int64_t m, const ops::PackedWeight& weight,
                            int64_t panel, Tile<kRows, kPanels * kTileVecs>& tile) {
  const int64_t panel_floats = kPanel * weight.k;
  const float* first = static_cast<const float*>(weight.data) + panel * panel_floats;
  clear(tile);
  multiply_add({x.f32_row(m), x.stride, 1}, {first, kPanel, panel_floats}, weight.k, tile);
}

// tile = scale * tile + bias, for the columns from n on
template <int kRows, int kVecs>
inline void add_bias(float scale, const float* bias, int64_t n, int64_t columns,
                     Tile<kRows, kVecs>& tile) {
  for_tile_vectors(columns, tile, [&](int64_t, int64_t column, int lanes, Vec& value) {
    value = mul(value, broadcast(scale));
    if (bias != nullptr) value = add(value, load_lanes(bias + n + column, lanes));
  });
}

template <int kRows, int kVecs>
inline void activate(ops::Activation activation, Tile<kRows, kVecs>& tile) {
  with_activation(activation, [&](auto function) {
    for (auto& row : tile.at) {
      for (Vec& value : row) value = decltype(function)::apply(value);
    }
  });
}

template <int kRows, int kVecs>
inline void store_tile(const ops::LinearArgs& args, int64_t m, int64_t n,
                       Tile<kRows, kVecs>& tile) {
  for_tile_vectors(args.weight.n - n, tile, [&](int64_t r, int64_t column, int lanes, Vec& value) {
    if (args.residual.data != nullptr) {
      value = add(value, load_lanes(args.residual.f32_row(m + r) + n + column, lanes));
    }
    store_lanes(args.out.f32_row(m + r) + n + column, value, lanes);
  });
}

// With a gate, its tile is activated first and waits for the other one.
template <int kRows, int kPanels>
inline void linear_tile(const ops::LinearArgs& args, int64_t m, int64_t panel) {
  const int64_t n = panel * kPanel, columns = args.weight.n - n;
  Tile<kRows, kPanels * kTileVecs> tile, gate;
  const bool gated = args.gate.data != nullptr;
  if (gated) {
    multiply_panels<kRows, kPanels>(args.x, m, args.gate, panel, gate);
    add_bias(1, args.gate_bias, n, columns, gate);
    activate(args.activation, gate);
  }
  multiply_panels<kRows, kPanels>(args.x, m, args.weight, panel, tile);
  add_bias(args.scale, args.bias, n, columns, tile);
  if (gated) {
    multiply(gate, tile);
  } else {
    activate(args.activation, tile);
  }
  store_tile(args, m, n, tile);
}

// How many panels a tile of `rows` takes.
constexpr int64_t panels_at_once(int64_t rows) { return rows < kTileRows ? kTileRows / rows : 1; }

// The rows [first, last) times the panels [begin, end). All row tiles meet a panel before the next
// one comes, so its memory is read once.
inline void linear_block(const ops::LinearArgs& args, int64_t first, int64_t last, int64_t begin,
                         int64_t end) {
  int64_t panel = begin;
  if (panels_at_once(last - first) > 1) {
    with_constant<kTileRows / 2>(static_cast<int>(last - first), [&](auto rows) {
      constexpr int kRows = decltype(rows)::value, kPanels = panels_at_once(kRows);
      for (; panel + kPanels <= end; panel += kPanels) {
        linear_tile<kRows, kPanels>(args, first, panel);
      }
    });
  }
  for (; panel < end; ++panel) {
    for_row_tiles(last - first, [&](int64_t row, auto rows) {
      linear_tile<decltype(rows)::value, 1>(args, first + row, panel);
    });
  }
}

// Panels a task takes: all, so that a row block stays in cache, unless there would be fewer than
// four tasks a worker to balance with.
inline int64_t panels_per_task(int64_t rows, int64_t panels, int workers) {
  if (workers == 1) return panels;
  const int64_t row_blocks = row_block_count(rows), multiple = panels_at_once(rows);
  const int64_t wanted_groups = (4 * workers + row_blocks - 1) / row_blocks;
  const int64_t group = (panels + wanted_groups - 1) / wanted_groups;
  return (group + multiple - 1) / multiple * multiple;
}

inline void linear_op(ops::Executor& executor, const ops::LinearArgs& args) {
  const int64_t row_blocks = row_block_count(args.x.rows), panels = panel_count(args.weight.n);
  if (row_blocks == 0 || panels == 0) return;
  const int64_t group = panels_per_task(args.x.rows, panels, executor.workers());
  const int64_t groups = (panels + group - 1) / group;
  int32_t* ended = static_cast<int32_t*>(args.scratch);
  for (int64_t i = 0; i < row_blocks; ++i) ended[i] = 0;

  parallel_for(executor, row_blocks * groups, [&](int64_t task, int) {
    const int64_t block = task / groups, begin = (task % groups) * group;
    const int64_t first = block * kRowBlock;
    const int64_t last = first + kRowBlock < args.x.rows ? first + kRowBlock : args.x.rows;
    linear_block(args, first, last, begin, begin + group < panels ? begin + group : panels);
    if (args.norm.kind == ops::NormKind::kNone) return;
    // Acquire and release: the last one sees what the others stored.
    if (__atomic_add_fetch(&ended[block], 1, __ATOMIC_ACQ_REL) < groups) return;
    for (int64_t m = first; m < last; ++m) {
      norm_row(args.out.f32_row(m), args.weight.n, args.norm, args.out.f32_row(m));
    }
  });
}

}  // namespace
}  // namespace multihead::cpu
