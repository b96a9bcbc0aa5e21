// Cases of the ops that work row by row: embed, norm, pool.
#include "compare.h"
#include "kernel_cases.h"

namespace multihead::test {
namespace {

ops::Norm norm_of(ops::NormKind kind, const std::vector<float>& gain,
                  const std::vector<float>& bias) {
  ops::Norm norm{kind, nullptr, nullptr, 1e-5f};
  if (kind == ops::NormKind::kLayer) norm.bias = bias.data();
  if (kind == ops::NormKind::kLayer || kind == ops::NormKind::kRms) norm.gain = gain.data();
  return norm;
}

// 16-bit tables: any finite bits will do, denormals and both zeros included.
std::vector<uint16_t> random_bits(int64_t count, uint64_t seed, DType dtype) {
  std::vector<uint16_t> bits;
  for (float x : random_floats(count, seed, 32767.0f)) {
    uint16_t value = static_cast<uint16_t>(static_cast<int32_t>(x));
    // Keep exponents small enough for sums: f16 below 2^3, bf16 within 2^+-3 of one.
    if (dtype == DType::kF16) value = static_cast<uint16_t>(value & 0xc7ff);
    if (dtype == DType::kBF16) value = static_cast<uint16_t>((value & 0x81ff) | 0x3e00);
    bits.push_back(value);
  }
  return bits;
}

struct Table {
  std::vector<float> floats;
  std::vector<uint16_t> bits;
  ConstMatrix matrix;
  Table(int64_t rows, int64_t columns, DType dtype, uint64_t seed) {
    if (dtype == DType::kF32) {
      floats = random_floats(rows * columns, seed);
    } else {
      bits = random_bits(rows * columns, seed, dtype);
    }
    const void* data = dtype == DType::kF32 ? static_cast<const void*>(floats.data()) : bits.data();
    matrix = {data, dtype, rows, columns, columns};
  }
};

KernelOutput run_embed(int64_t tokens, int64_t width, DType dtype, ops::NormKind kind,
                       bool everything, const ops::OpTable& table, ops::Executor& executor) {
  const uint64_t seed = static_cast<uint64_t>(tokens * 131 + width);
  const Table token_table(50, width, dtype, seed), type_table(3, width, dtype, seed + 1);
  const Table position_table(70, width, dtype, seed + 2);
  const auto gain = random_floats(width, seed + 3), bias = random_floats(width, seed + 4);
  std::vector<int32_t> ids, types, positions;
  for (int64_t t = 0; t < tokens; ++t) {
    ids.push_back(static_cast<int32_t>(t * 37 % 50));
    types.push_back(static_cast<int32_t>(t % 3));
    positions.push_back(static_cast<int32_t>((t * 11 + 2) % 70));
  }
  GuardedRows out(tokens, width, width + 2);
  ops::EmbedArgs args;
  args.tokens = ids.data();
  args.token_table = token_table.matrix;
  if (everything) {
    args.types = types.data();
    args.positions = positions.data();
    args.position_table = position_table.matrix;
    args.scale = 1.75f;
  }
  args.type_table = type_table.matrix;  // without types: row 0
  args.norm = norm_of(kind, gain, bias);
  args.out = {out.data(), DType::kF32, tokens, width, out.stride()};
  table.embed(executor, args);
  return {out.values(), out.guards_intact()};
}

// Rows of values offset +- spread.
KernelOutput run_norm(int64_t rows, int64_t columns, ops::NormKind kind, bool residual,
                      float offset, float spread, const ops::OpTable& table,
                      ops::Executor& executor) {
  const uint64_t seed = static_cast<uint64_t>(rows * 977 + columns);
  auto x = random_floats(rows * columns, seed, spread);
  for (float& value : x) value += offset;
  const auto added = random_floats(rows * columns, seed + 1);
  const auto gain = random_floats(columns, seed + 2), bias = random_floats(columns, seed + 3);
  GuardedRows out(rows, columns, columns + 9);
  ops::NormArgs args;
  args.out = {out.data(), DType::kF32, rows, columns, out.stride()};
  args.x = view(x, rows, columns);
  if (residual) {  // in place
    out.fill(added);
    args.residual = args.out;
  }
  args.norm = norm_of(kind, gain, bias);
  table.norm(executor, args);
  return {out.values(), out.guards_intact()};
}

KernelOutput run_pool(const std::vector<int32_t>& lengths, int64_t columns, ops::PoolKind kind,
                      const ops::OpTable& table, ops::Executor& executor) {
  const auto offsets = offsets_of(lengths);
  const int64_t rows = static_cast<int64_t>(lengths.size());
  auto x = random_floats(offsets.back() * columns, static_cast<uint64_t>(columns));
  if (kind == ops::PoolKind::kMax) {
    for (float& value : x) value -= 3;  // a maximum that starts from zero would show
  }
  const auto weights = random_floats(offsets.back(), 8);
  GuardedRows out(rows, columns, 2 * columns + 1);
  ops::PoolArgs args;
  args.x = view(x, offsets.back(), columns);
  args.offsets = offsets.data();
  args.sequences = rows;
  args.kind = kind;
  args.weights = weights.data();
  args.out = {out.data(), DType::kF32, rows, columns, out.stride()};
  table.pool(executor, args);
  return {out.values(), out.guards_intact()};
}

}  // namespace

std::vector<KernelCase> row_cases() {
  std::vector<KernelCase> cases;
  const auto add = [&](const char* op, std::string name, auto run) {
    cases.push_back({op, std::move(name), run});
  };
  using Kind = ops::NormKind;
  for (int64_t columns : {1, 3, 4, 5, 8, 15, 16, 17, 31, 48, 384, 1000}) {
    for (Kind kind : {Kind::kNone, Kind::kLayer, Kind::kRms, Kind::kL2}) {
      const std::string name =
          " columns " + std::to_string(columns) + " norm " + std::to_string(static_cast<int>(kind));
      for (int64_t rows : {0, 1, 37}) {
        for (bool residual : {false, true}) {
          // The offset tells a one-pass variance, which cancels, from a two-pass one.
          for (float offset : {0.0f, 100.0f}) {
            add("norm", std::to_string(rows) + name + " offset " + std::to_string(offset),
                [=](const ops::OpTable& table, ops::Executor& executor) {
                  return run_norm(rows, columns, kind, residual, offset, 1, table, executor);
                });
          }
        }
        // Equal elements: the variance is zero, and only epsilon is left to divide by.
        for (float value : {0.0f, 1.2345e4f, -1.2345e9f}) {
          add("norm", std::to_string(rows) + name + " all " + std::to_string(value),
              [=](const ops::OpTable& table, ops::Executor& executor) {
                return run_norm(rows, columns, kind, false, value, 0, table, executor);
              });
        }
        for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
          add("embed",
              std::to_string(rows) + name + " dtype " + std::to_string(static_cast<int>(dtype)),
              [=](const ops::OpTable& table, ops::Executor& executor) {
                return run_embed(rows, columns, dtype, kind, rows != 1, table, executor);
              });
        }
      }
    }
    for (ops::PoolKind kind : {ops::PoolKind::kWeightedSum, ops::PoolKind::kMax}) {
      add("pool",
          "columns " + std::to_string(columns) + " kind " + std::to_string(static_cast<int>(kind)),
          [=](const ops::OpTable& table, ops::Executor& executor) {
            return run_pool({3, 0, 1, 40, 7}, columns, kind, table, executor);
          });
    }
  }
  return cases;
}

}  // namespace multihead::test
