// Every op table on every case against the oracle, and the checker itself against wrong tables.
#include <cmath>
#include <cstdio>
#include <map>

#include "compare.h"
#include "kernel_cases.h"
#include "kernels/cpu/isa.h"
#include "kernels/reference.h"
#include "test.h"

namespace multihead::test {
namespace {

// Each case's expected values and the yardstick's, computed once.
struct Expected {
  KernelCase kernel_case;
  std::vector<float> reference, naive;
};

const std::vector<Expected>& expected_cases() {
  static const std::vector<Expected>* cases = [] {
    auto* all = new std::vector<Expected>;
    SerialExecutor executor;
    for (KernelCase& kernel_case : all_cases()) {
      auto reference = kernel_case.run(reference_table(), executor).values;
      auto naive = kernel_case.run(naive_f32_table(), executor).values;
      all->push_back({std::move(kernel_case), std::move(reference), std::move(naive)});
    }
    return all;
  }();
  return *cases;
}

// Empty if the table passes the case.
Comparison judge(const Expected& expected, const ops::OpTable& table) {
  SerialExecutor executor(3);
  const KernelOutput output = expected.kernel_case.run(table, executor);
  if (!output.guards_intact) return {"wrote outside its output", 0};
  return compare(output.values, expected.reference, expected.naive);
}

void no_embed(ops::Executor&, const ops::EmbedArgs&) {}
void no_norm(ops::Executor&, const ops::NormArgs&) {}
void no_gather(ops::Executor&, const ops::GatherArgs&) {}
void no_scatter(ops::Executor&, const ops::ScatterArgs&) {}
void no_rotary(ops::Executor&, const ops::RotaryArgs&) {}
void no_linear(ops::Executor&, const ops::LinearArgs&) {}
void no_attention(ops::Executor&, const ops::AttentionArgs&) {}
void no_pool(ops::Executor&, const ops::PoolArgs&) {}

TEST(every_table_agrees_with_the_oracle_on_every_case) {
  std::string problems;
  for (const cpu::Isa& isa : cpu::isas()) {
    if (!isa.supported) {
      std::printf("skipped %s: not supported by this processor\n", isa.name);
      continue;
    }
    std::map<std::string, double> ratios;
    for (const Expected& expected : expected_cases()) {
      const Comparison result = judge(expected, *isa.table);
      const std::string& op = expected.kernel_case.op;
      ratios[op] = std::max(ratios[op], result.ratio);
      if (!result.problem.empty()) {
        problems += std::string("\n  ") + isa.name + " " + op + " " + expected.kernel_case.name +
                    ": " + result.problem;
      }
    }
    for (const auto& [op, ratio] : ratios) {
      std::printf("%s %s: largest error / allowed %.3f\n", isa.name, op.c_str(), ratio);
    }
  }
  CHECK_MESSAGE(problems.empty(), problems);
}

TEST(a_table_that_does_nothing_fails_every_case) {
  const ops::OpTable& real = reference_table();
  const ops::OpTable nothing = {"nothing",
                                no_embed,
                                no_norm,
                                no_gather,
                                no_scatter,
                                no_rotary,
                                real.packed_linear_bytes,
                                real.pack_linear,
                                real.linear_scratch_bytes,
                                no_linear,
                                real.attention_scratch_bytes,
                                no_attention,
                                no_pool};
  for (const Expected& expected : expected_cases()) {
    if (expected.reference.empty()) continue;
    CHECK_MESSAGE(!judge(expected, nothing).problem.empty(),
                  expected.kernel_case.op + " " + expected.kernel_case.name + " passed");
  }
}

TEST(the_comparison_fails_on_what_is_wrong) {
  const std::vector<float> right = random_floats(64, 1);
  const auto passes = [&](const std::vector<float>& got, const std::vector<float>& expected) {
    return compare(got, expected, expected).problem.empty();
  };
  CHECK(passes(right, right));
  auto wrong = right;
  wrong[7] = -wrong[7];
  CHECK(!passes(wrong, right));
  std::vector<float> negative = right, more_negative = right;
  for (float& x : negative) x = -std::abs(x);
  more_negative = negative;
  more_negative[3] *= 2;
  CHECK(!passes(more_negative, negative));
  wrong = right;
  wrong[63] = NAN;
  CHECK(!passes(wrong, right));
  CHECK(!passes(right, wrong));
  CHECK(!passes(std::vector<float>(64, 0.0f), right));
  CHECK(!passes(std::vector<float>(right.begin(), right.end() - 1), right));
  CHECK(!passes({}, right));
  std::vector<float> shifted(right.begin() + 8, right.end());  // one row of eight too far
  shifted.insert(shifted.end(), right.begin(), right.begin() + 8);
  CHECK(!passes(shifted, right));
}

TEST(guards_notice_a_write_outside) {
  for (int64_t index : {int64_t{-1}, int64_t{3}, int64_t{8}}) {
    GuardedRows rows(2, 3, 4);
    CHECK(rows.guards_intact());
    rows.data()[index] = 1;
    CHECK(!rows.guards_intact());
  }
}

// The stated bounds of math.h, over the whole range: every 4099th float.
TEST(activations_keep_their_error_bounds_over_all_floats) {
  struct Bound {
    ops::Activation activation;
    const char* name;
    double absolute, relative_to_x;
  };
  const Bound bounds[] = {{ops::Activation::kGelu, "gelu", 1e-37, 4e-7},
                          {ops::Activation::kGeluTanh, "gelu tanh", 1e-37, 4e-7},
                          {ops::Activation::kSilu, "silu", 1e-37, 4e-7},
                          {ops::Activation::kTanh, "tanh", 3e-7, 0},
                          {ops::Activation::kRelu, "relu", 0, 0}};
  std::vector<float> inputs;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 4099) {
    float x;
    const uint32_t word = static_cast<uint32_t>(bits);
    __builtin_memcpy(&x, &word, sizeof x);
    if (std::isfinite(x) && std::abs(x) < 1e18f) inputs.push_back(x);
  }
  const int64_t count = static_cast<int64_t>(inputs.size());
  SerialExecutor executor;
  for (const Bound& bound : bounds) {
    const auto activate = [&](const ops::OpTable& table) {
      const Packed one(table, executor, {1.0f}, 1, 1);
      std::vector<float> out(inputs.size());
      AlignedBytes scratch(table.linear_scratch_bytes(count, 1, 1, 1));
      ops::LinearArgs args;
      args.x = view(inputs, count, 1);
      args.weight = one.weight;
      args.activation = bound.activation;
      args.scratch = scratch.data();
      args.out = {out.data(), DType::kF32, count, 1, 1};
      table.linear(executor, args);
      return out;
    };
    const auto expected = activate(reference_table());
    for (const cpu::Isa& isa : cpu::isas()) {
      if (!isa.supported) continue;
      const auto got = activate(*isa.table);
      double worst = 0;
      for (size_t i = 0; i < inputs.size(); ++i) {
        const double error = std::abs(double{got[i]} - double{expected[i]});
        // The rounding of the result itself is not the function's error.
        const double rounding = std::abs(double{expected[i]}) * 0x1p-23;
        const double allowed =
            bound.absolute + bound.relative_to_x * std::abs(double{inputs[i]}) + rounding;
        CHECK_MESSAGE(error <= allowed, std::string(isa.name) + " " + bound.name + "(" +
                                            std::to_string(inputs[i]) +
                                            ") = " + std::to_string(got[i]) + ", expected " +
                                            std::to_string(expected[i]));
        if (allowed > 0) worst = std::max(worst, error / allowed);
      }
      std::printf("%s %s: largest error / bound %.3f\n", isa.name, bound.name, worst);
    }
  }
}

TEST(not_a_number_stays_not_a_number) {
  SerialExecutor executor;
  for (const cpu::Isa& isa : cpu::isas()) {
    if (!isa.supported) continue;
    for (int activation = 0; activation <= 5; ++activation) {
      const std::vector<float> input = {NAN};
      std::vector<float> out = {0};
      const Packed one(*isa.table, executor, {1.0f}, 1, 1);
      AlignedBytes scratch(isa.table->linear_scratch_bytes(1, 1, 1, 1));
      ops::LinearArgs args;
      args.x = view(input, 1, 1);
      args.weight = one.weight;
      args.activation = static_cast<ops::Activation>(activation);
      args.scratch = scratch.data();
      args.out = {out.data(), DType::kF32, 1, 1, 1};
      isa.table->linear(executor, args);
      CHECK_MESSAGE(std::isnan(out[0]), std::string(isa.name) + " activation " +
                                            std::to_string(activation) + " hid a NaN");
    }
  }
}

}  // namespace
}  // namespace multihead::test
