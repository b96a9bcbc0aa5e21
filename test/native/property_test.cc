// What must hold of the kernels whatever the numbers are: batch invariance, symmetry, softmax laws.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <future>
#include <numeric>

#include "compare.h"
#include "kernel_cases.h"
#include "kernels/cpu/isa.h"
#include "ops/registry.h"
#include "test.h"

namespace multihead::test {
namespace {

template <typename Body>
void for_each_table(Body body) {
  for (const cpu::Isa& isa : cpu::isas()) {
    if (isa.supported) body(isa);
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<float> rows_of(const std::vector<float>& all, int64_t first, int64_t last, int64_t n) {
  return {all.begin() + first * n, all.begin() + last * n};
}

// Runs a case on the pool, on a lane of `workers` threads.
KernelOutput run_on_pool(const KernelCase& kernel_case, const cpu::Isa& isa, int workers) {
  ops::Device& device = ops::cpu_device(isa.name);
  const auto lane = device.open_lane(workers);
  std::promise<KernelOutput> output;
  lane->submit([&](ops::Executor& executor) {
    output.set_value(kernel_case.run(device.table(), executor));
  });
  return output.get_future().get();
}

TEST(any_number_of_workers_gives_the_same_bits) {
  for_each_table([](const cpu::Isa& isa) {
    for (const KernelCase& kernel_case : all_cases()) {
      const auto alone = run_on_pool(kernel_case, isa, 1);
      for (int workers : {2, 3, 7}) {
        const auto many = run_on_pool(kernel_case, isa, workers);
        CHECK_MESSAGE(many.guards_intact && same_bits(alone.values, many.values),
                      std::string(isa.name) + " " + kernel_case.op + " " + kernel_case.name +
                          " on " + std::to_string(workers) + " workers");
      }
    }
  });
}

TEST(rows_of_a_product_do_not_depend_on_the_other_rows) {
  constexpr int64_t kRows = 131, kN = 97, kK = 70;
  const auto x = random_floats(kRows * kK, 1), weight = random_floats(kN * kK, 2);
  const auto gain = random_floats(kN, 3);
  SerialExecutor executor(2);
  for_each_table([&](const cpu::Isa& isa) {
    const Packed packed(*isa.table, executor, weight, kN, kK);
    const auto product = [&](int64_t first, int64_t last) {
      const auto part = rows_of(x, first, last, kK);
      std::vector<float> out(static_cast<size_t>((last - first) * kN));
      AlignedBytes scratch(isa.table->linear_scratch_bytes(last - first, kN, kK, 2));
      ops::LinearArgs args;
      args.x = view(part, last - first, kK);
      args.weight = packed.weight;
      args.activation = ops::Activation::kGelu;
      args.norm = {ops::NormKind::kLayer, gain.data(), nullptr, 1e-6f};
      args.scratch = scratch.data();
      args.out = {out.data(), DType::kF32, last - first, kN, kN};
      isa.table->linear(executor, args);
      return out;
    };
    const auto all = product(0, kRows);
    for (int64_t first = 0; first < kRows; first += 5) {
      for (int64_t count : {1, 2, 7, 8, 9, 66}) {
        const int64_t last = std::min(first + count, kRows);
        CHECK_MESSAGE(same_bits(product(first, last), rows_of(all, first, last, kN)),
                      std::string(isa.name) + " rows " + std::to_string(first) + " to " +
                          std::to_string(last));
      }
    }
  });
}

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
