// A panel of attention: which queries and heads share the lanes, and what keys each of them sees.
//
// Lanes are pairs of a query and a head; those of one sequence whose heads read the same keys fill
// panels in the order of the queries. So a key is read once for all heads of a group, also where
// there is one query alone (decoding), and a panel's queries are neighbours, which see nearly the
// same keys. No lane's bits depend on the others.
#pragma once

#include "kernels/cpu/tile.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

using ops::kKeyBlock;

// The keys [begin, end) of a sequence.
struct KeyRange {
  int64_t begin;
  int64_t end;
};

// One worker's memory. The cursor remembers the sequence of the worker's last task: tasks are
// handed out in rising order, so the next one is found by walking on.
struct alignas(64) AttentionScratch {
  int64_t cursor_sequence;
  int64_t cursor_panel;  // panels before the cursor's sequence
  float* queries;        // [D][kPanel], scaled
  float* scores;         // [kKeyBlock][kPanel]
  float* sums;           // [kPanel][padded D], unnormalised outputs
  float* value_tail;     // [kKeyBlock][kLanes], the columns of values that fill no vector
  // Of each lane:
  int64_t row[kPanel];     // of the query in [Tq]
  int64_t column[kPanel];  // of the head's first one in `query` and `out`
  float largest[kPanel];   // running maximum of the scores
  float total[kPanel];     // running sum of the exponentials
  float factor[kPanel];    // what a new maximum multiplies the sums with
  float slope[kPanel];
  const float* bias[kPanel];  // the head's row of relative_bias
  int64_t position[kPanel];   // of the query among the keys
  KeyRange seen[kPanel];
};

inline int64_t padded_head_dim(int64_t head_dim) {
  return (head_dim + kLanes - 1) / kLanes * kLanes;
}

inline int64_t attention_worker_bytes(int64_t head_dim) {
  const int64_t floats =
      (head_dim + kKeyBlock + padded_head_dim(head_dim)) * kPanel + kKeyBlock * kLanes;
  return (floats * 4 + static_cast<int64_t>(sizeof(AttentionScratch)) + 63) / 64 * 64;
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
  scratch.value_tail = scratch.sums + padded_head_dim(head_dim) * kPanel;
}

inline int64_t panels_of_sequence(const ops::AttentionArgs& args, int64_t sequence) {
  const int64_t queries = args.query_offsets[sequence + 1] - args.query_offsets[sequence];
  return (queries * (args.heads / args.key_heads) + kPanel - 1) / kPanel;
}

struct AttentionPanel {
  int64_t key_head;
  int64_t first_pair;  // pair p is query p / group, head key_head * group + p % group
  int64_t pairs;       // 1 .. kPanel
  int64_t group;       // heads that share the keys
  int64_t query_row;   // of the sequence's first query in [Tq]
  int64_t position;    // of the sequence's first query among the keys
  int64_t keys;        // of the sequence
  const int32_t* key_blocks;
};

inline AttentionPanel find_panel(const ops::AttentionArgs& args, int64_t index,
                                 AttentionScratch& scratch) {
  const int64_t number = index / args.key_heads;
  while (number >= scratch.cursor_panel + panels_of_sequence(args, scratch.cursor_sequence)) {
    scratch.cursor_panel += panels_of_sequence(args, scratch.cursor_sequence);
    ++scratch.cursor_sequence;
  }
  const int64_t b = scratch.cursor_sequence;
  const int64_t queries = args.query_offsets[b + 1] - args.query_offsets[b];
  AttentionPanel panel;
  panel.key_head = index % args.key_heads;
  panel.group = args.heads / args.key_heads;
  panel.first_pair = (number - scratch.cursor_panel) * kPanel;
  const int64_t left = queries * panel.group - panel.first_pair;
  panel.pairs = left < kPanel ? left : kPanel;
  panel.query_row = args.query_offsets[b];
  panel.keys = args.key_counts[b];
  panel.position = panel.keys - queries;
  panel.key_blocks = args.key_blocks + args.key_block_offsets[b];
  return panel;
}

// The keys that the query at `position` may see.
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

// Transposes the queries' heads into lanes; a lane without a pair gets zeros.
inline void pack_queries(const ops::AttentionArgs& args, const AttentionPanel& panel,
                         AttentionScratch& scratch) {
  const Vec scale = broadcast(args.scale);
  for (int64_t lane = 0; lane < panel.pairs; lane += kLanes) {
    for_lanes(args.head_dim, [&](int64_t d, int columns) {
      Vec rows[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        rows[i] = zero();
        if (lane + i >= panel.pairs) continue;
        const float* query = args.query.f32_row(scratch.row[lane + i]) + scratch.column[lane + i];
        rows[i] = mul(load_lanes(query + d, columns), scale);
      }
      transpose(rows);
      for (int i = 0; i < columns; ++i) store(scratch.queries + (d + i) * kPanel + lane, rows[i]);
    });
  }
}

// Fills in each lane; those without a pair are copies of the last one with a query of zero.
inline void start_panel(const ops::AttentionArgs& args, const AttentionPanel& panel,
                        AttentionScratch& scratch) {
  int64_t query = panel.first_pair / panel.group, in_group = panel.first_pair % panel.group;
  for (int64_t lane = 0; lane < kPanel; ++lane) {
    const int64_t head = panel.key_head * panel.group + in_group;
    scratch.row[lane] = panel.query_row + query;
    scratch.column[lane] = head * args.head_dim;
    scratch.largest[lane] = -__builtin_inff();
    scratch.total[lane] = 0;
    scratch.slope[lane] = args.slopes != nullptr ? args.slopes[head] : 0.0f;
    scratch.bias[lane] =
        args.relative_bias.data != nullptr ? args.relative_bias.f32_row(head) : nullptr;
    scratch.position[lane] = panel.position + query;
    scratch.seen[lane] = visible_keys(args, panel.keys, scratch.position[lane]);
    if (lane + 1 >= panel.pairs) continue;
    if (++in_group == panel.group) {
      in_group = 0;
      ++query;
    }
  }
  const int64_t sums = panel.pairs * padded_head_dim(args.head_dim);
  for (int64_t i = 0; i < sums; ++i) scratch.sums[i] = 0;
  pack_queries(args, panel, scratch);
}

}  // namespace
}  // namespace multihead::cpu
