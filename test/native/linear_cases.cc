// Cases of `linear`: every edge of the tiles and panels of every instruction set (rows of 4, 6 and
// 8, panels of 8, 16 and 48), every epilogue.
#include "compare.h"
#include "kernel_cases.h"

namespace multihead::test {
namespace {

enum class Residual { kNone, kSeparate, kInPlace };
enum class Gate { kNone, kPlain, kWithBias };

struct Linear {
  int64_t m, n, k;
  ops::Activation activation = ops::Activation::kIdentity;
  Residual residual = Residual::kNone;
  ops::NormKind norm = ops::NormKind::kNone;
  bool bias = true;
  float scale = 1;
  Gate gate = Gate::kNone;
};

std::string name_of(const Linear& c) {
  return std::to_string(c.m) + "x" + std::to_string(c.n) + "x" + std::to_string(c.k) +
         " activation " + std::to_string(static_cast<int>(c.activation)) + " residual " +
         std::to_string(static_cast<int>(c.residual)) + " norm " +
         std::to_string(static_cast<int>(c.norm)) + " gate " +
         std::to_string(static_cast<int>(c.gate)) + " scale " + std::to_string(c.scale) +
         (c.bias ? " bias" : "");
}

KernelOutput run(const Linear& c, const ops::OpTable& table, ops::Executor& executor) {
  const uint64_t seed = static_cast<uint64_t>(c.m * 1000003 + c.n * 1009 + c.k);
  const auto weight = random_floats(c.n * c.k, seed + 1);
  const auto bias = random_floats(c.n, seed + 2), gain = random_floats(c.n, seed + 3);
  const auto shift = random_floats(c.n, seed + 4), residual = random_floats(c.m * c.n, seed + 5);
  // Rows of x lie apart, and what lies between them is NaN.
  GuardedRows x(c.m, c.k, c.k + 3);
  x.fill(random_floats(c.m * c.k, seed));
  Packed packed(table, executor, weight, c.n, c.k);
  const Packed gate(table, executor, random_floats(c.n * c.k, seed + 6), c.n, c.k);
  const auto gate_bias = random_floats(c.n, seed + 7);
  AlignedBytes scratch(table.linear_scratch_bytes(c.m, c.n, c.k, executor.workers()));
  GuardedRows out(c.m, c.n, c.n + 5);

  ops::LinearArgs args;
  args.x = {x.data(), DType::kF32, c.m, c.k, x.stride()};
  args.weight = packed.weight;
  args.bias = c.bias ? bias.data() : nullptr;
  args.scale = c.scale;
  if (c.gate != Gate::kNone) args.gate = gate.weight;
  if (c.gate == Gate::kWithBias) args.gate_bias = gate_bias.data();
  args.activation = c.activation;
  args.norm = {c.norm, nullptr, nullptr, 1e-5f};
  if (c.norm == ops::NormKind::kLayer) args.norm.bias = shift.data();
  if (c.norm != ops::NormKind::kL2) args.norm.gain = gain.data();
  args.scratch = scratch.data();
  args.out = {out.data(), DType::kF32, c.m, c.n, out.stride()};
  if (c.residual == Residual::kSeparate) args.residual = view(residual, c.m, c.n);
  if (c.residual == Residual::kInPlace) {
    out.fill(residual);
    args.residual = args.out;
  }
  table.linear(executor, args);
  return {out.values(), out.guards_intact() && x.guards_intact()};
}

// Products with a gate and a scale, by every activation and epilogue.
void add_gated(std::vector<Linear>& all) {
  for (Gate gate : {Gate::kPlain, Gate::kWithBias}) {
    for (int64_t m : {0, 1, 2, 5, 6, 7, 8, 9, 16, 65}) {
      for (int64_t n : {1, 16, 17, 48, 101}) {
        all.push_back({m, n, 29, ops::Activation::kSilu, Residual::kNone, ops::NormKind::kNone,
                       n != 48, m == 9 ? 0.25f : 1, gate});
      }
    }
    for (int activation = 0; activation <= 5; ++activation) {
      for (Residual residual : {Residual::kNone, Residual::kInPlace}) {
        all.push_back({19, 53, 40, static_cast<ops::Activation>(activation), residual,
                       ops::NormKind::kRms, true, -1.5f, gate});
      }
    }
  }
  all.push_back({1, 1536, 384, ops::Activation::kSilu, Residual::kNone, ops::NormKind::kNone, false,
                 1, Gate::kPlain});
  for (float scale : {0.0f, 0.125f, -3.0f}) {
    for (int64_t m : {1, 4, 50}) {
      all.push_back(
          {m, 33, 21, ops::Activation::kGelu, Residual::kNone, ops::NormKind::kNone, true, scale});
    }
  }
}

}  // namespace

std::vector<KernelCase> linear_cases() {
  std::vector<Linear> all;
  // Few rows meet several panels at once: every number of rows by every rest of panels.
  for (int64_t m = 1; m <= 16; ++m) {
    for (int64_t n : {40, 81, 144, 200, 321, 385}) all.push_back({m, n, 19});
  }
  add_gated(all);
  for (int64_t m : {0, 1, 3, 4, 5, 6, 7, 8, 9, 31, 47, 48, 49, 64, 65}) {
    for (int64_t n : {1, 7, 8, 9, 16, 17, 47, 48, 49, 131}) all.push_back({m, n, 37});
  }
  for (int64_t k : {1, 2, 15, 16, 17, 64, 384, 1537}) all.push_back({11, 53, k});
  all.push_back({130, 384, 384});
  for (int64_t m : {87, 88, 89, 131, 132, 133, 175, 176, 177, 400}) all.push_back({m, 33, 20});
  all.push_back({64, 1152, 384});
  all.push_back({1, 1536, 384});
  for (int activation = 0; activation <= 5; ++activation) {
    for (Residual residual : {Residual::kNone, Residual::kSeparate, Residual::kInPlace}) {
      all.push_back({70, 97, 40, static_cast<ops::Activation>(activation), residual});
    }
  }
  for (ops::NormKind norm : {ops::NormKind::kLayer, ops::NormKind::kRms, ops::NormKind::kL2}) {
    for (int64_t m : {1, 9, 129}) {
      for (int64_t n : {16, 49, 384}) {
        all.push_back({m, n, 65, ops::Activation::kIdentity, Residual::kInPlace, norm});
        all.push_back({m, n, 65, ops::Activation::kGelu, Residual::kNone, norm, false});
      }
    }
  }
  std::vector<KernelCase> cases;
  for (const Linear& c : all) {
    cases.push_back({"linear", name_of(c), [c](const ops::OpTable& table, ops::Executor& executor) {
                       return run(c, table, executor);
                     }});
  }
  return cases;
}

}  // namespace multihead::test
