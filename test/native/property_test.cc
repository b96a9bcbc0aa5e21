// What must hold of the kernels whatever the numbers are: bits that depend on neither workers nor
// the other rows.
#include <algorithm>
#include <future>

#include "kernel_cases.h"
#include "kernels/cpu/isa.h"
#include "ops/registry.h"
#include "properties.h"
#include "test.h"

namespace multihead::test {
namespace {

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
  constexpr int64_t kRows = 181, kN = 97, kK = 70;
  const auto x = random_floats(kRows * kK, 1), weight = random_floats(kN * kK, 2);
  const auto gain = random_floats(kN, 3), gate_weight = random_floats(kN * kK, 4);
  SerialExecutor executor(2);
  for_each_table([&](const cpu::Isa& isa) {
    const Packed packed(*isa.table, executor, weight, kN, kK);
    const Packed gate(*isa.table, executor, gate_weight, kN, kK);
    const auto product = [&](int64_t first, int64_t last) {
      const auto part = rows_of(x, first, last, kK);
      std::vector<float> out(static_cast<size_t>((last - first) * kN));
      AlignedBytes scratch(isa.table->linear_scratch_bytes(last - first, kN, kK, 2));
      ops::LinearArgs args;
      args.x = view(part, last - first, kK);
      args.weight = packed.weight;
      args.scale = 0.75f;
      args.gate = gate.weight;
      args.activation = ops::Activation::kGelu;
      args.norm = {ops::NormKind::kLayer, gain.data(), nullptr, 1e-6f};
      args.scratch = scratch.data();
      args.out = {out.data(), DType::kF32, last - first, kN, kN};
      isa.table->linear(executor, args);
      return out;
    };
    const auto all = product(0, kRows);
    for (int64_t first = 0; first < kRows; first += 5) {
      for (int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 66, 178}) {
        const int64_t last = std::min(first + count, kRows);
        CHECK_MESSAGE(same_bits(product(first, last), rows_of(all, first, last, kN)),
                      std::string(isa.name) + " rows " + std::to_string(first) + " to " +
                          std::to_string(last));
      }
    }
  });
}

}  // namespace
}  // namespace multihead::test
