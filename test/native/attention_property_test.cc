// What must hold of attention whatever the numbers are: batch invariance, decoding that equals one
// pass, keys that may lie anywhere, and the laws of softmax.
#include <algorithm>
#include <cmath>

#include "kernel_cases.h"
#include "properties.h"
#include "test.h"

namespace multihead::test {
namespace {

// Ragged, masked batches: each sequence alone, and among NaN neighbours, gives the bits it gives in
// the batch, in either order.
TEST(a_sequence_attends_alone_as_it_does_in_a_batch) {
  SerialExecutor executor(2);
  for_each_table([&](const cpu::Isa& isa) {
    for (ops::Mask mask : {ops::Mask::kFull, ops::Mask::kCausal}) {
      for (int64_t window : {-1, 20}) {
        AttentionCase batch;
        batch.queries = {1, 50, 0, 17, 130, 64};
        batch.keys = {1, 70, 3, 17, 130, 66};
        batch.mask = mask;
        batch.window = window;
        batch.fill(9, 3);
        const int64_t width = batch.heads * batch.head_dim;
        const auto all = batch.run(*isa.table, executor).values;
        const auto query_offsets = offsets_of(batch.queries), key_offsets = offsets_of(batch.keys);
        for (size_t b = 0; b < batch.queries.size(); ++b) {
          const auto expected = rows_of(all, query_offsets[b], query_offsets[b + 1], width);
          AttentionCase alone = batch;
          alone.queries = {batch.queries[b]};
          alone.keys = {batch.keys[b]};
          alone.query = rows_of(batch.query, query_offsets[b], query_offsets[b + 1], width);
          alone.key = rows_of(batch.key, key_offsets[b], key_offsets[b + 1], width);
          alone.value = rows_of(batch.value, key_offsets[b], key_offsets[b + 1], width);
          CHECK(same_bits(alone.run(*isa.table, executor).values, expected));

          AttentionCase poisoned = batch;
          const auto poison = [&](std::vector<float>& values, int32_t first, int32_t last) {
            for (size_t i = 0; i < values.size(); ++i) {
              const int64_t row = static_cast<int64_t>(i) / width;
              if (row < first || row >= last) values[i] = NAN;
            }
          };
          poison(poisoned.query, query_offsets[b], query_offsets[b + 1]);
          poison(poisoned.key, key_offsets[b], key_offsets[b + 1]);
          poison(poisoned.value, key_offsets[b], key_offsets[b + 1]);
          const auto among = poisoned.run(*isa.table, executor).values;
          CHECK(same_bits(rows_of(among, query_offsets[b], query_offsets[b + 1], width), expected));
        }
      }
    }
  });
}

// A sequence of `length` queries over as many keys, with every kind of score.
AttentionCase causal_sequence(int32_t length, int64_t heads, int64_t key_heads, int64_t head_dim) {
  AttentionCase c;
  c.queries = c.keys = {length};
  c.heads = heads;
  c.key_heads = key_heads;
  c.head_dim = head_dim;
  c.mask = ops::Mask::kCausal;
  c.slopes = random_floats(heads, 40, 0.5f);
  c.relative_bias = random_floats(heads * 61, 41);
  c.fill(42, 2);
  return c;
}

// The queries [first, last) of a sequence over the keys up to the last of them.
std::vector<float> part_of(const AttentionCase& whole, int32_t first, int32_t last,
                           KeyPlaces places, const ops::OpTable& table) {
  SerialExecutor executor;
  const int64_t width = whole.heads * whole.head_dim, key_width = whole.key_heads * whole.head_dim;
  AttentionCase part = whole;
  part.queries = {last - first};
  part.keys = {last};
  part.query = rows_of(whole.query, first, last, width);
  part.key = rows_of(whole.key, 0, last, key_width);
  part.value = rows_of(whole.value, 0, last, key_width);
  part.places = places;
  return part.run(table, executor).values;
}

TEST(decoding_token_by_token_gives_the_bits_of_one_pass) {
  struct Heads {
    int64_t heads, key_heads, head_dim;
  };
  SerialExecutor executor;
  for_each_table([&](const cpu::Isa& isa) {
    for (Heads h : {Heads{2, 2, 16}, {6, 2, 12}, {8, 1, 8}, {17, 1, 5}, {2, 1, 256}}) {
      for (int64_t window : {-1, 30}) {
        AttentionCase whole = causal_sequence(140, h.heads, h.key_heads, h.head_dim);
        whole.window = window;
        const auto expected = whole.run(*isa.table, executor).values;
        const auto check_part = [&](int32_t first, int32_t last) {
          const auto rows = rows_of(expected, first, last, h.heads * h.head_dim);
          for (KeyPlaces places : {KeyPlaces::kConsecutive, KeyPlaces::kShuffledBlocks}) {
            CHECK_MESSAGE(same_bits(part_of(whole, first, last, places, *isa.table), rows),
                          std::string(isa.name) + " heads " + std::to_string(h.heads) + "/" +
                              std::to_string(h.key_heads) + " window " + std::to_string(window) +
                              " queries " + std::to_string(first) + " to " + std::to_string(last));
          }
        };
        check_part(0, 37);
        for (int32_t t = 0; t < 140; ++t) check_part(t, t + 1);
        for (int32_t t = 37; t + 5 <= 140; t += 5) check_part(t, t + 5);
      }
    }
  });
}

TEST(where_keys_lie_changes_no_bit) {
  SerialExecutor executor(2);
  for_each_table([&](const cpu::Isa& isa) {
    for (const AttentionCase& lengths :
         {causal_sequence(200, 4, 2, 24), causal_sequence(64, 3, 3, 9)}) {
      AttentionCase shuffled = lengths;
      shuffled.places = KeyPlaces::kShuffledBlocks;
      CHECK(same_bits(shuffled.run(*isa.table, executor).values,
                      lengths.run(*isa.table, executor).values));
    }
  });
}

TEST(position_scores_keep_their_laws) {
  SerialExecutor executor;
  for_each_table([&](const cpu::Isa& isa) {
    AttentionCase plain = causal_sequence(90, 2, 1, 16);
    plain.slopes.clear();
    plain.relative_bias.clear();
    const auto expected = plain.run(*isa.table, executor).values;

    AttentionCase biased = plain;
    biased.relative_bias.assign(2 * 31, 0.0f);
    CHECK(same_bits(biased.run(*isa.table, executor).values, expected));
    biased.slopes = {0, 0};
    CHECK(same_bits(biased.run(*isa.table, executor).values, expected));

    // One bias for all distances shifts all scores alike.
    biased.relative_bias.assign(2 * 31, 2.5f);
    const auto shifted = biased.run(*isa.table, executor).values;
    for (size_t i = 0; i < shifted.size(); ++i) CHECK(std::abs(shifted[i] - expected[i]) < 1e-5f);

    // A slope is the relative bias that grows with the distance.
    AttentionCase sloped = plain, table = plain;
    sloped.slopes = {0.5f, -0.125f};
    for (float slope : sloped.slopes) {
      for (int distance = -90; distance <= 90; ++distance) {
        table.relative_bias.push_back(slope * static_cast<float>(distance));
      }
    }
    const auto by_slope = sloped.run(*isa.table, executor).values;
    const auto by_table = table.run(*isa.table, executor).values;
    for (size_t i = 0; i < by_slope.size(); ++i) {
      CHECK(std::abs(by_slope[i] - by_table[i]) < 1e-5f);
    }

    // A slope so steep that only the nearest key is left.
    sloped.slopes = {1000, 1000};
    const auto nearest = sloped.run(*isa.table, executor).values;
    for (size_t i = 0; i < nearest.size(); ++i) {
      CHECK(nearest[i] == plain.value[i / 32 * 16 + i % 16]);
    }
  });
}

TEST(attention_keeps_the_laws_of_softmax) {
  SerialExecutor executor;
  for_each_table([&](const cpu::Isa& isa) {
    AttentionCase plain;
    plain.queries = plain.keys = {5, 90};
    plain.head_dim = 16;
    plain.fill(4, 2);
    const auto expected = plain.run(*isa.table, executor).values;

    // A value that is the same for every key is the result.
    AttentionCase constant = plain;
    std::fill(constant.value.begin(), constant.value.end(), 0.625f);
    for (float x : constant.run(*isa.table, executor).values) CHECK(std::abs(x - 0.625f) < 1e-6f);

    // Adding one vector to all keys of a sequence shifts each query's scores alike.
    AttentionCase shifted = plain;
    for (float& x : shifted.key) x += 0.5f;
    const auto moved = shifted.run(*isa.table, executor).values;
    for (size_t i = 0; i < moved.size(); ++i) CHECK(std::abs(moved[i] - expected[i]) < 1e-5f);

    // A window as wide as the sequence hides nothing.
    AttentionCase windowed = plain;
    windowed.window = 89;
    CHECK(same_bits(windowed.run(*isa.table, executor).values, expected));
    windowed.window = 88;
    CHECK(!same_bits(windowed.run(*isa.table, executor).values, expected));

    // The last query of a causal sequence sees all of it; the first one only itself.
    AttentionCase causal = plain;
    causal.mask = ops::Mask::kCausal;
    const auto masked = causal.run(*isa.table, executor).values;
    const int64_t width = plain.heads * plain.head_dim;
    CHECK(same_bits(rows_of(masked, 94, 95, width), rows_of(expected, 94, 95, width)));
    CHECK(same_bits(rows_of(masked, 0, 1, width), rows_of(plain.value, 0, 1, width)));
  });
}

}  // namespace
}  // namespace multihead::test
