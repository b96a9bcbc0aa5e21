// Cases of the ops that work row by row: embed, norm, gather, scatter, rotary, pool.
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

// A norm for each part of a row.
KernelOutput run_grouped_norm(int64_t rows, int64_t groups, int64_t part, ops::NormKind kind,
                              const ops::OpTable& table, ops::Executor& executor) {
  const uint64_t seed = static_cast<uint64_t>(rows * 31 + groups * 7 + part);
  const int64_t columns = groups * part;
  auto x = random_floats(rows * columns, seed);
  // Parts of very different sizes: a norm over more than one of them would show.
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] *= static_cast<float>(1 + static_cast<int64_t>(i) / part % groups * 10);
  }
  const auto gain = random_floats(part, seed + 1), bias = random_floats(part, seed + 2);
  GuardedRows out(rows, columns, columns + 3);
  out.fill(x);
  ops::NormArgs args;
  args.out = {out.data(), DType::kF32, rows, columns, out.stride()};
  args.x = args.out;
  args.groups = groups;
  args.norm = norm_of(kind, gain, bias);
  table.norm(executor, args);
  return {out.values(), out.guards_intact()};
}

KernelOutput run_gather(int64_t rows, int64_t taken, int64_t columns, const ops::OpTable& table,
                        ops::Executor& executor) {
  GuardedRows x(rows, columns, columns + 2), out(taken, columns, columns + 5);
  x.fill(random_floats(rows * columns, 3));
  std::vector<int32_t> list;
  for (int64_t r = 0; r < taken; ++r) list.push_back(static_cast<int32_t>((r * 7 + 3) % rows));
  ops::GatherArgs args;
  args.x = {x.data(), DType::kF32, rows, columns, x.stride()};
  args.rows = list.data();
  args.out = {out.data(), DType::kF32, taken, columns, out.stride()};
  table.gather(executor, args);
  return {out.values(), out.guards_intact() && x.guards_intact()};
}

KernelOutput run_scatter(int64_t rows, int64_t put, int64_t columns, const ops::OpTable& table,
                         ops::Executor& executor) {
  GuardedRows out(rows, columns, columns + 5);
  const auto before = random_floats(rows * columns, 4);
  out.fill(before);  // what no row is put over must stay
  const auto x = random_floats(put * columns, 5);
  std::vector<int32_t> list;
  for (int64_t m = 0; m < put; ++m) list.push_back(static_cast<int32_t>((m * 7 + 2) % rows));
  ops::ScatterArgs args;
  args.x = view(x, put, columns);
  args.rows = list.data();
  args.out = {out.data(), DType::kF32, rows, columns, out.stride()};
  table.scatter(executor, args);
  // Where nothing is put, doing nothing is right: no values that a table without the op could miss.
  if (put == 0) return {{}, out.guards_intact() && out.values() == before};
  return {out.values(), out.guards_intact()};
}

// `turned` columns of each head are pairs. The table of angles need not be cosines and sines.
KernelOutput run_rotary(int64_t tokens, int64_t heads, int64_t head_dim, int64_t turned,
                        ops::RotaryPairs pairs, const ops::OpTable& table,
                        ops::Executor& executor) {
  const int64_t columns = heads * head_dim;
  GuardedRows x(tokens, columns, columns + 6), angles(tokens, turned, turned + 1);
  x.fill(random_floats(tokens * columns, static_cast<uint64_t>(columns)));
  angles.fill(random_floats(tokens * turned, 6));
  ops::RotaryArgs args;
  args.angles = {angles.data(), DType::kF32, tokens, turned, angles.stride()};
  args.heads = heads;
  args.head_dim = head_dim;
  args.pairs = pairs;
  args.x = {x.data(), DType::kF32, tokens, columns, x.stride()};
  table.rotary(executor, args);
  return {x.values(), x.guards_intact() && angles.guards_intact()};
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

void add_grouped_norms(std::vector<KernelCase>& cases) {
  for (ops::NormKind kind : {ops::NormKind::kLayer, ops::NormKind::kRms, ops::NormKind::kL2}) {
    for (int64_t part : {1, 4, 7, 16, 17, 64, 128}) {
      for (int64_t groups : {1, 2, 5}) {
        for (int64_t rows : {0, 1, 19}) {
          cases.push_back({"norm",
                           std::to_string(rows) + " rows of " + std::to_string(groups) +
                               " groups of " + std::to_string(part) + " norm " +
                               std::to_string(static_cast<int>(kind)),
                           [=](const ops::OpTable& table, ops::Executor& executor) {
                             return run_grouped_norm(rows, groups, part, kind, table, executor);
                           }});
        }
      }
    }
  }
}

void add_moves(std::vector<KernelCase>& cases) {
  for (int64_t columns : {1, 4, 15, 16, 17, 97}) {
    for (int64_t moved : {0, 1, 15, 16, 17, 41}) {
      const std::string name = std::to_string(moved) + " rows of " + std::to_string(columns);
      cases.push_back({"gather", name, [=](const ops::OpTable& table, ops::Executor& executor) {
                         return run_gather(23, moved, columns, table, executor);
                       }});
      cases.push_back({"scatter", name, [=](const ops::OpTable& table, ops::Executor& executor) {
                         return run_scatter(44, moved, columns, table, executor);
                       }});
    }
  }
}

void add_rotations(std::vector<KernelCase>& cases) {
  struct Head {
    int64_t dim, turned;
  };
  for (ops::RotaryPairs pairs : {ops::RotaryPairs::kHalves, ops::RotaryPairs::kNeighbours}) {
    for (Head head : {Head{2, 2}, {8, 8}, {14, 10}, {32, 32}, {34, 34}, {64, 16}, {128, 128}}) {
      for (int64_t tokens : {0, 1, 16, 35}) {
        cases.push_back({"rotary",
                         std::to_string(tokens) + " tokens, " + std::to_string(head.turned) +
                             " of " + std::to_string(head.dim) + " columns, pairs " +
                             std::to_string(static_cast<int>(pairs)),
                         [=](const ops::OpTable& table, ops::Executor& executor) {
                           return run_rotary(tokens, 3, head.dim, head.turned, pairs, table,
                                             executor);
                         }});
      }
    }
  }
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
  add_grouped_norms(cases);
  add_moves(cases);
  add_rotations(cases);
  return cases;
}

}  // namespace multihead::test
