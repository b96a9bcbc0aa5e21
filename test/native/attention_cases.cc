// Cases of `attention`: every length modulo the tile, ragged batches, masks, windows, grouped
// heads, and the inputs that hide least: large magnitudes, and scores so negative that an unmasked
// zero key would win.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "compare.h"
#include "kernel_cases.h"

namespace multihead::test {

void AttentionCase::fill(uint64_t seed, float magnitude) {
  if (query.empty()) query = random_floats(query_rows() * heads * head_dim, seed, magnitude);
  if (key.empty()) key = random_floats(key_rows() * key_heads * head_dim, seed + 1, magnitude);
  if (value.empty()) value = random_floats(key_rows() * key_heads * head_dim, seed + 2);
}

int64_t AttentionCase::query_rows() const {
  return std::accumulate(queries.begin(), queries.end(), int64_t{0});
}
int64_t AttentionCase::key_rows() const {
  return std::accumulate(keys.begin(), keys.end(), int64_t{0});
}

namespace {

// The blocks of keys as AttentionArgs lists them, and the rows of the matrix that holds them.
struct KeyLayout {
  std::vector<int32_t> block_offsets;
  std::vector<int32_t> blocks;
  int64_t rows;

  KeyLayout(const std::vector<int32_t>& counts, KeyPlaces places) : block_offsets{0}, rows(0) {
    for (int32_t count : counts) {
      for (int32_t key = 0; key < count; key += kBlock) {
        blocks.push_back(static_cast<int32_t>(rows + key));
      }
      block_offsets.push_back(static_cast<int32_t>(blocks.size()));
      rows += count;
    }
    if (places == KeyPlaces::kConsecutive) return;
    std::vector<int32_t> pages(blocks.size() + 2);  // two of them stay unused
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937(7));
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = pages[i] * kBlock;
    rows = static_cast<int64_t>(pages.size()) * kBlock;
  }

  // Puts the packed rows of `values` where the blocks lie.
  void place(const std::vector<int32_t>& counts, const std::vector<float>& values, int64_t columns,
             GuardedRows& matrix) const {
    const float* from = values.data();
    for (size_t b = 0; b < counts.size(); ++b) {
      for (int32_t key = 0; key < counts[b]; ++key, from += columns) {
        const int32_t block = blocks[static_cast<size_t>(block_offsets[b] + key / kBlock)];
        std::copy_n(from, columns, matrix.data() + (block + key % kBlock) * matrix.stride());
      }
    }
  }

 private:
  static constexpr int32_t kBlock = static_cast<int32_t>(ops::kKeyBlock);
};

}  // namespace

KernelOutput AttentionCase::run(const ops::OpTable& table, ops::Executor& executor) const {
  const int64_t query_columns = heads * head_dim, key_columns = key_heads * head_dim;
  const auto query_offsets = offsets_of(queries);
  const KeyLayout layout(keys, places);
  GuardedRows q(query_rows(), query_columns, query_columns + 7);
  GuardedRows k(layout.rows, key_columns, key_columns + 3),
      v(layout.rows, key_columns, key_columns);
  GuardedRows out(query_rows(), query_columns, query_columns + 1);
  q.fill(query);
  layout.place(keys, key, key_columns, k);
  layout.place(keys, value, key_columns, v);
  AlignedBytes scratch(table.attention_scratch_bytes(head_dim, executor.workers()));

  ops::AttentionArgs args;
  args.query = {q.data(), DType::kF32, query_rows(), query_columns, q.stride()};
  args.key = {k.data(), DType::kF32, layout.rows, key_columns, k.stride()};
  args.value = {v.data(), DType::kF32, layout.rows, key_columns, v.stride()};
  args.query_offsets = query_offsets.data();
  args.key_counts = keys.data();
  args.key_block_offsets = layout.block_offsets.data();
  args.key_blocks = layout.blocks.data();
  args.sequences = static_cast<int64_t>(queries.size());
  args.heads = heads;
  args.key_heads = key_heads;
  args.head_dim = head_dim;
  args.scale = scale != 0 ? scale : 1.0f / std::sqrt(static_cast<float>(head_dim));
  args.mask = mask;
  args.window = window;
  if (!slopes.empty()) args.slopes = slopes.data();
  if (!relative_bias.empty()) {
    args.relative_bias =
        view(relative_bias, heads, static_cast<int64_t>(relative_bias.size()) / heads);
  }
  args.scratch = scratch.data();
  args.out = {out.data(), DType::kF32, query_rows(), query_columns, out.stride()};
  table.attention(executor, args);
  return {out.values(),
          out.guards_intact() && q.guards_intact() && k.guards_intact() && v.guards_intact()};
}

namespace {

std::string name_of(const AttentionCase& c, const std::string& family) {
  std::string name =
      family + " D " + std::to_string(c.head_dim) + " heads " + std::to_string(c.heads) + "/" +
      std::to_string(c.key_heads) + (c.mask == ops::Mask::kCausal ? " causal" : "") +
      (c.slopes.empty() ? "" : " slopes") +
      (c.places == KeyPlaces::kShuffledBlocks ? " shuffled" : "") + " bias " +
      std::to_string(c.relative_bias.size()) + " window " + std::to_string(c.window) + " lengths";
  for (size_t b = 0; b < c.queries.size(); ++b) {
    name += " " + std::to_string(c.queries[b]) + "/" + std::to_string(c.keys[b]);
  }
  return name;
}

struct Collector {
  std::vector<KernelCase> cases;
  uint64_t seed = 100;

  void add(AttentionCase c, const std::string& family, float magnitude) {
    c.fill(seed += 10, magnitude);
    cases.push_back(
        {"attention", name_of(c, family), [c](const ops::OpTable& table, ops::Executor& executor) {
           return c.run(table, executor);
         }});
  }

  // Queries of +1 and keys near -1: every real score is far below zero.
  void add_negative(AttentionCase c) {
    c.query.assign(static_cast<size_t>(c.query_rows() * c.heads * c.head_dim), 1.0f);
    c.key = random_floats(c.key_rows() * c.key_heads * c.head_dim, seed += 10, 0.1f);
    for (float& x : c.key) x -= 5.0f;
    add(c, "negative", 1);
  }
};

AttentionCase self_attention(std::vector<int32_t> lengths, int64_t head_dim) {
  AttentionCase c;
  c.queries = lengths;
  c.keys = std::move(lengths);
  c.head_dim = head_dim;
  return c;
}

}  // namespace

// Every score with ALiBi slopes, relative biases of a short and a long reach, or both; by keys that
// lie in order or in pages.
void add_positions(Collector& all) {
  for (ops::Mask mask : {ops::Mask::kFull, ops::Mask::kCausal}) {
    for (int64_t window : {-1, 20, 64}) {
      for (int64_t reach : {-1, 0, 1, 5, 70, 200}) {
        for (bool slopes : {false, true}) {
          if (reach < 0 && !slopes) continue;
          AttentionCase c;
          c.queries = {1, 67, 5, 0, 9};
          c.keys = {66, 67, 130, 3, 4};
          c.heads = 6;
          c.key_heads = 2;
          c.head_dim = 20;
          c.mask = mask;
          c.window = window;
          if (slopes) c.slopes = {0.5f, 0.25f, 0.125f, 1, -0.75f, 0};
          if (reach >= 0) c.relative_bias = random_floats(6 * (2 * reach + 1), all.seed, 3);
          all.add(c, "positions", 1);
          c.places = KeyPlaces::kShuffledBlocks;
          all.add(c, "positions", 1);
        }
      }
    }
  }
}

// Decoding: a query or a few for each sequence, over groups that fill less than a vector, a panel,
// and more than one.
void add_decoding(Collector& all) {
  for (int64_t key_heads : {1, 2, 3}) {
    for (int64_t group : {1, 2, 3, 5, 8, 16, 17, 49}) {
      for (int32_t queries : {1, 2, 7}) {
        AttentionCase c;
        c.queries = {queries, queries, queries, queries, 0, queries};
        c.keys = {1, 64, 65, 200, 70, 0};
        c.heads = key_heads * group;
        c.key_heads = key_heads;
        c.head_dim = 8;
        c.mask = ops::Mask::kCausal;
        c.places = KeyPlaces::kShuffledBlocks;
        all.add(c, "decoding", 1);
      }
    }
  }
}

std::vector<KernelCase> attention_cases() {
  Collector all;
  for (int32_t length = 1; length <= 67; ++length) all.add(self_attention({length}, 8), "plain", 2);
  for (int64_t head_dim : {1, 2, 5, 12, 16, 24, 31, 32, 33, 64, 80, 128, 255, 256}) {
    all.add(self_attention({5, 0, 66, 1}, head_dim), "plain", 1);
  }
  for (ops::Mask mask : {ops::Mask::kFull, ops::Mask::kCausal}) {
    for (int64_t window : {-1, 0, 1, 15, 63, 64, 65, 500}) {
      AttentionCase c = self_attention({1, 17, 130, 64}, 16);
      c.mask = mask;
      c.window = window;
      all.add(c, "plain", 1);
      all.add(c, "large", 300);
      all.add_negative(c);
    }
  }
  for (int64_t key_heads : {1, 2, 3, 6}) {
    AttentionCase c = self_attention({13, 70}, 12);
    c.heads = 6;
    c.key_heads = key_heads;
    all.add(c, "plain", 1);
    c.mask = ops::Mask::kCausal;
    c.queries = {1, 3, 70, 4, 0};  // decoding: fewer queries than keys, none, and more
    c.keys = {65, 3, 129, 0, 9};
    all.add(c, "cross", 1);
    c.mask = ops::Mask::kFull;
    all.add(c, "cross", 1);
    c.queries = {5, 20};
    c.keys = {2, 7};
    c.mask = ops::Mask::kCausal;  // the first queries stand before the first key
    all.add(c, "cross", 1);
  }
  add_positions(all);
  add_decoding(all);
  for (int64_t head_dim : {1, 7, 64, 129, 256}) {
    AttentionCase c = self_attention({3, 100, 0, 64}, head_dim);
    c.places = KeyPlaces::kShuffledBlocks;
    all.add(c, "plain", 1);
  }
  all.add(self_attention({512}, 32), "large", 50);
  all.add(self_attention({3, 150}, 64), "large", 1000);
  all.add_negative(self_attention({1, 48, 49, 64, 65, 200}, 32));
  return std::move(all.cases);
}

}  // namespace multihead::test
