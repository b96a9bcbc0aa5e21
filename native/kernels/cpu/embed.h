// Embedding: rows of the token, type and position tables, summed and normed.
#pragma once

#include "kernels/cpu/norm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vec.h"
#include "ops/ops.h"

namespace multihead::cpu {
namespace {

inline float float_of_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

inline float float_of_bf16(uint16_t bits) {
  return float_of_bits(static_cast<uint32_t>(bits) << 16);
}

// IEEE 754 binary16. Moving the exponent and mantissa into place leaves a value 2^112 too small;
// the product restores it, denormals included. Inf and NaN get the f32 exponent instead.
inline float float_of_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffu) << 13;
  if (magnitude >= 0x0f800000u) return float_of_bits(sign | 0x70000000u | magnitude);
  return float_of_bits(sign) + (sign != 0 ? -1.0f : 1.0f) * (float_of_bits(magnitude) * 0x1p112f);
}

// out = (first ? 0 : out) + scale * table[row]
enum class Start : uint8_t { kOverwrite, kAdd };
inline void add_table_row(const ConstMatrix& table, int64_t row, float scale, Start start,
                          float* out) {
  const Vec factor = broadcast(scale);
  const int64_t begin = row * table.stride;
  for_lanes(table.columns, [&](int64_t i, int lanes) {
    Vec value;
    if (table.dtype == DType::kF32) {
      value = load_lanes(static_cast<const float*>(table.data) + begin + i, lanes);
    } else {
      const uint16_t* bits = static_cast<const uint16_t*>(table.data) + begin + i;
      float floats[kLanes] = {};
      for (int lane = 0; lane < lanes; ++lane) {
        floats[lane] =
            table.dtype == DType::kBF16 ? float_of_bf16(bits[lane]) : float_of_f16(bits[lane]);
      }
      value = load(floats);
    }
    if (start == Start::kOverwrite) {
      value = mul(factor, value);
    } else {
      value = add(load_lanes(out + i, lanes), value);
    }
    store_lanes(out + i, value, lanes);
  });
}

inline void embed_op(ops::Executor& executor, const ops::EmbedArgs& args) {
  constexpr int64_t kTokensPerTask = 16;
  parallel_blocks(executor, args.out.rows, kTokensPerTask, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      float* out = args.out.f32_row(t);
      add_table_row(args.token_table, args.tokens[t], args.scale, Start::kOverwrite, out);
      if (args.type_table.data != nullptr) {
        const int32_t type = args.types != nullptr ? args.types[t] : 0;
        add_table_row(args.type_table, type, 1, Start::kAdd, out);
      }
      if (args.position_table.data != nullptr) {
        add_table_row(args.position_table, args.positions[t], 1, Start::kAdd, out);
      }
      norm_row(out, args.out.columns, args.norm, out);
    }
  });
}

}  // namespace
}  // namespace multihead::cpu
